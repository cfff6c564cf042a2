//! Typed values out of the bytes of an element (PS3.5 6.2): numbers by byte order, text without padding.

use std::borrow::Cow;

use crate::{Charset, Tag, VR, dictionary};

/// A number of a binary VR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// SS, SL, SV.
    Signed(i64),
    /// US, UL, UV.
    Unsigned(u64),
    /// FL (exact) and FD.
    Float(f64),
}

/// Bytes of one number of a binary VR; `None` for every other VR.
#[must_use]
pub fn number_width(vr: VR) -> Option<usize> {
    Some(match vr {
        VR::SS | VR::US => 2,
        VR::SL | VR::UL | VR::FL => 4,
        VR::SV | VR::UV | VR::FD => 8,
        _ => return None,
    })
}

/// Bytes of one unit of a VR that is swapped by byte order, where it is more than one; AT is two units of two.
#[must_use]
pub fn unit_width(vr: VR) -> usize {
    match vr {
        VR::OW | VR::AT => 2,
        VR::OL | VR::OF => 4,
        VR::OV | VR::OD => 8,
        _ => number_width(vr).unwrap_or(1),
    }
}

/// The numbers of a value. Bytes at the end that make no whole number are not looked at; other VRs have none.
pub fn numbers(vr: VR, bytes: &[u8], is_big_endian: bool) -> impl Iterator<Item = Number> {
    let width = number_width(vr).unwrap_or(usize::MAX);
    bytes.chunks_exact(width.min(bytes.len().saturating_add(1))).filter_map(move |chunk| {
        let bits = chunk_bits(chunk, is_big_endian);
        Some(match vr {
            // The casts keep the bits: two's complement of the width that was read.
            VR::SS => Number::Signed(i64::from(bits as u16 as i16)),
            VR::SL => Number::Signed(i64::from(bits as u32 as i32)),
            VR::SV => Number::Signed(bits as i64),
            VR::US | VR::UL | VR::UV => Number::Unsigned(bits),
            VR::FL => Number::Float(f64::from(f32::from_bits(bits as u32))),
            VR::FD => Number::Float(f64::from_bits(bits)),
            _ => return None,
        })
    })
}

/// The tags of an AT value.
pub fn tags(bytes: &[u8], is_big_endian: bool) -> impl Iterator<Item = Tag> {
    bytes.chunks_exact(4).filter_map(move |chunk| {
        let (group, element) = chunk.split_at_checked(2)?;
        let half = |bytes| u16::try_from(chunk_bits(bytes, is_big_endian)).ok();
        Some(Tag(half(group)?, half(element)?))
    })
}

/// The bytes of a binary value (OB, OW, …) in little endian order, whatever order the data set has.
#[must_use]
pub fn little_endian(vr: VR, bytes: &[u8], is_big_endian: bool) -> Cow<'_, [u8]> {
    let width = unit_width(vr);
    if !is_big_endian || width == 1 {
        return Cow::Borrowed(bytes);
    }
    let mut swapped = bytes.to_vec();
    swapped.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    Cow::Owned(swapped)
}

/// A VR that is written as text.
#[must_use]
pub fn is_text(vr: VR) -> bool {
    let is_code = matches!(vr, VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR);
    is_code || matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}

/// A text VR of which `\` separates values (PS3.5 6.4).
#[must_use]
pub fn is_multi_valued(vr: VR) -> bool {
    !matches!(vr, VR::LT | VR::ST | VR::UR | VR::UT)
}

/// One value without its padding: trailing spaces and NULs always, leading spaces where they mean nothing (PS3.5 6.2).
#[must_use]
pub fn trim(vr: VR, text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\0']);
    match vr {
        VR::LT | VR::ST | VR::UC | VR::UR | VR::UT | VR::LO | VR::SH | VR::PN => text,
        _ => text.trim_start_matches(' '),
    }
}

/// The VR to read an element by: where it is written as UN (or where the VR of implicit data sets was not known) and the
/// standard knows the attribute, the VR of the standard (PS3.5 6.2.2 note 2).
#[must_use]
pub fn known_vr(tag: Tag, written: VR) -> VR {
    match written {
        VR::UN => dictionary::vr(tag).filter(|vr| *vr != VR::SQ).unwrap_or(VR::UN),
        other => other,
    }
}

/// The first value of a text or numeric element as text: decoded, without padding or spaces around.
#[must_use]
pub fn first_text(charset: Charset, vr: VR, bytes: &[u8], is_big_endian: bool) -> String {
    if let Some(number) = numbers(vr, bytes, is_big_endian).next() {
        return match number {
            Number::Signed(number) => number.to_string(),
            Number::Unsigned(number) => number.to_string(),
            Number::Float(number) => number.to_string(),
        };
    }
    if !is_text(vr) {
        return String::new();
    }
    let text = charset.decode(bytes, vr);
    let first = if is_multi_valued(vr) { text.split('\\').next().unwrap_or_default() } else { &text };
    first.trim_matches([' ', '\0']).to_owned()
}

