//! The identifier of a C-FIND, C-MOVE or C-GET request (PS3.4 C.1.4): its keys as text, with the way to each.
//!
//! Reads bytes through the gate; knows no information model and no index.

use crate::{
    Charset, Tag, VR,
    element_value::{self, Number, known_vr},
    part10::{Event, Gate, Outline, Refusal, Source, Value},
};

/// Specific Character Set.
const CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
/// Timezone Offset From UTC.
const TIMEZONE: Tag = Tag(0x0008, 0x0201);

/// Most keys that are looked at; no identifier in the field has as many.
const MAX_KEYS: usize = 512;

/// One key. Its `Debug` shows the tag only, since keys are names and identifiers of patients.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// One tag, or the way to an attribute within sequences.
    pub path: Vec<Tag>,
    /// VR, as written or of the dictionary.
    pub vr: VR,
    /// The value, decoded, padding included; several between `\`. Of a sequence nothing.
    pub text: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("path", &self.path).field("vr", &self.vr).finish_non_exhaustive()
    }
}

/// The keys in the order in which they stand; a sequence comes before the keys of its item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identifier {
    /// All but Specific Character Set, Timezone Offset From UTC and group lengths.
    pub keys: Vec<Key>,
    /// Timezone Offset From UTC, where it is given (PS3.4 C.4.1.1).
    pub timezone: Option<String>,
}

/// The bytes are no identifier. Carries no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifierError {
    /// They are no data set.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A sequence key has more than one item (PS3.4 C.2.2.2.6).
    #[error("the sequence {0} has more than one item")]
    Items(Tag),
    /// More keys than anybody needs.
    #[error("the identifier has too many keys")]
    TooMany,
}

impl Identifier {
    /// Reads the bytes of a data set. Values that would be bulk are no keys and are passed over.
    ///
    /// # Errors
    /// [`IdentifierError`].
    pub fn read(source: Source, bytes: &[u8]) -> Result<Self, IdentifierError> {
        let limits = crate::limits::Limits { header_bytes: bytes.len() as u64, ..crate::limits::Limits::default() };
        let mut gate = Gate::new(source, limits)?;
        gate.push(bytes)?;
        Self::of(&gate.finish()?.1)
    }

    fn of(outline: &Outline) -> Result<Self, IdentifierError> {
        let mut reading = Reading::default();
        let mut events = outline.header.events();
        while let Some(event) = events.next() {
            reading.event(event, events.is_big_endian())?;
        }
        Ok(reading.identifier)
    }

    /// The value of a key at the top, without padding; `None` where there is no such key.
    #[must_use]
    pub fn value(&self, tag: Tag) -> Option<&str> {
        let key = self.keys.iter().find(|key| key.path == [tag])?;
        Some(key.text.trim_matches([' ', '\0']))
    }
}

#[derive(Default)]
struct Reading {
    identifier: Identifier,
    charset: Charset,
    /// The sequences that are open: tag, items so far, character set to go back to.
    open: Vec<(Tag, usize, Charset)>,
}

impl Reading {
    fn event(&mut self, event: Event<'_>, is_big_endian: bool) -> Result<(), IdentifierError> {
        match event {
            Event::Element { tag, vr, value: Value::Inline(bytes) } => self.element(tag, vr, bytes, is_big_endian)?,
            Event::Element { .. } => {}
            Event::SequenceStart { tag } => {
                self.key(tag, VR::SQ, String::new())?;
                self.open.push((tag, 0, self.charset));
            }
            Event::ItemStart => {
                if let Some((tag, items, _)) = self.open.last_mut() {
                    *items = items.saturating_add(1);
                    if *items > 1 {
                        return Err(IdentifierError::Items(*tag));
                    }
                }
            }
            Event::ItemEnd => {
                if let Some((.., outer)) = self.open.last() {
                    self.charset = *outer;
                }
            }
            Event::SequenceEnd => _ = self.open.pop(),
        }
        Ok(())
    }

    fn element(&mut self, tag: Tag, vr: VR, bytes: &[u8], is_big_endian: bool) -> Result<(), IdentifierError> {
        if tag.1 == 0 {
            return Ok(());
        }
        if tag == CHARACTER_SET {
            self.charset = Charset::from_value(bytes);
            return Ok(());
        }
        let text = text(self.charset, known_vr(tag, vr), bytes, is_big_endian && vr != VR::UN);
        if tag == TIMEZONE && self.open.is_empty() {
            let offset = text.trim_matches([' ', '\0']);
            self.identifier.timezone = (!offset.is_empty()).then(|| offset.to_owned());
            return Ok(());
        }
        self.key(tag, known_vr(tag, vr), text)
    }

    fn key(&mut self, tag: Tag, vr: VR, text: String) -> Result<(), IdentifierError> {
        if self.identifier.keys.len() >= MAX_KEYS {
            return Err(IdentifierError::TooMany);
        }
        let path = self.open.iter().map(|(tag, ..)| *tag).chain([tag]).collect();
        self.identifier.keys.push(Key { path, vr, text });
        Ok(())
    }
}

