//! The Content-Type of a multipart payload.

use crate::{limits, media_type::MediaType};

/// The boundary of a payload: 1 to 70 printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// What the Content-Type of a `multipart/related` request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What stands between the parts.
    pub boundary: Boundary,
    /// The `type` parameter: the media type of the root part, in lower case and without its own parameters. RFC 2387
    /// requires it; where it is missing the parts speak for themselves.
    pub root_type: Option<String>,
}

/// The Content-Type does not announce readable parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelatedError {
    /// Absent, unreadable or no `multipart/related`: 415.
    #[error("the content type is not multipart/related")]
    NotRelated,
    /// No boundary parameter: 400.
    #[error("the content type has no boundary")]
    NoBoundary,
    /// The boundary is empty, longer than 70 characters, or has characters that none may have: 400.
    #[error("the boundary of the content type is not 1 to 70 printable characters")]
    BadBoundary,
}

impl Boundary {
    /// Takes a boundary.
    ///
    /// # Errors
    /// [`RelatedError::BadBoundary`] where RFC 2046 5.1.1 does not allow it. Any printable character passes: clients
    /// use ones that the grammar leaves out.
    pub fn new(text: &str) -> Result<Self, RelatedError> {
        let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.is_empty() || text.len() > limits::BOUNDARY_CHARACTERS || !is_printable || text.ends_with(' ') {
            return Err(RelatedError::BadBoundary);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Related {
    /// Reads the value of a Content-Type header.
    ///
    /// # Errors
    /// [`RelatedError`].
    pub fn parse(content_type: Option<&str>) -> Result<Self, RelatedError> {
        let media = content_type.and_then(MediaType::parse).ok_or(RelatedError::NotRelated)?;
        if !media.is("multipart/related") {
            return Err(RelatedError::NotRelated);
        }
        let boundary = Boundary::new(media.parameter("boundary").ok_or(RelatedError::NoBoundary)?)?;
        let root_type =
            media.parameter("type").and_then(MediaType::parse).map(|root| format!("{}/{}", root.top, root.sub));
        Ok(Self { boundary, root_type })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f06_j06_j08_j22_content_types() {
        let long = format!("multipart/related; boundary={}", "b".repeat(71));
        for (text, expected) in [
            ("multipart/related; type=\"application/dicom\"; boundary=abc", Ok(("abc", Some("application/dicom")))),
            ("multipart/related; type=Application/DICOM; boundary=abc", Ok(("abc", Some("application/dicom")))),
            ("multipart/related; boundary=\"a b=c\"", Ok(("a b=c", None))),
            ("multipart/related; type=\"application/dicom\"", Err(RelatedError::NoBoundary)),
            ("multipart/related; boundary=\"\"", Err(RelatedError::BadBoundary)),
            ("multipart/related; boundary=\"a \"", Err(RelatedError::BadBoundary)),
            (long.as_str(), Err(RelatedError::BadBoundary)),
            ("application/json", Err(RelatedError::NotRelated)),
            ("multipart/form-data; boundary=a", Err(RelatedError::NotRelated)),
            ("", Err(RelatedError::NotRelated)),
        ] {
            let related = Related::parse(Some(text));
            let plain = related.as_ref().map(|r| (r.boundary.as_str(), r.root_type.as_deref())).map_err(|e| *e);
            assert_eq!(plain, expected, "{text}");
        }
        assert_eq!(Related::parse(None), Err(RelatedError::NotRelated));
    }
}
