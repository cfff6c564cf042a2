//! Where the frames of an image are in its data set (PS3.5 8.2, A.4; PS3.3 C.7.6.3, C.7.6.6).
//!
//! Needs the outline only: offset tables are part of it. Looks at no pixel.

use std::ops::Range;

use crate::{
    Tag,
    part10::{BulkKind, BulkSpan, Event, Fragment, Outline, Value},
    transfer_syntax::{self, PixelEncoding},
};

/// Media type of native pixel data.
const OCTET_STREAM: &str = "application/octet-stream";

/// The frames of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameTable {
    count: u32,
    media_type: &'static str,
    frames: Frames,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Frames {
    /// Frames of so many bits each, one after the other without gaps.
    Native { offset: u64, frame_bits: u64 },
    /// All fragments without the offset table, and for each frame the index after its last one.
    Encapsulated { fragments: Vec<Fragment>, ends: Vec<usize> },
    /// One fragment a frame, without padding.
    Exact(Vec<Range<u64>>),
    /// One stream of video.
    Stream(Vec<Fragment>),
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
    /// An attribute that says how large a frame is, is missing or no number.
    #[error("({:04X},{:04X}) is missing or no number", .0.0, .0.1)]
    Attribute(Tag),
    /// Native pixel data is shorter than its frames.
    #[error("the pixel data has {length} bytes, its {count} frames need {needed}")]
    TooShort {
        /// In bytes.
        length: u64,
        /// Frames.
        count: u32,
        /// In bytes.
        needed: u64,
    },
    /// The product of the image's measures is beyond any object.
    #[error("the frames are larger than any object can be")]
    TooLarge,
    /// Encapsulated pixel data without any fragment.
    #[error("the encapsulated pixel data has no fragments")]
    NoFragments,
    /// There is no offset table and the number of fragments is not that of the frames.
    #[error("{fragments} fragments are {count} frames, and no offset table tells them apart")]
    Ambiguous {
        /// Without the basic offset table.
        fragments: usize,
        /// Frames.
        count: u32,
    },
    /// The basic offset table has another number of entries than the image has frames, or points elsewhere than to fragments.
    #[error("the basic offset table does not fit the fragments")]
    BasicOffsetTable,
    /// The same of the extended offset table (7FE0,0001) with its lengths (7FE0,0002).
    #[error("the extended offset table does not fit the fragments")]
    ExtendedOffsetTable,
    /// Video is one stream, whose frames cannot be had one by one without decoding it.
    #[error("the pixel data is one stream of video")]
    Video,
}

impl FrameTable {
    /// Reads the size of the image and its offset tables from the outline.
    ///
    /// # Errors
    /// [`FrameError`] by name.
    pub fn new(outline: &Outline) -> Result<Self, FrameError> {
        let image = Image::read(outline);
        let span = image.pixels.ok_or(FrameError::NoPixelData)?;
        let count = match image.frames {
            Number::Missing => 1,
            Number::Is(count) if count > 0 => count,
            _ => return Err(FrameError::Attribute(NUMBER_OF_FRAMES)),
        };
        let BulkKind::Fragments { offset_table, fragments } = &span.kind else {
            let frames = image.native(span, count)?;
            return Ok(Self { count, media_type: OCTET_STREAM, frames });
        };
        let syntax = transfer_syntax::lookup(outline.transfer_syntax.as_str());
        let media_type = syntax
            .filter(|syntax| syntax.pixels == PixelEncoding::Encapsulated)
            .and_then(|syntax| syntax.media_type)
            .unwrap_or(OCTET_STREAM);
        let fragments = fragments.get(1..).unwrap_or_default();
        if fragments.is_empty() {
            return Err(FrameError::NoFragments);
        }
        let frames = if media_type.starts_with("video/") {
            Frames::Stream(fragments.to_vec())
        } else {
            image.encapsulated(offset_table, fragments, count)?
        };
        Ok(Self { count, media_type, frames })
    }

    /// How many frames there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The media type of one frame as stored (PS3.18 8.7.3.3): `application/octet-stream` for native pixel data.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Whether the pixel data is native, so that a frame in a big endian data set has its bytes swapped.
    #[must_use]
    pub fn is_native(&self) -> bool {
        matches!(self.frames, Frames::Native { .. })
    }

