//! Defined terms of Specific Character Set (PS3.3 Tables C.12-2 to C.12-5).

use encoding_rs::Encoding;

use super::code_table::CodeTable;

/// What one value of (0008,0005) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Term {
    /// No value, or ISO-IR 6: the default repertoire.
    Default,
    /// A coding of its own, without code extensions.
    Whole(&'static Encoding),
    /// A code table for bytes from 80H, with ASCII below.
    Right(CodeTable),
    /// JIS X 0201: Romaji below 80H, Katakana above.
    JisX0201,
    /// Code tables that come into force only by an escape sequence (JIS X 0208, JIS X 0212).
    Tables,
    /// Not understood.
    Unknown,
}

impl Term {
    pub(super) fn parse(text: &str) -> Self {
        let letters: String =
            text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
        match letters.as_str() {
            "" | "ASCII" | "USASCII" | "ISO646" | "NONE" => return Self::Default,
            "UTF8" => return Self::Whole(encoding_rs::UTF_8),
            "GB18030" => return Self::Whole(encoding_rs::GB18030),
            "GBK" | "GB2312" | "CP936" => return Self::Whole(encoding_rs::GBK),
            "ISO88591" | "LATIN1" => return Self::Right(CodeTable::Latin1),
            "ISO88599" | "LATIN5" => return Self::Right(CodeTable::Latin5),
            _ => {}
        }
        let number = letters.strip_prefix("ISO").unwrap_or(&letters);
        let number = number.strip_prefix("2022").unwrap_or(number);
        let number = number.strip_prefix("IR").unwrap_or(number);
        Self::registered(number).or_else(|| Self::labelled(text.trim())).unwrap_or(Self::Unknown)
    }

    /// By the number of the ISO registry.
    fn registered(number: &str) -> Option<Self> {
        Some(match number {
            "6" => Self::Default,
            "13" | "14" => Self::JisX0201,
            "87" | "159" => Self::Tables,
            "192" => Self::Whole(encoding_rs::UTF_8),
            "100" => Self::Right(CodeTable::Latin1),
            "101" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_2)),
            "109" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_3)),
            "110" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_4)),
            "144" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_5)),
            "127" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_6)),
            "126" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_7)),
            "138" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_8)),
            "148" => Self::Right(CodeTable::Latin5),
            "166" => Self::Right(CodeTable::Thai),
            "203" => Self::Right(CodeTable::Byte(encoding_rs::ISO_8859_15)),
            "149" => Self::Right(CodeTable::KsX1001),
            "58" => Self::Right(CodeTable::Gb2312),
            _ => return None,
        })
    }

    /// By a name of the IANA registry, which some devices write (`Shift_JIS`, `windows-1251`).
    fn labelled(name: &str) -> Option<Self> {
        let encoding = Encoding::for_label_no_replacement(name.as_bytes())?;
        encoding.is_ascii_compatible().then_some(Self::Whole(encoding))
    }

    /// The code table below 80H that this term puts in force as the first value.
    pub(super) fn g0(self) -> CodeTable {
        match self {
            Self::JisX0201 => CodeTable::Romaji,
            _ => CodeTable::Ascii,
        }
    }

    /// The code table from 80H that this term puts in force as the first value.
    pub(super) fn g1(&self) -> Option<CodeTable> {
        match self {
            Self::Right(table) => Some(*table),
            Self::JisX0201 => Some(CodeTable::Katakana),
            _ => None,
        }
    }
}
