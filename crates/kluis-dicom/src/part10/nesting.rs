//! Which sequences and items are open, and what the next header means among them; shared by the gate and the events, so
//! that both always see the same structure.

use dicom_core::{Tag, VR};

use super::{
    element::{
        ElementHeader, ITEM, ITEM_DELIMITER, PIXEL_DATA, SEQUENCE_DELIMITER, SHORTEST_HEADER, Syntax, UNDEFINED,
        dictionary_vr, lacks_vr,
    },
    outline::RepairKind,
    refusal::{Place, Refusal},
};

/// What one header begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An element with a value of `length` bytes.
    Value {
        vr: VR,
        length: u32,
    },
    /// An element with an encapsulated value.
    Fragments {
        vr: VR,
    },
    SequenceStart,
    ItemStart,
    ItemEnd,
    SequenceEnd,
}

/// The data set, a sequence or an item that is open.
#[derive(Debug, Clone, Copy)]
struct Level {
    is_item: bool,
    syntax: Syntax,
    /// Of the sequence; of the item, `ITEM`.
    tag: Tag,
    /// Of its header.
    offset: u64,
    /// Where it ends, when its length is defined.
    end: Option<u64>,
    /// Where the innermost open level with a defined length ends.
    bound: u64,
    /// The element before the next one; `None` before the first.
    last: Option<Tag>,
    /// Of a sequence, so far.
    items: u32,
    /// Pixel representation, from here or from around.
    is_signed: bool,
}

/// The open levels, the data set itself first.
#[derive(Debug, Clone)]
pub(super) struct Nesting {
    root: Level,
    open: Vec<Level>,
    /// What was wrong in the last step and did no harm.
    pub(super) note: Option<RepairKind>,
}

impl Nesting {
    pub(super) fn new(syntax: Syntax) -> Self {
        let root = Level {
            is_item: true,
            syntax,
            tag: Tag(0, 0),
            offset: 0,
            end: None,
            bound: u64::MAX,
            last: None,
            items: 0,
            is_signed: false,
        };
        Self { root, open: Vec::new(), note: None }
    }