/// The first value as an integer, of IS and DS as well as of binary VRs; `None` where it is none.
#[must_use]
pub fn first_integer(vr: VR, bytes: &[u8], is_big_endian: bool) -> Option<i64> {
    if let Some(number) = numbers(vr, bytes, is_big_endian).next() {
        return match number {
            Number::Signed(number) => Some(number),
            Number::Unsigned(number) => i64::try_from(number).ok(),
            Number::Float(_) => None,
        };
    }
    let text = first_text(Charset::default(), vr, bytes, is_big_endian);
    // Devices write integers as "1.0", too.
    let whole =
        text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0')).map(|(whole, _)| whole);
    whole.unwrap_or(&text).parse().ok()
}

fn chunk_bits(chunk: &[u8], is_big_endian: bool) -> u64 {
    let push = |bits: u64, byte: &u8| (bits << 8) | u64::from(*byte);
    if is_big_endian { chunk.iter().fold(0, push) } else { chunk.iter().rev().fold(0, push) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_byte_orders() {
        let cases: [(VR, &[u8], Number); 9] = [
            (VR::US, &[0x34, 0x12], Number::Unsigned(0x1234)),
            (VR::SS, &[0xFE, 0xFF], Number::Signed(-2)),
            (VR::UL, &[1, 0, 0, 0x80], Number::Unsigned(0x8000_0001)),
            (VR::SL, &[0xFF, 0xFF, 0xFF, 0xFF], Number::Signed(-1)),
            (VR::SV, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Number::Signed(-2)),
            (VR::UV, &[0xFF; 8], Number::Unsigned(u64::MAX)),
            (VR::FL, &[0, 0, 0xC0, 0x3F], Number::Float(1.5)),
            (VR::FD, &[0, 0, 0, 0, 0, 0, 0xF8, 0xBF], Number::Float(-1.5)),
            (VR::US, &[1, 0, 9], Number::Unsigned(1)),
        ];
        for (vr, bytes, expected) in cases {
            assert_eq!(numbers(vr, bytes, false).collect::<Vec<_>>(), [expected], "{vr}");
            let whole = bytes.len() / number_width(vr).unwrap() * number_width(vr).unwrap();
            let swapped = little_endian(vr, &bytes[..whole], true);
            assert_eq!(numbers(vr, &swapped, true).collect::<Vec<_>>(), [expected], "{vr} big endian");
        }
        assert_eq!(numbers(VR::OB, &[1, 2], false).count(), 0);
        assert_eq!(numbers(VR::US, &[], false).count(), 0);
    }

    #[test]
    fn tags_and_binary_words_in_both_byte_orders() {
        assert_eq!(tags(&[0x10, 0, 0x20, 0], false).collect::<Vec<_>>(), [Tag(0x10, 0x20)]);
        assert_eq!(tags(&[0, 0x10, 0, 0x20, 9], true).collect::<Vec<_>>(), [Tag(0x10, 0x20)]);
        assert_eq!(*little_endian(VR::OW, &[1, 2, 3, 4], true), [2, 1, 4, 3]);
        assert_eq!(*little_endian(VR::OB, &[1, 2], true), [1, 2]);
        assert_eq!(*little_endian(VR::OW, &[1, 2], false), [1, 2]);
    }

    #[test]
    fn first_integer_table() {
        for (vr, bytes, expected) in [
            (VR::IS, &b" 12 "[..], Some(12)),
            (VR::IS, b"+7\\8", Some(7)),
            (VR::IS, b"3.00", Some(3)),
            (VR::IS, b"3.5", None),
            (VR::IS, b"", None),
            (VR::IS, b"x", None),
            (VR::US, b"\x05\0", Some(5)),
        ] {
            assert_eq!(first_integer(vr, bytes, false), expected, "{bytes:?}");
        }
    }

    #[test]
    fn unknown_vr_is_that_of_the_standard() {
        assert_eq!(known_vr(Tag(0x0010, 0x0010), VR::UN), VR::PN);
        assert_eq!(known_vr(Tag(0x0010, 0x0010), VR::LO), VR::LO);
        assert_eq!(known_vr(Tag(0x0040, 0x0275), VR::UN), VR::UN);
        assert_eq!(known_vr(Tag(0x0009, 0x1001), VR::UN), VR::UN);
    }
}
