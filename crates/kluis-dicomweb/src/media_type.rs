//! One media type with its parameters (RFC 9110 8.3.1), as it stands in Content-Type and, with `q`, in Accept.

use crate::limits;

/// A media type such as `multipart/related; type="application/dicom"`; type, subtype and parameter names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// The part before the slash; may be `*` in a range.
    pub top: String,
    /// The part behind the slash; may be `*` in a range.
    pub sub: String,
    /// Name and value of each parameter, quotes removed.
    pub parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads one media type; `None` where the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut pieces = split_outside_quotes(text, b';').into_iter();
        let (top, sub) = pieces.next()?.trim().split_once('/')?;
        let (top, sub) = (top.to_ascii_lowercase(), sub.to_ascii_lowercase());
        if !is_token(&top) || !is_token(&sub) {
            return None;
        }
        let mut parameters = Vec::new();
        for piece in pieces.map(str::trim).filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            if !is_token(&name) || parameters.len() >= limits::MEDIA_TYPE_PARAMETERS {
                return None;
            }
            parameters.push((name, unquote(value.trim())?));
        }
        Some(Self { top, sub, parameters })
    }

    /// The value of a parameter; `name` in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is `top/sub`, parameters aside.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(top, sub)| self.top == top && self.sub == sub)
    }
}

/// Splits at a separator that stands outside quoted strings.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                pieces.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

fn unquote(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        // clients leave out the quotes around `application/dicom` (F06), so slashes pass here
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next()?),
            '"' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f06_type_parameter_with_and_without_quotes() {
        for text in [
            "multipart/related; type=\"application/dicom\"; boundary=b",
            "multipart/related;type=application/dicom;boundary=\"b\"",
            "Multipart/Related ; Type=application/dicom ; Boundary=b ;",
        ] {
            let media = MediaType::parse(text).unwrap();
            assert!(media.is("multipart/related"), "{text}");
            assert_eq!(media.parameter("type"), Some("application/dicom"), "{text}");
            assert_eq!(media.parameter("boundary"), Some("b"), "{text}");
        }
    }

    #[test]
    fn quoted_values_keep_separators_and_escapes() {
        let media = MediaType::parse(r#"a/b; x="1;2,3 \"4\""; y=z"#).unwrap();
        assert_eq!(media.parameter("x"), Some("1;2,3 \"4\""));
        assert_eq!(media.parameter("y"), Some("z"));
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in ["", "text", "/", "a/", "a b/c", "a/b; x", "a/b; x=\"", "a/b; x=\"1", "a/b; =1"] {
            assert_eq!(MediaType::parse(text), None, "{text:?}");
        }
    }
}
