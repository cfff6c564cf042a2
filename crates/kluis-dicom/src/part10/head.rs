//! The head of a DICOM file (PS3.10 7.1): preamble, prefix and file meta information, and what to do where devices left
//! parts of it out.

use std::ops::Range;

use dicom_core::{Tag, VR, dictionary::DataDictionary};
use dicom_dictionary_std::StandardDataDictionary;

use super::{
    element::{Decoded, ElementHeader, Syntax, UNDEFINED, decode},
    outline::RepairKind,
    refusal::{Place, Refusal},
    scanner::Repairs,
};
use crate::{
    Uid,
    limits::Limits,
    transfer_syntax::{self, EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, TransferSyntax},
};

const PREFIX_AT: usize = 128;
const PREFIX: &[u8] = b"DICM";
const META_SYNTAX: Syntax = Syntax { explicit_vr: true, big_endian: false };
/// What tells the encoding of a data set from its first element, in bytes.
const SNIFF: usize = 8;

/// The bytes of a file before its data set, as far as they are there.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    limits: Limits,
    stage: Stage,
    repairs: Repairs,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Where file meta begins is not known.
    Start,
    /// Elements of group 0002 up to `at`.
    Meta(Meta),
    /// The data set begins at `at`.
    DataSet { meta: Meta },
}

#[derive(Clone, Copy)]
struct Meta {
    from: usize,
    at: usize,
    /// End of the group as (0002,0000) says.
    declared_end: Option<usize>,
    /// Where the value of (0002,0010) is.
    transfer_syntax: Option<(usize, usize)>,
    is_deflated: bool,
}

/// A head that is complete.
pub(super) struct Resolved {
    /// Where the data set begins.
    pub(super) data_set_at: usize,
    /// The elements of group 0002.
    pub(super) file_meta: Range<usize>,
    pub(super) transfer_syntax: &'static TransferSyntax,
    pub(super) repairs: Repairs,
}

impl Head {
    pub(super) fn new(limits: Limits) -> Self {
        Self { bytes: Vec::new(), limits, stage: Stage::Start, repairs: Repairs::default() }
    }

    /// Reads on after bytes were added; `None` as long as more are needed. With `is_end`, no more will come.
    pub(super) fn resolve(&mut self, is_end: bool) -> Result<Option<Resolved>, Refusal> {
        loop {
            match self.stage {
                Stage::Start => match self.find_meta(is_end) {
                    Some(from) => {
                        let meta =
                            Meta { from, at: from, declared_end: None, transfer_syntax: None, is_deflated: false };
                        self.stage = Stage::Meta(meta);
                    }
                    None => return Ok(None),
                },
                Stage::Meta(meta) => {
                    if !self.read_element(meta, is_end)? {
                        return Ok(None);
                    }
                }
                Stage::DataSet { meta } => return self.settle(meta, is_end),
            }
        }
    }

    /// Where the first element is; notes what stands before it wrongly.
    fn find_meta(&mut self, is_end: bool) -> Option<usize> {
        let prefix = self.bytes.get(PREFIX_AT..PREFIX_AT + PREFIX.len());
        if prefix.is_none() && !is_end {
            return None;
        }
        if prefix == Some(PREFIX) {
            return Some(PREFIX_AT + PREFIX.len());
        }
        let start = Place { tag: Tag(2, 0), offset: 0, depth: 0 };
        if self.bytes.starts_with(PREFIX) {
            self.repairs.note(RepairKind::PreambleMissing, start);
            return Some(PREFIX.len());
        }
        if self.bytes.starts_with(&[2, 0]) {
            self.repairs.note(RepairKind::PrefixMissing, start);
        } else {
            self.repairs.note(RepairKind::FileMetaMissing, start);
        }
        Some(0)
    }