/// All values as text, between `\`; nothing for VRs that hold none.
fn text(charset: Charset, vr: VR, bytes: &[u8], is_big_endian: bool) -> String {
    if element_value::is_text(vr) {
        return charset.decode(bytes, vr).into_owned();
    }
    let values: Vec<String> = match vr {
        VR::AT => element_value::tags(bytes, is_big_endian).map(|tag| format!("{:04X}{:04X}", tag.0, tag.1)).collect(),
        _ => element_value::numbers(vr, bytes, is_big_endian)
            .map(|number| match number {
                Number::Signed(number) => number.to_string(),
                Number::Unsigned(number) => number.to_string(),
                Number::Float(number) => number.to_string(),
            })
            .collect(),
    };
    values.join("\\")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{data_set, transfer_syntax};

    fn read(attributes: &Json, uid: &str) -> Result<Identifier, IdentifierError> {
        let encoding = transfer_syntax::lookup(uid).unwrap().encoding;
        let bytes = data_set::write(attributes.as_object().unwrap(), encoding);
        Identifier::read(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &bytes)
    }

    fn keys(identifier: &Identifier) -> Vec<(Vec<Tag>, VR, &str)> {
        identifier.keys.iter().map(|key| (key.path.clone(), key.vr, key.text.as_str())).collect()
    }

    #[test]
    fn keys_with_their_ways_in_every_syntax() {
        let asked = json!({
            "00080005": { "vr": "CS", "Value": ["ISO_IR 100"] },
            "00080052": { "vr": "CS", "Value": ["SERIES"] },
            "00080060": { "vr": "CS" },
            "00080201": { "vr": "SH", "Value": ["+0100"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Müller*" }] },
            "0020000D": { "vr": "UI", "Value": ["1.2.3", "1.2.4"] },
            "00280010": { "vr": "US", "Value": [512] },
            "00400275": { "vr": "SQ", "Value": [{ "00400009": { "vr": "SH", "Value": ["S1"] } }] },
            "00400555": { "vr": "SQ" },
        });
        for uid in [
            transfer_syntax::IMPLICIT_LITTLE_ENDIAN,
            transfer_syntax::EXPLICIT_LITTLE_ENDIAN,
            transfer_syntax::EXPLICIT_BIG_ENDIAN,
        ] {
            let identifier = read(&asked, uid).unwrap();
            let expected = [
                (vec![Tag(0x0008, 0x0052)], VR::CS, "SERIES"),
                (vec![Tag(0x0008, 0x0060)], VR::CS, ""),
                (vec![Tag(0x0010, 0x0010)], VR::PN, "Müller* "),
                (vec![Tag(0x0020, 0x000D)], VR::UI, "1.2.3\\1.2.4\0"),
                (vec![Tag(0x0028, 0x0010)], VR::US, "512"),
                (vec![Tag(0x0040, 0x0275)], VR::SQ, ""),
                (vec![Tag(0x0040, 0x0275), Tag(0x0040, 0x0009)], VR::SH, "S1"),
                (vec![Tag(0x0040, 0x0555)], VR::SQ, ""),
            ];
            let found: Vec<_> = keys(&identifier)
                .into_iter()
                .map(|(path, vr, text)| (path, vr, if vr == VR::PN { text.trim_end() } else { text }))
                .collect();
            let trimmed =
                expected.map(|(path, vr, text)| (path, vr, if vr == VR::PN { text.trim_end() } else { text }));
            assert_eq!(found, trimmed, "{uid}");
            assert_eq!(identifier.timezone.as_deref(), Some("+0100"));
            assert_eq!(identifier.value(Tag(0x0020, 0x000D)), Some("1.2.3\\1.2.4"));
            assert_eq!(
                (identifier.value(Tag(0x0008, 0x0060)), identifier.value(Tag(0x0008, 0x0061))),
                (Some(""), None)
            );
        }
    }

    #[test]
    fn c32_keys_are_decoded_by_the_character_set_that_they_name() {
        // (0008,0005) GB18030 and a name in it; then a group length and a retired key, as old devices send them (C36)
        let mut bytes = b"\x08\0\x05\0\x08\0\0\0GB18030 ".to_vec();
        bytes.extend(b"\x10\0\0\0\x04\0\0\0\x20\0\0\0");
        bytes.extend(b"\x10\0\x10\0\x06\0\0\0\xCD\xF5\x5E\xD0\xA1 ");
        bytes.extend(b"\x10\0\x50\x10\x02\0\0\0X ");
        let source = || Source::DataSet { transfer_syntax: transfer_syntax::IMPLICIT_LITTLE_ENDIAN.parse().unwrap() };
        let identifier = Identifier::read(source(), &bytes).unwrap();
        assert_eq!(identifier.keys[0].text, "王^小 ");
        assert_eq!(identifier.keys.len(), 2);
        assert!(!format!("{identifier:?}").contains('王'));
    }

    #[test]
    fn what_is_no_identifier_is_said_by_name() {
        let step = json!({ "00400009": { "vr": "SH" } });
        let two = json!({ "00400275": { "vr": "SQ", "Value": [step, step] } });
        let uid = transfer_syntax::IMPLICIT_LITTLE_ENDIAN;
        assert_eq!(read(&two, uid), Err(IdentifierError::Items(Tag(0x0040, 0x0275))));
        let source = || Source::DataSet { transfer_syntax: uid.parse().unwrap() };
        assert!(matches!(Identifier::read(source(), b"\x08\0\x52\0\xFF\0\0\0X"), Err(IdentifierError::Refused(_))));
        let many: Vec<u8> = (0..600_u16)
            .flat_map(|number| [&[0x41, 0][..], &(0x1001 + number).to_le_bytes(), &[0; 4]].concat())
            .collect();
        assert_eq!(Identifier::read(source(), &many), Err(IdentifierError::TooMany));
    }
}