    /// The byte ranges of the (inflated) data set that together are frame `number`, counted from 1. Where bits are
    /// packed (Bits Allocated of 1), these are the bytes that the frame has bits in: see [`FrameTable::bits`].
    ///
    /// # Errors
    /// [`FrameError::NoSuchFrame`]; [`FrameError::Video`].
    pub fn frame(&self, number: u32) -> Result<Vec<Range<u64>>, FrameError> {
        let missing = FrameError::NoSuchFrame { number, count: self.count };
        if number == 0 || number > self.count {
            return Err(missing);
        }
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        match &self.frames {
            Frames::Native { offset, frame_bits } => {
                let from = frame_bits.saturating_mul(u64::from(number - 1));
                let to = from.saturating_add(*frame_bits);
                Ok(vec![offset.saturating_add(from / 8)..offset.saturating_add(to.div_ceil(8))])
            }
            Frames::Encapsulated { fragments, ends } => {
                let from = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
                let to = ends.get(index).copied().ok_or(missing)?;
                Ok(fragments.get(from..to).unwrap_or_default().iter().map(fragment_range).collect())
            }
            Frames::Exact(ranges) => ranges.get(index).map(|range| vec![range.clone()]).ok_or(missing),
            Frames::Stream(_) => Err(FrameError::Video),
        }
    }

    /// The byte ranges of all pixel data without item headers and offset table: a whole video, or every frame in turn.
    #[must_use]
    pub fn stream(&self) -> Vec<Range<u64>> {
        match &self.frames {
            Frames::Native { offset, frame_bits } => {
                let length = frame_bits.saturating_mul(u64::from(self.count)).div_ceil(8);
                vec![*offset..offset.saturating_add(length)]
            }
            Frames::Encapsulated { fragments, .. } | Frames::Stream(fragments) => {
                fragments.iter().map(fragment_range).collect()
            }
            Frames::Exact(ranges) => ranges.clone(),
        }
    }

    /// Where in the bytes of [`FrameTable::frame`] the frame is, in bits from the lowest bit of the first byte; `None` where
    /// it is all of them. Frames of packed bits follow one another without padding (PS3.5 8.1.1), while a frame is
    /// returned on its own from a byte boundary on (see [`unpack`]).
    #[must_use]
    pub fn bits(&self, number: u32) -> Option<Range<u64>> {
        let Frames::Native { frame_bits, .. } = self.frames else { return None };
        let shift = frame_bits.checked_mul(u64::from(number.checked_sub(1)?))? % 8;
        let is_whole = frame_bits.is_multiple_of(8) && shift == 0;
        (!is_whole).then(|| shift..shift.saturating_add(frame_bits))
    }
}

/// Takes `bits` out of `bytes`, so that the first one becomes the lowest bit of the first byte; what lies beyond the end of
/// `bytes` is left out.
#[must_use]
pub fn unpack(bytes: &[u8], bits: &Range<u64>) -> Vec<u8> {
    let first = usize::try_from(bits.start / 8).unwrap_or(usize::MAX);
    let shift = u32::try_from(bits.start % 8).unwrap_or(0);
    let count = bits.end.saturating_sub(bits.start);
    let length = usize::try_from(count.div_ceil(8)).unwrap_or(usize::MAX);
    let low = bytes.get(first..).unwrap_or_default();
    let high = low.get(1..).unwrap_or_default().iter().copied().chain([0]);
    let pairs = low.iter().zip(high).take(length);
    let mut frame: Vec<u8> =
        pairs.map(|(low, high)| (u16::from_le_bytes([*low, high]) >> shift).to_le_bytes()[0]).collect();
    let is_whole = frame.len() == length;
    if let (Some(last), true, used @ 1..) = (frame.last_mut(), is_whole, count % 8) {
        *last &= (1u8 << used) - 1;
    }
    frame
}

