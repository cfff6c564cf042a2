//! The header of one data element, item or delimiter (PS3.5 7.1, 7.5, A.1 to A.3).

use dicom_core::{
    Tag, VR,
    dictionary::{DataDictionary, VirtualVr},
};
use dicom_dictionary_std::StandardDataDictionary;

/// The length that says "until the delimiter".
pub(super) const UNDEFINED: u32 = u32::MAX;

pub(super) const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub(super) const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
pub(super) const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
pub(super) const FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0008);
pub(super) const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7FE0, 0x0009);
pub(super) const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
pub(super) const EXTENDED_LENGTHS: Tag = Tag(0x7FE0, 0x0002);

/// The longest header, in bytes.
pub(super) const LONGEST_HEADER: usize = 12;
/// What must be there before anything can be told, in bytes.
pub(super) const SHORTEST_HEADER: usize = 8;

/// How elements are written at one place of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) explicit_vr: bool,
    pub(super) big_endian: bool,
}

impl Syntax {
    pub(super) const IMPLICIT: Self = Self { explicit_vr: false, big_endian: false };

    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn tag(self, bytes: [u8; 4]) -> Tag {
        let [a, b, c, d] = bytes;
        Tag(self.u16([a, b]), self.u16([c, d]))
    }
}

/// A header as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ElementHeader {
    pub(super) tag: Tag,
    /// `None` in implicit VR and for items and delimiters.
    pub(super) vr: Option<VR>,
    pub(super) length: u32,
    /// Of the header itself, in bytes.
    pub(super) size: usize,
    /// Whether the letters are no value representation and `vr` is UN instead.
    pub(super) is_vr_unknown: bool,
}

/// What the first bytes of an element give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded {
    /// This many bytes are needed.
    Needs(usize),
    Header(ElementHeader),
    /// Where the value representation should stand is something that cannot be read safely.
    UnknownVr(Tag),
}

/// Reads a header from the first bytes of an element.
///
/// Letters that are no value representation: two capitals are one of a later edition, which always has a long length
/// (PS3.5 7.1.2); `??`, `--`, blanks and zeros are written by devices that do not know it either, with a short one.
pub(super) fn decode(bytes: &[u8], syntax: Syntax) -> Decoded {
    let Some(&[a, b, c, d, e, f, g, h]) = bytes.first_chunk() else { return Decoded::Needs(SHORTEST_HEADER) };
    let tag = syntax.tag([a, b, c, d]);
    if tag.0 == 0xFFFE || !syntax.explicit_vr {
        let length = syntax.u32([e, f, g, h]);
        return Decoded::Header(ElementHeader { tag, vr: None, length, size: 8, is_vr_unknown: false });
    }
    let known = VR::from_binary([e, f]);
    let is_vr_unknown = known.is_none();
    let is_long = match known {
        Some(vr) => has_long_length(vr),
        None if is_blank([e, f]) => false,
        None if e.is_ascii_uppercase() && f.is_ascii_uppercase() && [g, h] == [0, 0] => true,
        None => return Decoded::UnknownVr(tag),
    };
    let vr = known.or(Some(VR::UN));
    if !is_long {
        let length = u32::from(syntax.u16([g, h]));
        return Decoded::Header(ElementHeader { tag, vr, length, size: 8, is_vr_unknown });
    }
    let Some(&[.., i, j, k, l]) = bytes.first_chunk::<LONGEST_HEADER>() else { return Decoded::Needs(LONGEST_HEADER) };
    Decoded::Header(ElementHeader { tag, vr, length: syntax.u32([i, j, k, l]), size: 12, is_vr_unknown })
}

/// Whether the first bytes of an item of a data set in explicit VR show that the item is in implicit VR, as some devices
/// write it: there is nothing like a value representation.
pub(super) fn lacks_vr(bytes: [u8; SHORTEST_HEADER], syntax: Syntax) -> bool {
    let [a, b, c, d, e, f, ..] = bytes;
    let is_vr_like = e.is_ascii_uppercase() && f.is_ascii_uppercase() || is_blank([e, f]) && [e, f] != [0, 0];
    syntax.tag([a, b, c, d]).0 != 0xFFFE && !is_vr_like
}

fn is_blank(letters: [u8; 2]) -> bool {
    matches!(&letters, b"??" | b"--" | b"  " | [0, 0])
}

