//! Where functions begin and end.

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Line of `fn`, from 1.
    pub first_line: usize,
    /// Line of the closing brace.
    pub last_line: usize,
}

/// All functions in code whose comments and literals are blanked, in order of their beginnings. Functions inside functions
/// count by themselves, too.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(offset) = code.get(position..).and_then(|rest| rest.find("fn ")) {
        let start = position + offset;
        position = start + 3;
        let is_word =
            code.get(..start).is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let name: String =
            code.get(position..).unwrap_or_default().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if is_word || name.is_empty() {
            continue;
        }
        if let Some(length) = code.get(position..).and_then(body_end) {
            let first_line = line_of(code, start);
            found.push(Function { name, first_line, last_line: line_of(code, position + length) });
        }
    }
    found
}

/// Distance to the brace that closes the body; none for a declaration without one.
fn body_end(code: &str) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

fn line_of(code: &str, position: usize) -> usize {
    code.bytes().take(position).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let code = "\
trait T { fn declared(&self, x: [u8; 4]) -> u8; }
fn one() {}

impl S {
    pub(crate) async fn two<const N: usize>(x: [u8; 4]) -> impl Fn(u8) -> u8
    where
        T: Fn(),
    {
        if x { y(); }
        fn inner() {
        }
    }
}
let f: fn (u8) = one;
";
        let found: Vec<(String, usize, usize)> =
            functions(code).into_iter().map(|f| (f.name, f.first_line, f.last_line)).collect();
        assert_eq!(found, [("one".to_owned(), 2, 2), ("two".to_owned(), 5, 12), ("inner".to_owned(), 10, 11)]);
    }
}
