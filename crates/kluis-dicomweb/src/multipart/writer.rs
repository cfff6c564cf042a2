//! Writes the frame around the parts of an answer; bodies go out between by themselves.

use bytes::Bytes;

use super::Boundary;

/// Writes part heads and the closing delimiter of one payload.
#[derive(Debug, Clone)]
pub struct Writer {
    boundary: Boundary,
}

impl Writer {
    /// A writer. The boundary must be random: the senders of stored objects must not be able to guess it.
    #[must_use]
    pub fn new(boundary: Boundary) -> Self {
        Self { boundary }
    }

    /// The Content-Type of the payload whose parts are of `part_type` (without parameters).
    #[must_use]
    pub fn content_type(&self, part_type: &str) -> String {
        format!("multipart/related; type=\"{part_type}\"; boundary={}", self.boundary.as_str())
    }

    /// The delimiter and headers before the body of the first part, or of a later one.
    #[must_use]
    pub fn part_head(&self, is_first: bool, part: &PartHead<'_>) -> Bytes {
        let mut head = String::with_capacity(256);
        if !is_first {
            head.push_str("\r\n");
        }
        head.push_str("--");
        head.push_str(self.boundary.as_str());
        head.push_str("\r\nContent-Type: ");
        head.push_str(part.content_type);
        if let Some(location) = part.content_location {
            head.push_str("\r\nContent-Location: ");
            head.push_str(location);
        }
        if let Some(length) = part.content_length {
            head.push_str("\r\nContent-Length: ");
            head.push_str(&length.to_string());
        }
        head.push_str("\r\n\r\n");
        head.into()
    }

    /// The closing delimiter.
    #[must_use]
    pub fn close(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary.as_str()).into()
    }
}

/// The headers of one part. None of the texts may hold line ends; they are made of our own words and UIDs.
#[derive(Debug, Clone, Copy)]
pub struct PartHead<'a> {
    /// Content-Type with parameters.
    pub content_type: &'a str,
    /// Content-Location, relative or absolute.
    pub content_location: Option<&'a str>,
    /// Bytes of the body, where known.
    pub content_length: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipart::{Reader, Related, Step};

    #[test]
    fn what_the_writer_frames_the_reader_reads() {
        let writer = Writer::new(Boundary::new("x1").unwrap());
        let part = PartHead { content_type: "a/b; c=d", content_location: Some("/e"), content_length: Some(3) };
        let payload =
            [&writer.part_head(true, &part)[..], b"one", &writer.part_head(false, &part), b"two", &writer.close()]
                .concat();
        let related = Related::parse(Some(&writer.content_type("a/b"))).unwrap();
        let mut reader = Reader::new(&related.boundary);
        reader.push(payload.into());
        reader.end();
        let mut bodies = Vec::new();
        loop {
            match reader.step().unwrap() {
                Step::Part(headers) => {
                    assert_eq!(headers.content_type.as_deref(), Some("a/b; c=d"));
                    assert_eq!(headers.content_location.as_deref(), Some("/e"));
                }
                Step::Body(bytes) => bodies.push(bytes),
                Step::PartEnd => {}
                Step::NeedMore => panic!("all was pushed"),
                Step::Done => break,
            }
        }
        assert_eq!(bodies, [&b"one"[..], b"two"]);
    }
}