pub(crate) fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// The value representation that an element of implicit VR has (PS3.6; PS3.5 A.1 for those that depend on others:
/// pixel, overlay and LUT data are OW). `is_signed` is the pixel representation around it. `None`: not in the dictionary.
pub(super) fn dictionary_vr(tag: Tag, is_signed: bool) -> Option<VR> {
    Some(match StandardDataDictionary.by_tag(tag)?.vr {
        VirtualVr::Exact(vr) => vr,
        VirtualVr::Xs if is_signed => VR::SS,
        VirtualVr::Xs => VR::US,
        _ => VR::OW,
    })
}

/// Whether a value is cut out of the header wherever it stands and whatever its length.
pub(super) fn is_pixel_data(tag: Tag) -> bool {
    matches!(tag, PIXEL_DATA | FLOAT_PIXEL_DATA | DOUBLE_FLOAT_PIXEL_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: Syntax = Syntax { explicit_vr: true, big_endian: false };
    const BIG: Syntax = Syntax { explicit_vr: true, big_endian: true };

    #[test]
    fn decode_table() {
        let header = |group, element, vr, length, size, is_vr_unknown| {
            Decoded::Header(ElementHeader { tag: Tag(group, element), vr, length, size, is_vr_unknown })
        };
        for (bytes, syntax, decoded) in [
            (&b"\x10\0\x20\0LO\x04\0"[..], EXPLICIT, header(0x10, 0x20, Some(VR::LO), 4, 8, false)),
            (b"\0\x10\0\x20LO\0\x04", BIG, header(0x10, 0x20, Some(VR::LO), 4, 8, false)),
            (b"\x10\0\x20\0\x04\0\0\0", Syntax::IMPLICIT, header(0x10, 0x20, None, 4, 8, false)),
            (b"\xE0\x7F\x10\0OW\0\0", EXPLICIT, Decoded::Needs(12)),
            (b"\xE0\x7F\x10\0OW\0\0\0\0\x01\0", EXPLICIT, header(0x7FE0, 0x10, Some(VR::OW), 65536, 12, false)),
            (b"\x7F\xE0\0\x10OW\0\0\0\x01\0\0", BIG, header(0x7FE0, 0x10, Some(VR::OW), 65536, 12, false)),
            (b"\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF", EXPLICIT, header(0xFFFE, 0xE000, None, UNDEFINED, 8, false)),
            (b"\x10\0\x20\0??\x04\0", EXPLICIT, header(0x10, 0x20, Some(VR::UN), 4, 8, true)),
            (b"\x10\0\x20\0ZZ\0\0\x04\0\0\0", EXPLICIT, header(0x10, 0x20, Some(VR::UN), 4, 12, true)),
            (b"\x10\0\x20\0ZZ\x04\0", EXPLICIT, Decoded::UnknownVr(Tag(0x10, 0x20))),
            (b"\x10\0\x20\0\x04\0\0\0", EXPLICIT, Decoded::UnknownVr(Tag(0x10, 0x20))),
            (b"\x10\0\x20\0lo\x04\0", EXPLICIT, Decoded::UnknownVr(Tag(0x10, 0x20))),
            (b"\x10\0\x20", EXPLICIT, Decoded::Needs(8)),
        ] {
            assert_eq!(decode(bytes, syntax), decoded, "{bytes:02X?}");
        }
    }

    #[test]
    fn dictionary_vr_table() {
        for (group, element, is_signed, vr) in [
            (0x0010, 0x0010, false, Some(VR::PN)),
            (0x0008, 0x0000, false, Some(VR::UL)),
            (0x0009, 0x0010, false, Some(VR::LO)),
            (0x0009, 0x1001, false, None),
            (0x0028, 0x0106, false, Some(VR::US)),
            (0x0028, 0x0106, true, Some(VR::SS)),
            (0x0028, 0x3006, false, Some(VR::OW)),
            (0x6002, 0x3000, false, Some(VR::OW)),
            (0x7FE0, 0x0010, false, Some(VR::OW)),
            (0x0008, 0x1140, false, Some(VR::SQ)),
        ] {
            assert_eq!(dictionary_vr(Tag(group, element), is_signed), vr, "({group:04X},{element:04X})");
        }
    }
}
