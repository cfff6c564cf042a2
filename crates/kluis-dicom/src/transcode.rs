//! Rewrites a data set from one encoding of native values into another (PS3.5 A.1 to A.3, 10.1): how elements are written
//! changes, no value does.
//!
//! Made of the outline: bulk values are told as places of the stored data set and never held. Sequences and items come out
//! with undefined lengths, group lengths are left out (they would be wrong), odd values are padded. May not contain: what
//! needs a codec; encapsulated pixel data is not touched.

use crate::{
    Tag, VR, element_value,
    part10::{BulkKind, Event, Outline, Value, has_long_length},
    transfer_syntax::{self, Encoding},
};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;
const DEFLATED_EXPLICIT: &str = "1.2.840.10008.1.2.1.99";

/// A part of the new data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Bytes of the (inflated) stored data set; where `unit` is more than one, the bytes of each such unit are reversed.
    Stored {
        /// Where they begin.
        offset: u64,
        /// How many.
        length: u64,
        /// Bytes that change places together: 1, 2, 4 or 8.
        unit: usize,
    },
}

/// A data set in another encoding, as the pieces it is put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// In order; the stored ones in ascending order of their places.
    pub pieces: Vec<Piece>,
    /// Bytes in all.
    pub length: u64,
}

/// Whether data sets in one transfer syntax can be rewritten into the other: both with the pixels as one value within, the
/// target little endian and not deflated.
#[must_use]
pub fn is_possible(from: &str, to: &str) -> bool {
    use transfer_syntax::{EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN};
    // those whose pixels are outside of the data set would be an image without pixels
    let within = [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN, DEFLATED_EXPLICIT];
    from != to && within.contains(&from) && [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN].contains(&to)
}

/// The data set of an outline in another encoding. `None` where it has encapsulated pixel data, or a value that the target
/// has no room for.
#[must_use]
pub fn rewrite(outline: &Outline, to: Encoding) -> Option<Rewritten> {
    let mut writer = Writer { to, pieces: Vec::new(), open: Vec::new(), length: 0 };
    let mut events = outline.header.events();
    while let Some(event) = events.next() {
        writer.event(&event, events.is_big_endian())?;
    }
    writer.cut();
    Some(Rewritten { pieces: writer.pieces, length: writer.length })
}

/// Reverses the bytes of each unit of a stored piece, in whatever parts it comes.
#[derive(Debug, Clone)]
pub struct Swapper {
    unit: usize,
    /// Less than a unit.
    carried: Vec<u8>,
}

impl Swapper {
    /// For a piece with such units.
    #[must_use]
    pub fn new(unit: usize) -> Self {
        Self { unit: unit.max(1), carried: Vec::new() }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unit == 1
    }

    /// The next part of the piece; with `is_last`, what is left of an unfinished unit comes out as it is.
    #[must_use]
    pub fn swap(&mut self, bytes: &[u8], is_last: bool) -> Vec<u8> {
        let mut swapped = std::mem::take(&mut self.carried);
        swapped.extend_from_slice(bytes);
        let rest = swapped.len().checked_rem(self.unit).unwrap_or_default();
        if !is_last {
            self.carried = swapped.split_off(swapped.len().saturating_sub(rest));
        }
        swapped.chunks_exact_mut(self.unit).for_each(<[u8]>::reverse);
        swapped
    }
}

struct Writer {
    to: Encoding,
    pieces: Vec<Piece>,
    /// Bytes that are gathered for the next piece.
    open: Vec<u8>,
    /// Of the pieces.
    length: u64,
}

impl Writer {
    fn event(&mut self, event: &Event<'_>, is_big_endian: bool) -> Option<()> {
        match event {
            // and what strayed in from file meta information names the old transfer syntax
            Event::Element { tag: Tag(_, 0) | Tag(0x0002, _), .. } => {}
            Event::Element { tag, vr, value: Value::Inline(bytes) } => {
                let swapped = element_value::little_endian(*vr, bytes, is_big_endian);
                let pad = padding(*vr, bytes.len() as u64);
                self.header(*tag, *vr, (bytes.len() as u64).checked_add(pad.len() as u64)?)?;
                self.open.extend_from_slice(&swapped);
                self.open.extend_from_slice(pad);
            }
            Event::Element { tag, vr, value: Value::Bulk { span, .. } } => {
                if span.kind != BulkKind::Value {
                    return None;
                }
                let pad = padding(*vr, span.length);
                self.header(*tag, *vr, span.length.checked_add(pad.len() as u64)?)?;
                self.cut();
                let unit = if is_big_endian { element_value::unit_width(*vr) } else { 1 };
                self.pieces.push(Piece::Stored { offset: span.offset, length: span.length, unit });
                self.length = self.length.checked_add(span.length)?;
                self.open.extend_from_slice(pad);
            }
            Event::SequenceStart { tag } => self.undefined(*tag, VR::SQ),
            Event::ItemStart => self.mark(ITEM, UNDEFINED),
            Event::ItemEnd => self.mark(ITEM_END, 0),
            Event::SequenceEnd => self.mark(SEQUENCE_END, 0),
        }
        Some(())
    }

    /// A value over 65,534 bytes of a VR with a short length goes out as UN (PS3.5 6.2.2, note 2).
    fn header(&mut self, tag: Tag, vr: VR, length: u64) -> Option<()> {
        let length = u32::try_from(length).ok().filter(|length| *length != UNDEFINED)?;
        match u16::try_from(length) {
            Ok(short) if self.to.explicit_vr && !has_long_length(vr) => {
                self.tag(tag);
                self.open.extend_from_slice(vr.to_string().as_bytes());
                self.open.extend_from_slice(&short.to_le_bytes());
            }
            _ if self.to.explicit_vr => self.long(tag, if has_long_length(vr) { vr } else { VR::UN }, length),
            _ => self.mark(tag, length),
        }
        Some(())
    }

    fn undefined(&mut self, tag: Tag, vr: VR) {
        match self.to.explicit_vr {
            true => self.long(tag, vr, UNDEFINED),
            false => self.mark(tag, UNDEFINED),
        }
    }

    fn long(&mut self, tag: Tag, vr: VR, length: u32) {
        self.tag(tag);
        self.open.extend_from_slice(vr.to_string().as_bytes());
        self.open.extend_from_slice(&[0, 0]);
        self.open.extend_from_slice(&length.to_le_bytes());
    }

    /// Without a VR: items, delimiters, and every element of implicit VR.
    fn mark(&mut self, tag: Tag, length: u32) {
        self.tag(tag);
        self.open.extend_from_slice(&length.to_le_bytes());
    }

    fn tag(&mut self, Tag(group, element): Tag) {
        self.open.extend_from_slice(&group.to_le_bytes());
        self.open.extend_from_slice(&element.to_le_bytes());
    }

    fn cut(&mut self) {
        if !self.open.is_empty() {
            self.length = self.length.saturating_add(self.open.len() as u64);
            self.pieces.push(Piece::Bytes(std::mem::take(&mut self.open)));
        }
    }
}

fn padding(vr: VR, length: u64) -> &'static [u8] {
    match (length.is_multiple_of(2), element_value::is_text(vr) && vr != VR::UI) {
        (true, _) => &[],
        (false, true) => b" ",
        (false, false) => &[0],
    }
}

#[cfg(test)]
mod tests;