    /// How many sequences are open.
    pub(super) fn depth(&self) -> u32 {
        u32::try_from(self.open.len().div_ceil(2)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_root(&self) -> bool {
        self.open.is_empty()
    }

    /// Encoding of the next header.
    pub(super) fn syntax(&self) -> Syntax {
        self.top().syntax
    }

    /// Items of the innermost open sequence.
    pub(super) fn items(&self) -> u32 {
        self.open.iter().rev().find(|level| !level.is_item).map_or(0, |level| level.items)
    }

    /// Bytes that the innermost open level of defined length still has at `offset`; `None` where the offset is beyond.
    pub(super) fn available(&self, offset: u64) -> Option<u64> {
        self.top().bound.checked_sub(offset)
    }

    /// The innermost open sequence or item, for saying where bytes ended.
    pub(super) fn innermost(&self) -> Option<Place> {
        let tag = self.open.iter().rev().find(|level| !level.is_item)?.tag;
        Some(Place { tag, offset: self.open.last()?.offset, depth: self.depth() })
    }

    /// Remembers (0028,0103), on which the representation of other elements in implicit VR depends.
    pub(super) fn set_signed(&mut self, is_signed: bool) {
        self.top_mut().is_signed = is_signed;
    }

    /// Looks at the first bytes of an item: one in implicit VR inside a data set in explicit VR is read as what it is.
    pub(super) fn probe(&mut self, bytes: [u8; SHORTEST_HEADER]) {
        self.note = None;
        let is_fresh_item = !self.is_root() && self.top().is_item && self.top().last.is_none();
        if is_fresh_item && self.top().syntax.explicit_vr && lacks_vr(bytes, self.top().syntax) {
            self.top_mut().syntax.explicit_vr = false;
            self.note = Some(RepairKind::ImplicitItem);
        }
    }

    /// Closes the innermost level when it has a defined length and ends at `offset`.
    pub(super) fn close_at(&mut self, offset: u64) -> Option<Step> {
        if self.open.last()?.end != Some(offset) {
            return None;
        }
        let level = self.open.pop()?;
        Some(if level.is_item { Step::ItemEnd } else { Step::SequenceEnd })
    }

    /// Takes the next header, whose first byte is at `offset`.
    pub(super) fn step(&mut self, header: &ElementHeader, offset: u64) -> Result<Step, Refusal> {
        let size = header.size as u64;
        let length = if header.length == UNDEFINED { 0 } else { u64::from(header.length) };
        let value_at = offset.saturating_add(size);
        let is_inside = self.available(value_at).is_some_and(|available| length <= available);
        if !is_inside {
            let available = self.available(offset).unwrap_or(0);
            let place = self.place(header.tag, offset);
            return Err(Refusal::LengthBeyondParent { place, length: size.saturating_add(length), available });
        }
        let end = (header.length != UNDEFINED).then(|| value_at.saturating_add(length));
        match (self.top().is_item, header.tag) {
            (false, ITEM) => Ok(self.open_item(offset, end)),
            (false, SEQUENCE_DELIMITER) => self.close(header, offset, Step::SequenceEnd),
            (false, _) => Err(Refusal::ItemExpected(self.place(header.tag, offset))),
            (true, ITEM_DELIMITER) if !self.is_root() => self.close(header, offset, Step::ItemEnd),
            (true, Tag(0xFFFE, _)) => Err(Refusal::UnexpectedDelimiter(self.place(header.tag, offset))),
            (true, _) => self.element(header, offset, end),
        }
    }

    fn open_item(&mut self, offset: u64, end: Option<u64>) -> Step {
        let sequence = self.top_mut();
        sequence.items = sequence.items.saturating_add(1);
        let outer = *sequence;
        let bound = end.unwrap_or(outer.bound);
        self.open.push(Level { is_item: true, tag: ITEM, offset, end, bound, last: None, items: 0, ..outer });
        Step::ItemStart
    }

    fn close(&mut self, header: &ElementHeader, offset: u64, step: Step) -> Result<Step, Refusal> {
        if self.top().end.is_some() {
            return Err(Refusal::UnexpectedDelimiter(self.place(header.tag, offset)));
        }
        if header.length != 0 {
            return Err(Refusal::DelimiterLength(self.place(header.tag, offset)));
        }
        self.open.pop();
        Ok(step)
    }

    fn element(&mut self, header: &ElementHeader, offset: u64, end: Option<u64>) -> Result<Step, Refusal> {
        let item = *self.top();
        let Some(kind) = classify(header, item.syntax, item.is_signed) else {
            return Err(Refusal::UndefinedLength(self.place(header.tag, offset)));
        };
        match item.last {
            Some(last) if last == header.tag => self.note = Some(RepairKind::TagTwice),
            Some(last) if last > header.tag => self.note = Some(RepairKind::TagOrder),
            _ => {}
        }
        self.top_mut().last = Some(header.tag);
        Ok(match kind {
            Kind::Value(vr) => Step::Value { vr, length: header.length },
            Kind::Fragments(vr) => Step::Fragments { vr },
            Kind::Sequence(syntax) => {
                let bound = end.unwrap_or(item.bound);
                let tag = header.tag;
                self.open.push(Level { is_item: false, syntax, tag, offset, end, bound, last: None, items: 0, ..item });
                Step::SequenceStart
            }
        })
    }

    fn place(&self, tag: Tag, offset: u64) -> Place {
        Place { tag, offset, depth: self.depth() }
    }

    fn top(&self) -> &Level {
        self.open.last().unwrap_or(&self.root)
    }

    fn top_mut(&mut self) -> &mut Level {
        self.open.last_mut().unwrap_or(&mut self.root)
    }
}

enum Kind {
    Value(VR),
    Fragments(VR),
    Sequence(Syntax),
}

/// What kind of value an element has; `None` where its length may not be undefined.
fn classify(header: &ElementHeader, syntax: Syntax, is_signed: bool) -> Option<Kind> {
    let is_undefined = header.length == UNDEFINED;
    let Some(vr) = header.vr else {
        // Implicit VR. The only meaning of an undefined length is a sequence, also where the tag is unknown (PS3.5 6.2.2).
        return Some(match dictionary_vr(header.tag, is_signed) {
            Some(vr @ (VR::OB | VR::OW)) if is_undefined => Kind::Fragments(vr),
            Some(VR::SQ) => Kind::Sequence(syntax),
            _ if is_undefined => Kind::Sequence(syntax),
            Some(vr) => Kind::Value(vr),
            None => Kind::Value(VR::UN),
        });
    };
    match vr {
        VR::SQ => Some(Kind::Sequence(syntax)),
        VR::UN if is_undefined && header.tag != PIXEL_DATA => Some(Kind::Sequence(Syntax::IMPLICIT)),
        VR::OB | VR::OW | VR::UN if is_undefined => Some(Kind::Fragments(vr)),
        _ if is_undefined => None,
        VR::UN => Some(Kind::Value(known_vr(header.tag, syntax, is_signed).unwrap_or(VR::UN))),
        vr => Some(Kind::Value(vr)),
    }
}

/// What an element written as UN really is, when the dictionary knows it: its value is as in implicit VR little endian
/// (PS3.5 6.2.2). A sequence stays UN, as its items were not checked.
fn known_vr(tag: Tag, syntax: Syntax, is_signed: bool) -> Option<VR> {
    if syntax.big_endian {
        return None;
    }
    dictionary_vr(tag, is_signed).filter(|vr| *vr != VR::SQ)
}
