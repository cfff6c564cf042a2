//! Code extension techniques (PS3.5 6.1.2.5): escape sequences that switch code tables, and the delimiters that switch
//! them back.

use std::borrow::Cow;

use super::{Delimiters, Designation, code_table::CodeTable};

/// Begins an escape sequence.
pub(super) const ESC: u8 = 0x1B;

enum Half {
    G0,
    G1,
}

/// Decodes text that begins under `initial`.
///
/// Control characters and the delimiters of the VR put the initial code tables back in force. Where those have none for
/// bytes from 80H, the last one stays: devices that write the escape sequence only once are read all the same.
pub(super) fn decode(bytes: &[u8], initial: Designation, delimiters: Delimiters) -> Cow<'_, str> {
    if initial.g0 == CodeTable::Ascii
        && !bytes.contains(&ESC)
        && let Ok(text) = std::str::from_utf8(bytes)
        && text.is_ascii()
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let mut now = initial;
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            ESC => match escape(behind) {
                Some((half, table, behind_escape)) => {
                    match half {
                        Half::G0 => now.g0 = table,
                        Half::G1 => now.g1 = Some(table),
                    }
                    rest = behind_escape;
                }
                None => text.push(char::REPLACEMENT_CHARACTER),
            },
            0..0x20 => {
                text.push(char::from(byte));
                now = reset(now, initial);
            }
            0x21..0x7F if now.g0.is_double() => match behind.split_first() {
                Some((&second @ 0x21..0x7F, behind_pair)) => {
                    text.push(now.g0.double(byte, second));
                    rest = behind_pair;
                }
                _ => text.push(char::REPLACEMENT_CHARACTER),
            },
            0x20..0x80 if delimiters.holds(byte) => {
                text.push(char::from(byte));
                now = reset(now, initial);
            }
            0x20 | 0x7F => text.push(char::from(byte)),
            0x21..0x7F => text.push(now.g0.single(byte)),
            0x80.. => match (now.g1, behind.split_first()) {
                (Some(table), Some((&second @ 0xA1..=0xFE, behind_pair))) if table.is_double() && byte >= 0xA1 => {
                    text.push(table.double(byte, second));
                    rest = behind_pair;
                }
                (Some(table), _) if !table.is_double() => text.push(table.single(byte)),
                _ => text.push(char::REPLACEMENT_CHARACTER),
            },
        }
    }
    Cow::Owned(text)
}

fn reset(now: Designation, initial: Designation) -> Designation {
    Designation { g0: initial.g0, g1: initial.g1.or(now.g1) }
}

impl Delimiters {
    fn holds(self, byte: u8) -> bool {
        match byte {
            b'\\' => self.is_multi_valued,
            b'^' | b'=' => self.is_person_name,
            _ => false,
        }
    }
}

/// The escape sequences of PS3.3 Tables C.12-3 and C.12-4, without ESC, and three more forms of ISO-2022-JP that occur.
fn escape(bytes: &[u8]) -> Option<(Half, CodeTable, &[u8])> {
    use encoding_rs as codings;
    let (half, table, length) = match bytes {
        [b'(', b'B', ..] => (Half::G0, CodeTable::Ascii, 2),
        [b'(', b'J', ..] => (Half::G0, CodeTable::Romaji, 2),
        [b'(', b'I', ..] => (Half::G0, CodeTable::Katakana, 2),
        [b')', b'I', ..] => (Half::G1, CodeTable::Katakana, 2),
        [b'-', b'A', ..] => (Half::G1, CodeTable::Latin1, 2),
        [b'-', b'B', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_2), 2),
        [b'-', b'C', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_3), 2),
        [b'-', b'D', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_4), 2),
        [b'-', b'F', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_7), 2),
        [b'-', b'G', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_6), 2),
        [b'-', b'H', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_8), 2),
        [b'-', b'L', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_5), 2),
        [b'-', b'M', ..] => (Half::G1, CodeTable::Latin5, 2),
        [b'-', b'T', ..] => (Half::G1, CodeTable::Thai, 2),
        [b'-', b'b', ..] => (Half::G1, CodeTable::Byte(codings::ISO_8859_15), 2),
        [b'$', b'B' | b'@', ..] => (Half::G0, CodeTable::JisX0208, 2),
        [b'$', b'(', b'B', ..] => (Half::G0, CodeTable::JisX0208, 3),
        [b'$', b'(', b'D', ..] => (Half::G0, CodeTable::JisX0212, 3),
        [b'$', b')', b'A', ..] => (Half::G1, CodeTable::Gb2312, 3),
        [b'$', b')', b'C', ..] => (Half::G1, CodeTable::KsX1001, 3),
        _ => return None,
    };
    Some((half, table, bytes.get(length..).unwrap_or_default()))
}
