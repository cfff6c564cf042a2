//! Where an altered object was altered, by the finer hashes of the proof.
//!
//! These carry no proof of their own: they never decide whether an object is altered, only where.

use std::io::Read;

use kluis_dicom::dictionary;
use kluis_ledger::Hash;

use crate::{
    limits,
    proof::{Part, Parts, hashes, tag_of},
};

/// Pieces of a data set, each with its hash.
pub(crate) struct Pieces<'a> {
    pieces: Vec<Piece<'a>>,
}

struct Piece<'a> {
    start: u64,
    end: u64,
    part: &'a Part,
    part_start: u64,
    hash: Hash,
}

impl<'a> Pieces<'a> {
    /// `None` where the list does not make sense, or is not of a data set of this length.
    pub(crate) fn new(parts: &'a Parts, length: u64) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut start = 0_u64;
        for part in &parts.list {
            let end = start.checked_add(part.length).filter(|end| *end <= length)?;
            let mut told = hashes(&part.hashes)?.into_iter();
            let mut at = start;
            let bounds = part.frames.iter().copied().filter(|frame| *frame > start).chain([end]);
            for bound in bounds {
                if bound > end || bound < at {
                    return None;
                }
                while at < bound {
                    let next = bound.min(at.checked_add(parts.step)?);
                    // as many pieces as hashes were told, however long the part is said to be
                    pieces.push(Piece { start: at, end: next, part, part_start: start, hash: told.next()? });
                    at = next;
                }
            }
            if told.next().is_some() {
                return None;
            }
            start = end;
        }
        (start == length).then_some(Self { pieces })
    }

    /// What differs in the data set that follows, in words. Empty where every piece has its hash.
    pub(crate) fn differences(&self, mut data_set: impl Read) -> Vec<String> {
        let (mut places, mut more) = (Vec::new(), 0_u64);
        let mut buffer = Vec::new();
        let mut is_over = false;
        for piece in &self.pieces {
            buffer.clear();
            let length = piece.end - piece.start;
            if !is_over && (&mut data_set).take(length).read_to_end(&mut buffer).is_err() {
                is_over = true;
            }
            if buffer.len() as u64 == length && blake3::hash(&buffer) == piece.hash {
                continue;
            }
            is_over |= (buffer.len() as u64) < length;
            if places.len() < limits::PLACES {
                places.push(piece.place());
            } else {
                more += 1;
            }
            if is_over {
                places.push("and everything behind it: the file ends here".to_owned());
                break;
            }
        }
        if more > 0 {
            places.push(format!("and {more} more places"));
        }
        places
    }
}

impl Piece<'_> {
    fn place(&self) -> String {
        let part = match self.part.tag.as_deref().and_then(tag_of) {
            Some(tag) => {
                let name = dictionary::keyword(tag).unwrap_or(if tag.0 % 2 == 1 { "private" } else { "unknown" });
                format!("({:04X},{:04X}) {name}", tag.0, tag.1)
            }
            None => "data set".to_owned(),
        };
        // before the first frame stands the header of the element
        let frame = self.part.frames.partition_point(|start| *start <= self.start);
        let frame = if frame > 0 { format!(", frame {frame}") } else { String::new() };
        let is_whole = self.start == self.part_start && self.end - self.start == self.part.length;
        if is_whole && self.part.tag.is_some() {
            return format!("{part}{frame}");
        }
        format!("{part}{frame}, bytes {} to {} of the data set", self.start, self.end)
    }
}
