//! Character sets: the value of Specific Character Set (0008,0005) (PS3.3 C.12.1.1.2) and the decoding of text by it
//! (PS3.5 6.1), ISO 2022 code extensions included.
//!
//! Decoding never fails: what cannot be read becomes U+FFFD. The bytes as received are kept elsewhere; this is for
//! reading and searching only.

mod code_table;
mod iso2022;
mod term;

use std::borrow::Cow;

use encoding_rs::Encoding;

use self::{
    code_table::{CodeTable, latin_1},
    term::Term,
};
use crate::VR;

/// How text of a data set, or of a sequence item with a (0008,0005) of its own, is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Charset {
    coding: Coding,
    has_unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Coding {
    /// Nothing was said, or only the default repertoire (ISO-IR 6).
    Default,
    /// A coding that knows no code extensions: UTF-8, GB18030, GBK, and others that devices name.
    Whole(&'static Encoding),
    /// Single-byte codings and code extensions.
    Extended(Designation),
}

/// The code tables that are in force.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Designation {
    /// For bytes below 80H.
    g0: CodeTable,
    /// For bytes from 80H.
    g1: Option<CodeTable>,
}

/// At which bytes a switch of code tables ends (PS3.5 6.1.2.5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delimiters {
    /// `\` stands between values.
    is_multi_valued: bool,
    /// `^` and `=` stand between components and groups.
    is_person_name: bool,
}

impl Default for Charset {
    fn default() -> Self {
        Self { coding: Coding::Default, has_unknown: false }
    }
}

impl Charset {
    /// Reads the value of (0008,0005): defined terms between `\`. Misspellings that devices are known to send
    /// (`ISO-IR 100`, `ISO_IR_100`, `ISO2022 IR 100`, `UTF-8`, `GB2312`, names of the IANA registry) are understood.
    #[must_use]
    pub fn from_terms(value: &str) -> Self {
        let terms: Vec<Term> = value.split('\\').take(MAX_TERMS).map(Term::parse).collect();
        let has_unknown = terms.contains(&Term::Unknown);
        let is_plain_first = matches!(terms.first(), None | Some(Term::Default));
        let whole = |term: &Term| match term {
            Term::Whole(encoding) => Some(*encoding),
            _ => None,
        };
        // Such a coding may only stand alone. Where it comes behind an empty first value it is still what was meant.
        let standing_alone = match is_plain_first {
            true => terms.iter().find_map(whole),
            false => terms.first().and_then(whole),
        };
        if let Some(encoding) = standing_alone {
            return Self { coding: Coding::Whole(encoding), has_unknown };
        }
        if terms.iter().all(|term| *term == Term::Default) {
            return Self { coding: Coding::Default, has_unknown };
        }
        let first = terms.first().copied().unwrap_or(Term::Default);
        let g0 = if first == Term::Tables { CodeTable::Ascii } else { first.g0() };
        // Some devices use the right half of an extension without the escape sequence that would designate it.
        let g1 = first.g1().or_else(|| terms.iter().find_map(Term::g1));
        Self { coding: Coding::Extended(Designation { g0, g1 }), has_unknown }
    }

    /// The same from the bytes of the element.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Self {
        Self::from_terms(&latin_1(value))
    }

    /// UTF-8 (`ISO_IR 192`).
    #[must_use]
    pub fn utf_8() -> Self {
        Self { coding: Coding::Whole(encoding_rs::UTF_8), has_unknown: false }
    }

    /// A term was not understood; text in it shows U+FFFD for every byte from 80H.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Decodes the value of an element, padding included. In VRs that may hold several values, `\` in the result always
    /// stands between values.
    ///
    /// Only LO, LT, PN, SH, ST, UC and UT are written in the character set (PS3.5 6.1.2.3). Others, and all where no
    /// character set was named, are ASCII; bytes beyond are taken for UTF-8 where they are UTF-8, else for Latin-1.
    #[must_use]
    pub fn decode<'a>(&self, bytes: &'a [u8], vr: VR) -> Cow<'a, str> {
        let is_text = matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT);
        let delimiters = Delimiters {
            is_multi_valued: !matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR),
            is_person_name: vr == VR::PN,
        };
        match self.coding {
            Coding::Whole(encoding) if is_text => encoding.decode_without_bom_handling(bytes).0,
            Coding::Extended(designation) if is_text => iso2022::decode(bytes, designation, delimiters),
            _ => unnamed(bytes, delimiters),
        }
    }
}

/// More terms than the standard has are not looked at.
const MAX_TERMS: usize = 32;

fn unnamed(bytes: &[u8], delimiters: Delimiters) -> Cow<'_, str> {
    let is_escaped = bytes.contains(&iso2022::ESC);
    match std::str::from_utf8(bytes) {
        Ok(text) if !is_escaped => Cow::Borrowed(text),
        Ok(text) if !text.is_ascii() => Cow::Borrowed(text),
        // Code extensions that nobody announced: what they switch to is known all the same.
        _ if is_escaped => {
            iso2022::decode(bytes, Designation { g0: CodeTable::Ascii, g1: Some(CodeTable::Latin1) }, delimiters)
        }
        _ => latin_1(bytes),
    }
}

#[cfg(test)]
mod tests;
