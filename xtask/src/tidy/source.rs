//! A file, and for Rust its code without comments and the contents of literals, so that rules look at code alone.

/// One file of the project.
pub struct Source {
    /// Path from the folder of the workspace.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// For Rust files: the same lines, with blanks where comments and literals stand. Else empty.
    pub code: String,
}

impl Source {
    pub fn new(path: String, text: String) -> Self {
        let code = if path.ends_with(".rs") { code_of(&text) } else { String::new() };
        Self { path, text, code }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Blanks out comments, strings and characters; every line keeps its place. Bytes outside ASCII become blanks as well.
fn code_of(text: &str) -> String {
    let mut scanner = Scanner { rest: text.as_bytes(), code: String::with_capacity(text.len()) };
    while let Some(&byte) = scanner.rest.first() {
        match byte {
            b'/' if scanner.starts(b"//") => scanner.blank_while(|rest| !rest.starts_with(b"\n")),
            b'/' if scanner.starts(b"/*") => scanner.block_comment(),
            b'"' => scanner.string(),
            b'r' | b'b' | b'c' if !scanner.is_in_word() && scanner.literal_prefix() > 0 => scanner.raw_or_prefixed(),
            b'\'' => scanner.character_or_lifetime(),
            _ => scanner.keep(),
        }
    }
    scanner.code
}

struct Scanner<'a> {
    rest: &'a [u8],
    code: String,
}

impl Scanner<'_> {
    fn starts(&self, with: &[u8]) -> bool {
        self.rest.starts_with(with)
    }

    fn is_in_word(&self) -> bool {
        self.code.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_')
    }

    fn take(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn keep(&mut self) {
        if let Some(byte) = self.take() {
            self.code.push(if byte.is_ascii() { char::from(byte) } else { ' ' });
        }
    }

    fn blank(&mut self) {
        if let Some(byte) = self.take() {
            self.code.push(if byte == b'\n' { '\n' } else { ' ' });
        }
    }

    fn blank_while(&mut self, mut goes_on: impl FnMut(&[u8]) -> bool) {
        while !self.rest.is_empty() && goes_on(self.rest) {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            if self.starts(b"/*") {
                depth += 1;
                self.blank();
            } else if self.starts(b"*/") {
                depth = depth.saturating_sub(1);
                self.blank();
            }
            self.blank();
            if depth == 0 || self.rest.is_empty() {
                return;
            }
        }
    }

    /// From the opening quote to the closing one.
    fn string(&mut self) {
        self.blank();
        while !self.rest.is_empty() && !self.starts(b"\"") {
            if self.starts(b"\\") {
                self.blank();
            }
            self.blank();
        }
        self.blank();
    }

    /// Length of `b`, `c`, `r`, `br`, `cr` and the `#`s in front of a quote; 0 where no literal follows.
    fn literal_prefix(&self) -> usize {
        let letters = self.rest.iter().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count().min(2);
        let is_raw = self.rest.get(letters.saturating_sub(1)) == Some(&b'r');
        let hashes = self.rest.iter().skip(letters).take_while(|&&byte| byte == b'#').count();
        match self.rest.get(letters + hashes) {
            Some(b'"') if is_raw || hashes == 0 => letters + hashes,
            Some(b'\'') if letters == 1 && hashes == 0 && self.starts(b"b") => 1,
            _ => 0,
        }
    }

    fn raw_or_prefixed(&mut self) {
        let prefix = self.literal_prefix();
        let head: Vec<u8> = self.rest.iter().copied().take(prefix).collect();
        for _ in 0..prefix {
            self.blank();
        }
        if !head.contains(&b'r') {
            return if self.starts(b"'") { self.character_or_lifetime() } else { self.string() };
        }
        let hashes = head.iter().filter(|&&byte| byte == b'#').count();
        let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        self.blank();
        self.blank_while(|rest| !rest.starts_with(&end));
        for _ in 0..end.len() {
            self.blank();
        }
    }

    /// `'a'`, `'\n'`, `'é'` are characters; `'a` is a lifetime.
    fn character_or_lifetime(&mut self) {
        let is_escape = self.rest.get(1) == Some(&b'\\');
        let close = self.rest.iter().skip(2).take(4).position(|&byte| byte == b'\'');
        let is_wide = self.rest.get(1).is_some_and(|byte| !byte.is_ascii());
        if !is_escape && close != Some(0) && !(is_wide && close.is_some()) {
            self.keep();
            return;
        }
        self.blank();
        if is_escape {
            self.blank();
        }
        self.blank();
        self.blank_while(|rest| !rest.starts_with(b"'"));
        self.blank();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_is_kept() {
        for (text, code) in [
            ("let a = 1; // {\nb", "let a = 1; b"),
            ("a /* { /* { */ b */ c", "a c"),
            (r#"f("{ \" {", x)"#, "f( , x)"),
            ("a r#\"a \" {\"# }", "a }"),
            ("a br\"{\" b\"{\" c\"{\" }", "a }"),
            ("a '{' '\\'' b'{' '\\u{7b}' }", "a }"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("attribute(\"{\") {", "attribute( ) {"),
            ("a 'é' }", "a }"),
        ] {
            let found = code_of(text);
            assert_eq!(found.len(), text.len(), "{text}");
            assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
        }
    }

    #[test]
    fn nothing_unfinished_hangs() {
        for text in ["\"abc", "/* abc", "r#\"abc\"", "'", "b'", "\"\\"] {
            assert_eq!(code_of(text).len(), text.len(), "{text}");
        }
    }
}
