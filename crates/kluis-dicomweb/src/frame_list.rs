//! The frame list of a retrieve (PS3.18 10.4.1.1.6): numbers from 1, separated by commas, in the order asked for.

use crate::limits;

/// The segment is no frame list; answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameListError {
    /// A number that is none, or 0.
    #[error("a frame list holds whole numbers from 1, separated by commas")]
    Number,
    /// More than [`limits::FRAME_LIST`] numbers.
    #[error("the frame list is too long")]
    TooLong,
}

/// Reads the decoded path segment.
///
/// # Errors
/// [`FrameListError`].
pub fn parse(segment: &str) -> Result<Vec<u32>, FrameListError> {
    let mut frames = Vec::new();
    for text in segment.split(',') {
        if frames.len() >= limits::FRAME_LIST {
            return Err(FrameListError::TooLong);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FrameListError::Number);
        }
        frames.push(text.parse().ok().filter(|number| *number > 0).ok_or(FrameListError::Number)?);
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h12_h13_h16_frame_lists() {
        assert_eq!(parse("1"), Ok(vec![1]));
        assert_eq!(parse("3,1,2,3"), Ok(vec![3, 1, 2, 3]));
        for text in ["", "0", "1,", ",1", "1,0", "-1", "+1", "a", "4294967296", "1 "] {
            assert_eq!(parse(text), Err(FrameListError::Number), "{text:?}");
        }
        assert_eq!(parse(&"1,".repeat(limits::FRAME_LIST + 1)), Err(FrameListError::TooLong));
    }
}
