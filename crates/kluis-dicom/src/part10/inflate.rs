//! Inflates a deflated data set as it arrives (PS3.5 A.5, RFC 1951), within limits.

use flate2::{Decompress, FlushDecompress, Status};

use super::refusal::Refusal;
use crate::limits::Limits;

/// Bytes inflated at a time.
const STEP: usize = 32 << 10;

pub(super) struct Inflate {
    stream: Decompress,
    step: Vec<u8>,
    limits: Limits,
    is_done: bool,
}

impl Inflate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { stream: Decompress::new(false), step: vec![0; STEP], limits, is_done: false }
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
            if !self.is_done && made < STEP && (bytes.is_empty() || taken == 0) {
                return Ok(());
            }
        }
        // PS3.5 A.5: one zero may follow, to make the length even.
        if bytes.iter().any(|byte| *byte != 0) { Err(Refusal::BytesAfterDeflate) } else { Ok(()) }
    }

    pub(super) fn finish(&self) -> Result<(), Refusal> {
        if self.is_done { Ok(()) } else { Err(Refusal::DeflateTruncated) }
    }

    fn check_growth(&self) -> Result<(), Refusal> {
        let (read, made) = (self.stream.total_in(), self.stream.total_out());
        let ratio = self.limits.inflate_ratio;
        let is_bomb = made > self.limits.inflate_free_bytes && made > read.saturating_mul(ratio);
        if is_bomb { Err(Refusal::DeflateRatio { ratio }) } else { Ok(()) }
    }
}
