//! Code tables that ISO 2022 designates to G0 and G1. The tables of two bytes and most of one byte are those of
//! encoding_rs; what it does not have, or maps as the web does and not as the ISO register, stands here.

use std::borrow::Cow;

use encoding_rs::Encoding;

/// A code table of 94 or 96 characters, or of 94 x 94.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum CodeTable {
    /// ISO-IR 6.
    Ascii,
    /// ISO-IR 14: ASCII with yen and overline.
    Romaji,
    /// ISO-IR 13.
    Katakana,
    /// ISO-IR 100. The `iso-8859-1` of encoding_rs is windows-1252.
    Latin1,
    /// ISO-IR 148. The `iso-8859-9` of encoding_rs is windows-1254.
    Latin5,
    /// ISO-IR 166. encoding_rs has windows-874, which is the same from A1H.
    Thai,
    /// One byte, as encoding_rs has it.
    Byte(&'static Encoding),
    /// ISO-IR 87.
    JisX0208,
    /// ISO-IR 159.
    JisX0212,
    /// ISO-IR 149.
    KsX1001,
    /// ISO-IR 58.
    Gb2312,
}

const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

impl CodeTable {
    /// Characters are two bytes.
    pub(super) fn is_double(self) -> bool {
        matches!(self, Self::JisX0208 | Self::JisX0212 | Self::KsX1001 | Self::Gb2312)
    }

    /// The character of one byte in the half (below or from 80H) that this table is designated to.
    pub(super) fn single(self, byte: u8) -> char {
        let right = byte | 0x80;
        match self {
            Self::Ascii => char::from(byte & 0x7F),
            Self::Romaji => match byte & 0x7F {
                b'\\' => '\u{A5}',
                b'~' => '\u{203E}',
                other => char::from(other),
            },
            Self::Katakana => match right {
                0xA1..=0xDF => char::from_u32(0xFF61 + u32::from(right - 0xA1)).unwrap_or(REPLACEMENT),
                _ => REPLACEMENT,
            },
            Self::Latin1 => char::from(right),
            Self::Latin5 => match right {
                0xD0 => 'Ğ',
                0xDD => 'İ',
                0xDE => 'Ş',
                0xF0 => 'ğ',
                0xFD => 'ı',
                0xFE => 'ş',
                other => char::from(other),
            },
            Self::Thai => match right {
                0xA1..=0xFF => one_of(encoding_rs::WINDOWS_874, &[right]),
                _ => REPLACEMENT,
            },
            Self::Byte(encoding) => one_of(encoding, &[right]),
            Self::JisX0208 | Self::JisX0212 | Self::KsX1001 | Self::Gb2312 => REPLACEMENT,
        }
    }

    /// The character of two bytes; the top bit of both is not looked at.
    pub(super) fn double(self, first: u8, second: u8) -> char {
        let (first, second) = (first | 0x80, second | 0x80);
        match self {
            Self::JisX0208 => one_of(encoding_rs::EUC_JP, &[first, second]),
            Self::JisX0212 => one_of(encoding_rs::EUC_JP, &[0x8F, first, second]),
            Self::KsX1001 => one_of(encoding_rs::EUC_KR, &[first, second]),
            Self::Gb2312 => one_of(encoding_rs::GBK, &[first, second]),
            _ => REPLACEMENT,
        }
    }
}

/// Every byte as the code point of the same number.
pub(super) fn latin_1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

fn one_of(encoding: &'static Encoding, bytes: &[u8]) -> char {
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => character,
        _ => REPLACEMENT,
    }
}
