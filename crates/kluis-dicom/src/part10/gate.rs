//! The gate: takes bytes as they arrive, in slices of any size, and says what they are or why they are refused.

use dicom_core::Tag;

use super::{
    Outline, Refusal,
    element::Syntax,
    head::{Head, Resolved},
    inflate::{Inflate, Tail},
    outline::RepairKind,
    refusal::Place,
    scanner::{Repairs, Scanner},
};
use crate::{
    Uid,
    limits::Limits,
    transfer_syntax::{self, PixelEncoding, TransferSyntax},
};

/// How much of a push is looked at together while the head of a file is not complete, in bytes.
const HEAD_STEP: usize = 1 << 10;

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
///
/// Holds the header, 16 bytes a fragment, and at most 256 KiB beside them, whatever the bytes say.
pub struct Gate {
    limits: Limits,
    stage: Stage,
    refusal: Option<Refusal>,
}

enum Stage {
    Head(Head),
    Body(Box<Body>),
}

struct Body {
    transfer_syntax: &'static TransferSyntax,
    file_meta: Vec<u8>,
    length: u64,
    inflate: Option<Inflate>,
    scanner: Scanner,
}

impl Gate {
    /// A gate for one object.
    ///
    /// # Errors
    /// [`Refusal::UnknownTransferSyntax`] for a data set in a syntax that PS3.6 does not name.
    pub fn new(source: Source, limits: Limits) -> Result<Self, Refusal> {
        let stage = match source {
            Source::File => Stage::Head(Head::new(limits)),
            Source::DataSet { transfer_syntax: uid } => {
                let Some(transfer_syntax) = transfer_syntax::lookup(uid.as_str()) else {
                    return Err(Refusal::UnknownTransferSyntax { uid });
                };
                Stage::Body(Box::new(Body::new(transfer_syntax, Vec::new(), Repairs::default(), limits)))
            }
        };
        Ok(Self { limits, stage, refusal: None })
    }

    /// Takes the next bytes as they arrive; returns those that belong to the data set, to be kept as they are.
    ///
    /// # Errors
    /// Whatever is wrong; the gate then stays shut, and says the same again.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<DataSetBytes<'a>, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let pushed = match &mut self.stage {
            Stage::Body(body) => body.push(bytes).map(|()| DataSetBytes { carried: Vec::new(), rest: bytes }),
            Stage::Head(_) => self.push_head(bytes),
        };
        if let Err(refusal) = &pushed {
            self.refusal = Some(refusal.clone());
        }
        pushed
    }

    /// Ends the object. The bytes of the data set that were still held back are few and come only from files of less than
    /// 132 bytes.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] with the place where the bytes end, and whatever else is wrong.
    pub fn finish(mut self) -> Result<(DataSetBytes<'static>, Outline), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let mut carried = Vec::new();
        let body = match self.stage {
            Stage::Body(body) => body,
            Stage::Head(ref mut head) => {
                let Some(resolved) = head.resolve(true)? else { return Err(Refusal::NotDicom) };
                let mut body = Body::of_file(head, &resolved, self.limits);
                carried = head.bytes.split_off(resolved.data_set_at);
                body.push(&carried)?;
                Box::new(body)
            }
        };
        Ok((DataSetBytes { carried, rest: &[] }, body.finish()?))
    }

    /// Bytes that the gate holds in memory: the header so far, and the places of what is not in it.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match &self.stage {
            Stage::Head(head) => head.bytes.len(),
            Stage::Body(body) => body.file_meta.len().saturating_add(body.scanner.held_bytes()),
        }
    }

    fn push_head<'a>(&mut self, bytes: &'a [u8]) -> Result<DataSetBytes<'a>, Refusal> {
        let Stage::Head(head) = &mut self.stage else { return Ok(DataSetBytes::default()) };
        let held = head.bytes.len();
        let mut ahead = bytes;
        let resolved = loop {
            if ahead.is_empty() {
                return Ok(DataSetBytes::default());
            }
            let (step, rest) = ahead.split_at(HEAD_STEP.min(ahead.len()));
            head.bytes.extend_from_slice(step);
            ahead = rest;
            if let Some(resolved) = head.resolve(false)? {
                break resolved;
            }
        };
        let mut body = Box::new(Body::of_file(head, &resolved, self.limits));
        body.push(head.bytes.get(resolved.data_set_at..).unwrap_or_default())?;
        body.push(ahead)?;
        let pushed = match resolved.data_set_at.checked_sub(held) {
            Some(from) => DataSetBytes { carried: Vec::new(), rest: bytes.get(from..).unwrap_or_default() },
            None => {
                let carried = head.bytes.get(resolved.data_set_at..held).unwrap_or_default().to_vec();
                DataSetBytes { carried, rest: bytes }
            }
        };
        self.stage = Stage::Body(body);
        Ok(pushed)
    }
}

impl Outline {
    /// The outline of an object that is in memory as a whole, with the default limits.
    ///
    /// # Errors
    /// As [`Gate::push`] and [`Gate::finish`].
    pub fn of(source: Source, bytes: &[u8]) -> Result<Self, Refusal> {
        let mut gate = Gate::new(source, Limits::default())?;
        gate.push(bytes)?;
        Ok(gate.finish()?.1)
    }
}

impl Body {
    fn new(transfer_syntax: &'static TransferSyntax, file_meta: Vec<u8>, repairs: Repairs, limits: Limits) -> Self {
        let encoding = transfer_syntax.encoding;
        let syntax = Syntax { explicit_vr: encoding.explicit_vr, big_endian: encoding.big_endian };
        let is_native = transfer_syntax.pixels == PixelEncoding::Native;
        Self {
            transfer_syntax,
            file_meta,
            length: 0,
            inflate: encoding.deflated.then(|| Inflate::new(limits)),
            scanner: Scanner::new(syntax, is_native, limits, repairs),
        }
    }

    fn of_file(head: &Head, resolved: &Resolved, limits: Limits) -> Self {
        let file_meta = head.bytes.get(resolved.file_meta.clone()).unwrap_or_default().to_vec();
        Self::new(resolved.transfer_syntax, file_meta, resolved.repairs.clone(), limits)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        match &mut self.inflate {
            None => self.scanner.push(bytes),
            Some(inflate) => inflate.push(bytes, |made| self.scanner.push(made)),
        }
    }

    fn finish(self) -> Result<Outline, Refusal> {
        let tail = self.inflate.as_ref().map(Inflate::finish).transpose()?;
        let mut scanned = self.scanner.finish()?;
        if tail == Some(Tail::Trailer) {
            let place = Place { tag: Tag(0, 0), offset: scanned.length, depth: 0 };
            scanned.repairs.note(RepairKind::DeflateTrailer, place);
        }
        Ok(Outline {
            transfer_syntax: self.transfer_syntax.uid.parse().map_err(|_| Refusal::InvalidTransferSyntax)?,
            header: scanned.header,
            data_set_length: self.length,
            inflated_length: scanned.length,
            file_meta: self.file_meta,
            repairs: scanned.repairs.0,
        })
    }
}