    /// Reads one element of the group or finds its end; false when more bytes are needed.
    fn read_element(&mut self, mut meta: Meta, is_end: bool) -> Result<bool, Refusal> {
        let rest = self.bytes.get(meta.at..).unwrap_or_default();
        let is_declared_end = meta.declared_end == Some(meta.at);
        if rest.len() < 2 && !is_end && !(is_declared_end && meta.is_deflated) {
            return Ok(false);
        }
        if !rest.starts_with(&[2, 0]) || is_declared_end && meta.is_deflated {
            self.note_length(meta, is_declared_end);
            self.stage = Stage::DataSet { meta };
            return Ok(true);
        }
        let offset = (meta.at - meta.from) as u64;
        let limit = self.limits.file_meta_bytes;
        let header = match meta_header(rest) {
            Some(Ok(header)) => header,
            Some(Err(tag)) => return Err(Refusal::FileMetaMalformed(Place { tag, offset, depth: 0 })),
            None if is_end => return Err(Refusal::FileMetaTruncated),
            None => return Ok(false),
        };
        let place = Place { tag: header.tag, offset, depth: 0 };
        if header.length == UNDEFINED {
            return Err(Refusal::FileMetaMalformed(place));
        }
        if offset.saturating_add(u64::from(header.length)) > limit {
            return Err(Refusal::FileMetaTooLong { limit });
        }
        let from = meta.at + header.size;
        let to = from.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX));
        let Some(value) = self.bytes.get(from..to) else {
            return if is_end { Err(Refusal::FileMetaTruncated) } else { Ok(false) };
        };
        match header.tag {
            Tag(2, 0) => {
                let length = value.first_chunk().map(|length| u32::from_le_bytes(*length));
                meta.declared_end = length.and_then(|length| to.checked_add(usize::try_from(length).ok()?));
            }
            Tag(2, 0x10) => {
                meta.transfer_syntax = Some((from, to));
                meta.is_deflated = Uid::from_value(value)
                    .ok()
                    .and_then(|uid| transfer_syntax::lookup(uid.as_str()))
                    .is_some_and(|syntax| syntax.encoding.deflated);
            }
            _ => {}
        }
        if header.vr.is_none() {
            self.repairs.note(RepairKind::FileMetaImplicit, place);
        }
        meta.at = to;
        self.stage = Stage::Meta(meta);
        Ok(true)
    }

    fn note_length(&mut self, meta: Meta, is_right: bool) {
        let place = Place { tag: Tag(2, 0), offset: 0, depth: 0 };
        match meta.declared_end {
            _ if meta.at == meta.from => {}
            None => self.repairs.note(RepairKind::FileMetaLengthMissing, place),
            Some(_) if !is_right => self.repairs.note(RepairKind::FileMetaLengthWrong, place),
            Some(_) => {}
        }
    }

    /// Decides on the transfer syntax.
    fn settle(&mut self, meta: Meta, is_end: bool) -> Result<Option<Resolved>, Refusal> {
        let declared = match meta.transfer_syntax {
            Some((from, to)) => Some(declared_syntax(self.bytes.get(from..to).unwrap_or_default())?),
            None => None,
        };
        let first = self.bytes.get(meta.at..meta.at + SNIFF);
        let is_plain = declared.is_none_or(|syntax| PLAIN.contains(&syntax.uid));
        if is_plain && first.is_none() && !is_end {
            return Ok(None);
        }
        let seen = first.and_then(sniff);
        let place = Place { tag: Tag(2, 0x10), offset: 0, depth: 0 };
        let transfer_syntax = match (declared, seen) {
            (None, None) if meta.at > meta.from => return Err(Refusal::TransferSyntaxMissing),
            (None, None) => return Err(Refusal::NotDicom),
            (None, Some(seen)) => {
                if meta.at > meta.from {
                    self.repairs.note(RepairKind::TransferSyntaxMissing, place);
                }
                seen
            }
            (Some(declared), Some(seen)) if is_plain && declared != seen => {
                self.repairs.note(RepairKind::TransferSyntaxWrong, place);
                seen
            }
            (Some(declared), _) => declared,
        };
        Ok(Some(Resolved {
            data_set_at: meta.at,
            file_meta: meta.from..meta.at,
            transfer_syntax,
            repairs: std::mem::take(&mut self.repairs),
        }))
    }
}

/// The syntaxes that can be told from the first element, and are confused by devices.
const PLAIN: [&str; 3] = [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN];

/// The transfer syntax that the value of (0002,0010) names.
fn declared_syntax(value: &[u8]) -> Result<&'static TransferSyntax, Refusal> {
    let uid = Uid::from_value(value).map_err(|_| Refusal::InvalidTransferSyntax)?;
    transfer_syntax::lookup(uid.as_str()).ok_or(Refusal::UnknownTransferSyntax { uid })
}

/// A header of group 0002: in explicit VR, or in implicit VR as some devices write it. `None`: more bytes are needed.
fn meta_header(bytes: &[u8]) -> Option<Result<ElementHeader, Tag>> {
    let decoded = match decode(bytes, META_SYNTAX) {
        Decoded::UnknownVr(tag) if dictionary_knows(tag) => decode(bytes, Syntax::IMPLICIT),
        decoded => decoded,
    };
    match decoded {
        Decoded::Needs(_) => None,
        Decoded::Header(header) => Some(Ok(header)),
        Decoded::UnknownVr(tag) => Some(Err(tag)),
    }
}

/// Tells the encoding of a data set from its first element, which must be one that data sets begin with.
fn sniff(first: &[u8]) -> Option<&'static TransferSyntax> {
    let &[a, b, c, d, e, f, g, h] = first.first_chunk::<SNIFF>()?;
    let little = Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
    let big = Tag(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let has_vr = VR::from_binary([e, f]).is_some();
    let length = u32::from_le_bytes([e, f, g, h]);
    let uid = match has_vr {
        true if is_beginning(little) => EXPLICIT_LITTLE_ENDIAN,
        true if is_beginning(big) => EXPLICIT_BIG_ENDIAN,
        // Two letters make a length of more than 16 KiB; below that there is no doubt.
        false if is_beginning(little) && length < 0x4000 => IMPLICIT_LITTLE_ENDIAN,
        _ => return None,
    };
    transfer_syntax::lookup(uid)
}

fn is_beginning(tag: Tag) -> bool {
    (4..=0x20).contains(&tag.0) && tag.0.is_multiple_of(2) && dictionary_knows(tag)
}

fn dictionary_knows(tag: Tag) -> bool {
    StandardDataDictionary.by_tag(tag).is_some()
}
