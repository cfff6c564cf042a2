//! Reading big endian fields from a slice that is wholly there.

use super::PduError;

/// The bytes that are left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(PduError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PduError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(PduError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PduError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PduError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A field behind its own length of two bytes.
    pub(super) fn field(&mut self) -> Result<&'a [u8], PduError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// An item or sub-item: type, second byte (reserved, but for 57H), contents.
    pub(super) fn item(&mut self) -> Result<(u8, u8, Cursor<'a>), PduError> {
        let [kind, second] = self.array()?;
        let contents = self.field()?;
        Ok((kind, second, Cursor(contents)))
    }
}
