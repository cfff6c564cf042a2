//! The gate: takes bytes as they arrive, in slices of any size, and says what they are or why they are refused.

use super::{Outline, Refusal};
use crate::{Uid, limits::Limits};

/// What the bytes are said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A DICOM file (PS3.10 7.1), with a transfer syntax of its own.
    File,
    /// A data set without file meta information, as C-STORE carries it.
    DataSet {
        /// That of the presentation context.
        transfer_syntax: Uid,
    },
}

/// The bytes of the data set that one push gave: first `carried`, then `rest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataSetBytes<'a> {
    /// Held back from earlier pushes; usually empty.
    pub carried: Vec<u8>,
    /// The end of what was pushed.
    pub rest: &'a [u8],
}

/// A bounded scanner of one object.
pub struct Gate {
    source: Source,
}

impl Gate {
    /// A gate for one object.
    ///
    /// # Errors
    /// [`Refusal::UnknownTransferSyntax`] for a data set in a syntax that PS3.6 does not name.
    pub fn new(source: Source, limits: Limits) -> Result<Self, Refusal> {
        let _ = limits;
        Ok(Self { source })
    }

    /// Takes the next bytes as they arrive; returns those that belong to the data set, to be kept as they are.
    ///
    /// # Errors
    /// Whatever is wrong; the gate then stays shut.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<DataSetBytes<'a>, Refusal> {
        let _ = bytes;
        Err(Refusal::NotDicom)
    }

    /// Ends the object.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] with the place where the bytes end, and whatever else is wrong.
    pub fn finish(self) -> Result<(DataSetBytes<'static>, Outline), Refusal> {
        let _ = self.source;
        Err(Refusal::NotDicom)
    }
}