fn fragment_range(fragment: &Fragment) -> Range<u64> {
    fragment.offset..fragment.offset.saturating_add(fragment.length)
}

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
const EXTENDED_LENGTHS: Tag = Tag(0x7FE0, 0x0002);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// The size of an item header, in bytes.
const ITEM_HEADER: u64 = 8;

/// The value of a number that may be left out.
#[derive(Debug, Clone, Copy, Default)]
enum Number {
    #[default]
    Missing,
    Is(u32),
    Wrong,
}

impl Number {
    /// Of US, or of any other representation that is text (IS).
    fn read(value: &[u8], is_text: bool, is_big_endian: bool) -> Self {
        let number = match value {
            [a, b] if !is_text && is_big_endian => Some(u32::from(u16::from_be_bytes([*a, *b]))),
            [a, b] if !is_text => Some(u32::from(u16::from_le_bytes([*a, *b]))),
            [] => return Self::Missing,
            _ => std::str::from_utf8(value).ok().and_then(|text| text.trim_matches([' ', '\0']).parse().ok()),
        };
        number.map_or(Self::Wrong, Self::Is)
    }

    fn required(self, tag: Tag) -> Result<u64, FrameError> {
        match self {
            Self::Is(number) => Ok(u64::from(number)),
            _ => Err(FrameError::Attribute(tag)),
        }
    }
}

/// What the top level of a data set says about its pixel data.
#[derive(Default)]
struct Image<'a> {
    pixels: Option<&'a BulkSpan>,
    frames: Number,
    rows: Number,
    columns: Number,
    samples: Number,
    bits: Number,
    photometric: &'a [u8],
    extended_offsets: &'a [u8],
    extended_lengths: &'a [u8],
    is_big_endian: bool,
}

impl<'a> Image<'a> {
    fn read(outline: &'a Outline) -> Self {
        let mut image = Self { is_big_endian: outline.header.is_big_endian(), ..Self::default() };
        let mut events = outline.header.events();
        while let Some(event) = events.next() {
            if events.depth() == 0
                && let Event::Element { tag, value, .. } = event
            {
                image.take(tag, &value);
            }
        }
        image
    }

    fn take(&mut self, tag: Tag, value: &Value<'a>) {
        let is_big_endian = self.is_big_endian;
        match (tag, value) {
            (PIXEL_DATA | FLOAT_PIXEL_DATA | DOUBLE_FLOAT_PIXEL_DATA, Value::Bulk { span, .. }) => {
                self.pixels = self.pixels.or(Some(*span));
            }
            (NUMBER_OF_FRAMES, Value::Inline(value)) => self.frames = Number::read(value, true, is_big_endian),
            (ROWS, Value::Inline(value)) => self.rows = Number::read(value, false, is_big_endian),
            (COLUMNS, Value::Inline(value)) => self.columns = Number::read(value, false, is_big_endian),
            (SAMPLES_PER_PIXEL, Value::Inline(value)) => self.samples = Number::read(value, false, is_big_endian),
            (BITS_ALLOCATED, Value::Inline(value)) => self.bits = Number::read(value, false, is_big_endian),
            (PHOTOMETRIC_INTERPRETATION, Value::Inline(value)) => self.photometric = value,
            (EXTENDED_OFFSETS, Value::Inline(value)) => self.extended_offsets = value,
            (EXTENDED_LENGTHS, Value::Inline(value)) => self.extended_lengths = value,
            _ => {}
        }
    }

