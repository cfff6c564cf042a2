//! Inflates a deflated data set as it arrives (PS3.5 A.5, RFC 1951), within limits.

use flate2::{Decompress, FlushDecompress, Status};

use super::refusal::Refusal;
use crate::limits::Limits;

/// Bytes inflated at a time.
const STEP: usize = 32 << 10;
/// CRC-32 and length, which some writers leave behind the stream as in gzip (RFC 1952 2.3.1), in bytes.
const TRAILER: usize = 8;

/// What stands behind the deflated stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing, or the zero that makes the length even.
    Padding,
    /// A gzip trailer that gives the right length.
    Trailer,
}

pub(super) struct Inflate {
    stream: Decompress,
    step: Vec<u8>,
    limits: Limits,
    is_done: bool,
    trailer: Vec<u8>,
}

impl Inflate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { stream: Decompress::new(false), step: vec![0; STEP], limits, is_done: false, trailer: Vec::new() }
    }

    /// Inflates `bytes` and gives what comes out to `sink`, at most 32 KiB at a time.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        while !self.is_done {
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(bytes, &mut self.step, FlushDecompress::None)
                .map_err(|_| Refusal::DeflateDamaged { offset: before_out })?;
            let taken = usize::try_from(self.stream.total_in() - before_in).unwrap_or(usize::MAX);
            let made = usize::try_from(self.stream.total_out() - before_out).unwrap_or(usize::MAX);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.check_growth()?;
            sink(self.step.get(..made).unwrap_or_default())?;
            self.is_done = status == Status::StreamEnd;
            match (self.is_done, taken, made) {
                (false, 0, 0) if bytes.is_empty() => return Ok(()),
                (false, 0, 0) => return Err(Refusal::DeflateDamaged { offset: before_out }),
                _ => {}
            }
        }
        self.keep_trailer(bytes)
    }

    /// Ends the stream and tells what stood behind it.
    pub(super) fn finish(&self) -> Result<Tail, Refusal> {
        if !self.is_done {
            return Err(Refusal::DeflateTruncated);
        }
        if self.trailer.iter().all(|byte| *byte == 0) {
            return Ok(Tail::Padding);
        }
        match self.trailer.last_chunk() {
            Some(length) if u64::from(u32::from_le_bytes(*length)) == self.stream.total_out() & 0xFFFF_FFFF => {
                Ok(Tail::Trailer)
            }
            _ => Err(Refusal::BytesAfterDeflate),
        }
    }

    fn keep_trailer(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (head, rest) = bytes.split_at(bytes.len().min(TRAILER - self.trailer.len()));
        self.trailer.extend_from_slice(head);
        if rest.iter().any(|byte| *byte != 0) { Err(Refusal::BytesAfterDeflate) } else { Ok(()) }
    }

    fn check_growth(&self) -> Result<(), Refusal> {
        let (read, made) = (self.stream.total_in(), self.stream.total_out());
        let ratio = self.limits.inflate_ratio;
        let is_bomb = made > self.limits.inflate_free_bytes && made > read.saturating_mul(ratio);
        if is_bomb { Err(Refusal::DeflateRatio { ratio }) } else { Ok(()) }
    }
}
