//! Content-Encoding of JSON answers (PS3.18 8.4.3): gzip where it is accepted.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::HeaderMap;
use http::header;

use crate::call::text_header;

/// Whether the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    accepts(headers, "gzip")
}

/// Whether the client takes the coding, by its name or by `*`.
pub(crate) fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let Some(text) = text_header(headers, header::ACCEPT_ENCODING) else { return false };
    let mut any = None;
    for piece in text.split(',') {
        let (name, parameters) = piece.split_once(';').unwrap_or((piece, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return quality > 0.0,
            "*" => any = Some(quality > 0.0),
            _ => {}
        }
    }
    any.unwrap_or(false)
}

/// Writes pieces, compressed or as they are.
pub(crate) enum Encoder {
    Plain,
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(crate) fn new(is_gzip: bool) -> Self {
        if is_gzip { Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))) } else { Self::Plain }
    }

    /// Takes a piece; gives what is ready, which may be nothing.
    pub(crate) fn push(&mut self, piece: Vec<u8>) -> Bytes {
        match self {
            Self::Plain => piece.into(),
            Self::Gzip(encoder) => {
                // writing into a vector cannot fail
                let _ = encoder.write_all(&piece);
                std::mem::take(encoder.get_mut()).into()
            }
        }
    }

    /// The rest.
    pub(crate) fn finish(self) -> Bytes {
        match self {
            Self::Plain => Bytes::new(),
            Self::Gzip(encoder) => encoder.finish().unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn f11_codings_are_negotiated() {
        for (text, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("*, gzip;q=0", false),
            ("br", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            assert_eq!(accepts_gzip(&headers), expected, "{text}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn pieces_join_to_the_whole() {
        let mut encoder = Encoder::new(true);
        let mut coded = encoder.push(b"one ".to_vec()).to_vec();
        coded.extend_from_slice(&encoder.push(b"two".to_vec()));
        coded.extend_from_slice(&encoder.finish());
        let mut text = String::new();
        flate2::read::GzDecoder::new(coded.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }
}
