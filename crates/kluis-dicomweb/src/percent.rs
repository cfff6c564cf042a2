//! Percent-encoding (RFC 3986 2.1), undone exactly once.

use std::fmt::Write as _;

/// Decodes `%XX`; a `%` without two hex digits, and bytes that are no UTF-8, give `None`.
///
/// `plus_is_space`: in a query string, HTML forms and many clients write a space as `+`; a literal one is `%2B`.
#[must_use]
pub fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = hex(bytes.next()?)?;
                let low = hex(bytes.next()?)?;
                out.push(high * 16 + low);
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

/// Encodes all but the unreserved characters of RFC 3986, so that the result is one path segment or query value.
#[must_use]
pub fn encode_component(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // writing to a string cannot fail
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn f20_decodes_once() {
        for (text, plain) in [
            ("a%2Cb", Some("a,b")),
            ("%252C", Some("%2C")),
            ("%5E%20", Some("^ ")),
            ("M%C3%BCller", Some("Müller")),
            ("a+b", Some("a b")),
            ("a%2Bb", Some("a+b")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%FF", None),
        ] {
            assert_eq!(decode(text, true).as_deref(), plain, "{text}");
        }
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_the_identity(text in ".*") {
            prop_assert_eq!(decode(&encode_component(&text), true), Some(text));
        }
    }
}