    fn native(&self, span: &BulkSpan, count: u32) -> Result<Frames, FrameError> {
        let rows = self.rows.required(ROWS)?;
        let columns = self.columns.required(COLUMNS)?;
        let bits = match Tag(span.tag.0, span.tag.1) {
            FLOAT_PIXEL_DATA => 32,
            DOUBLE_FLOAT_PIXEL_DATA => 64,
            _ => self.bits.required(BITS_ALLOCATED)?,
        };
        let samples = match self.samples {
            Number::Missing => 1,
            samples => samples.required(SAMPLES_PER_PIXEL)?,
        };
        let photometric = self.photometric.trim_ascii_end();
        // Two samples of colour for two or four pixels (PS3.3 C.7.6.3.1.2).
        let (numerator, denominator) = match photometric {
            b"YBR_FULL_422" | b"YBR_PARTIAL_422" if samples == 3 => (2, 1),
            b"YBR_PARTIAL_420" if samples == 3 => (3, 2),
            _ => (samples, 1),
        };
        let size = |numerator: u64, denominator: u64| {
            let frame =
                rows.checked_mul(columns)?.checked_mul(bits)?.checked_mul(numerator)?.checked_div(denominator)?;
            Some((frame, frame.checked_mul(u64::from(count))?.div_ceil(8)))
        };
        let (full, needed_full) = size(samples, 1).ok_or(FrameError::TooLarge)?;
        let (frame_bits, needed) = size(numerator, denominator).ok_or(FrameError::TooLarge)?;
        // Some writers name a subsampled space and write all samples: the length tells.
        if needed_full <= span.length {
            return Ok(Frames::Native { offset: span.offset, frame_bits: full });
        }
        if needed > span.length {
            return Err(FrameError::TooShort { length: span.length, count, needed });
        }
        Ok(Frames::Native { offset: span.offset, frame_bits })
    }

    /// One after the other: extended offset table, basic offset table, one fragment a frame, one frame.
    fn encapsulated(&self, basic: &[u8], fragments: &[Fragment], count: u32) -> Result<Frames, FrameError> {
        let frames = usize::try_from(count).unwrap_or(usize::MAX);
        if !self.extended_offsets.is_empty() {
            return self.extended(fragments, frames).ok_or(FrameError::ExtendedOffsetTable);
        }
        let one_each = || (1..=fragments.len()).collect::<Vec<_>>();
        let ends = if frames == 1 {
            vec![fragments.len()]
        } else if frames == fragments.len() {
            one_each()
        } else if basic.is_empty() {
            return Err(FrameError::Ambiguous { fragments: fragments.len(), count });
        } else {
            basic_ends(basic, fragments, frames).ok_or(FrameError::BasicOffsetTable)?
        };
        Ok(Frames::Encapsulated { fragments: fragments.to_vec(), ends })
    }

    /// PS3.3 C.7.6.3.1.8: offsets of the item headers, and the lengths of the frames without padding.
    fn extended(&self, fragments: &[Fragment], frames: usize) -> Option<Frames> {
        let numbers = |table: &'a [u8]| table.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let base = fragments.first()?.offset;
        let is_complete = |table: &[u8]| table.len() / 8 == frames;
        if !is_complete(self.extended_offsets) || !is_complete(self.extended_lengths) || self.is_big_endian {
            return None;
        }
        let mut ranges = Vec::with_capacity(frames.min(fragments.len()));
        for (offset, length) in numbers(self.extended_offsets).zip(numbers(self.extended_lengths)) {
            let at = base.checked_add(offset)?;
            let found = fragments.binary_search_by_key(&at, |fragment| fragment.offset).ok()?;
            let fragment = fragments.get(found).filter(|fragment| length <= fragment.length)?;
            ranges.push(fragment.offset..fragment.offset.checked_add(length)?);
        }
        Some(Frames::Exact(ranges))
    }
}

/// The index after the last fragment of each frame, from a basic offset table whose entries count from the item header of the
/// first fragment (PS3.5 A.4). `None` when an entry is missing, out of order or between fragments.
fn basic_ends(table: &[u8], fragments: &[Fragment], frames: usize) -> Option<Vec<usize>> {
    let (entries, rest) = table.as_chunks::<4>();
    let base = fragments.first()?.offset.checked_sub(ITEM_HEADER)?;
    if entries.len() != frames || !rest.is_empty() || entries.first() != Some(&[0; 4]) {
        return None;
    }
    let mut ends = Vec::with_capacity(frames);
    let mut before = 0;
    for entry in entries.iter().skip(1) {
        let at = base.checked_add(u64::from(u32::from_le_bytes(*entry)))?.checked_add(ITEM_HEADER)?;
        let index = fragments.binary_search_by_key(&at, |fragment| fragment.offset).ok()?;
        if index <= before {
            return None;
        }
        ends.push(index);
        before = index;
    }
    ends.push(fragments.len());
    Some(ends)
}

#[cfg(test)]
mod tests;
