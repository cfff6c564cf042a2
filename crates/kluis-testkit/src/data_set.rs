//! Data sets built element by element and encoded in any of the four native encodings (PS3.5 7.1 to 7.5).

use std::collections::BTreeMap;

/// Attribute tag: group and element.
pub type Tag = (u16, u16);

/// How a data set is written (PS3.5 A.1 to A.3). Deflation is done by [`crate::part10`]'s caller where it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The value representation stands in the stream.
    pub explicit_vr: bool,
    /// Most significant byte first.
    pub big_endian: bool,
}

impl Encoding {
    /// Explicit VR Little Endian, and every encapsulated syntax.
    pub const EXPLICIT_LITTLE: Self = Self { explicit_vr: true, big_endian: false };
    /// Implicit VR Little Endian.
    pub const IMPLICIT_LITTLE: Self = Self { explicit_vr: false, big_endian: false };
    /// Explicit VR Big Endian (retired).
    pub const EXPLICIT_BIG: Self = Self { explicit_vr: true, big_endian: true };
}

/// How the end of sequences and items is marked (PS3.5 7.5.1 and 7.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lengths {
    /// By a length in front.
    #[default]
    Defined,
    /// By delimitation items.
    Undefined,
}

/// One data set, or one item of a sequence. Elements are written in ascending order of their tags, whatever the order in
/// which they were set; setting a tag again replaces its value.
#[derive(Debug, Clone, Default)]
pub struct DataSetBuilder {
    elements: BTreeMap<Tag, Element>,
    lengths: Lengths,
}

#[derive(Debug, Clone)]
struct Element {
    vr: [u8; 2],
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    Words16(Vec<u16>),
    Words32(Vec<u32>),
    Words64(Vec<u64>),
    Tags(Vec<Tag>),
    Sequence(Vec<DataSetBuilder>),
    Fragments(Vec<Vec<u8>>),
}

impl DataSetBuilder {
    /// An empty data set whose sequences carry their lengths.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses how this data set's own sequences and their items end.
    #[must_use]
    pub fn with_lengths(mut self, lengths: Lengths) -> Self {
        self.lengths = lengths;
        self
    }

    /// Sets text of any text VR, padded to even length with a space (`UI`: a NUL). `vr` is two letters.
    #[must_use]
    pub fn text(self, tag: Tag, vr: &str, text: impl AsRef<str>) -> Self {
        self.encoded_text(tag, vr, text.as_ref().as_bytes())
    }

    /// Sets text that is already encoded in the data set's character set, padded like [`Self::text`].
    #[must_use]
    pub fn encoded_text(self, tag: Tag, vr: &str, text: &[u8]) -> Self {
        let mut value = text.to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        self.bytes(tag, vr, value)
    }

    /// Sets a person name of one component group, `Family^Given`.
    #[must_use]
    pub fn name(self, tag: Tag, name: impl AsRef<str>) -> Self {
        self.text(tag, "PN", name)
    }

    /// Sets a UID.
    #[must_use]
    pub fn uid(self, tag: Tag, uid: impl AsRef<str>) -> Self {
        self.text(tag, "UI", uid)
    }

    /// Sets decimal strings, each with at most 16 characters (PS3.5 6.2).
    #[must_use]
    pub fn decimals(self, tag: Tag, values: &[f64]) -> Self {
        let texts: Vec<String> = values.iter().map(|&value| decimal_string(value)).collect();
        self.text(tag, "DS", texts.join("\\"))
    }

    /// Sets one integer string.
    #[must_use]
    pub fn integer(self, tag: Tag, value: i64) -> Self {
        self.text(tag, "IS", value.to_string())
    }

    /// Sets one `US` value.
    #[must_use]
    pub fn short(self, tag: Tag, value: u16) -> Self {
        self.words16(tag, "US", vec![value])
    }

    /// Sets one `UL` value.
    #[must_use]
    pub fn long(self, tag: Tag, value: u32) -> Self {
        self.words32(tag, "UL", vec![value])
    }

    /// Sets one `FD` value.
    #[must_use]
    pub fn double(self, tag: Tag, value: f64) -> Self {
        self.words64(tag, "FD", vec![value.to_bits()])
    }

    /// Sets 16-bit words (`US`, `SS`, `OW`).
    #[must_use]
    pub fn words16(self, tag: Tag, vr: &str, words: Vec<u16>) -> Self {
        self.element(tag, vr, Value::Words16(words))
    }

    /// Sets 32-bit words (`UL`, `SL`, `FL`, `OF`, `OL`).
    #[must_use]
    pub fn words32(self, tag: Tag, vr: &str, words: Vec<u32>) -> Self {
        self.element(tag, vr, Value::Words32(words))
    }

    /// Sets 64-bit words (`FD`, `OD`, `OV`, `SV`, `UV`).
    #[must_use]
    pub fn words64(self, tag: Tag, vr: &str, words: Vec<u64>) -> Self {
        self.element(tag, vr, Value::Words64(words))
    }

    /// Sets attribute tags (`AT`).
    #[must_use]
    pub fn tags(self, tag: Tag, tags: Vec<Tag>) -> Self {
        self.element(tag, "AT", Value::Tags(tags))
    }

    /// Sets bytes as they are: no padding, no byte swapping (`OB`, `UN`, or a text on purpose of odd length).
    #[must_use]
    pub fn bytes(self, tag: Tag, vr: &str, value: Vec<u8>) -> Self {
        self.element(tag, vr, Value::Bytes(value))
    }

    /// Sets a sequence.
    #[must_use]
    pub fn sequence(self, tag: Tag, items: Vec<DataSetBuilder>) -> Self {
        self.element(tag, "SQ", Value::Sequence(items))
    }

    /// Sets a sequence of one code (PS3.3 8.8): value, scheme, meaning.
    #[must_use]
    pub fn code(self, tag: Tag, value: &str, scheme: &str, meaning: &str) -> Self {
        let item = Self::new().text((0x0008, 0x0100), "SH", value).text((0x0008, 0x0102), "SH", scheme).text(
            (0x0008, 0x0104),
            "LO",
            meaning,
        );
        self.sequence(tag, vec![item])
    }

    /// Sets native Pixel Data of 16-bit words.
    #[must_use]
    pub fn pixels16(self, words: Vec<u16>) -> Self {
        self.words16(PIXEL_DATA, "OW", words)
    }

    /// Sets native Pixel Data of bytes, padded to even length.
    #[must_use]
    pub fn pixels8(self, mut bytes: Vec<u8>) -> Self {
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        self.bytes(PIXEL_DATA, "OB", bytes)
    }

    /// Sets encapsulated Pixel Data (PS3.5 A.4). The first fragment is the basic offset table and may be empty.
    #[must_use]
    pub fn fragments(self, fragments: Vec<Vec<u8>>) -> Self {
        self.element(PIXEL_DATA, "OB", Value::Fragments(fragments))
    }

    /// Removes an element.
    #[must_use]
    pub fn without(mut self, tag: Tag) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// The text at `tag` without its padding, where it was set as text.
    #[must_use]
    pub fn text_at(&self, tag: Tag) -> Option<&str> {
        match &self.elements.get(&tag)?.value {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\0', ' '])),
            _ => None,
        }
    }

    /// The bytes of the data set.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut writer = Writer { out: Vec::new(), encoding };
        writer.data_set(self);
        writer.out
    }

    fn element(mut self, tag: Tag, vr: &str, value: Value) -> Self {
        let mut letters = *b"UN";
        for (slot, letter) in letters.iter_mut().zip(vr.bytes()) {
            *slot = letter;
        }
        self.elements.insert(tag, Element { vr: letters, value });
        self
    }
}

/// Pixel Data.
pub const PIXEL_DATA: Tag = (0x7FE0, 0x0010);
const ITEM: Tag = (0xFFFE, 0xE000);
const ITEM_DELIMITATION: Tag = (0xFFFE, 0xE00D);
const SEQUENCE_DELIMITATION: Tag = (0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;

/// A number in at most 16 characters, without an exponent where it fits.
fn decimal_string(value: f64) -> String {
    let plain = format!("{value}");
    if plain.len() <= 16 {
        return plain;
    }
    let digits_before = format!("{:.0}", value.trunc()).len() + 1;
    let fixed = format!("{value:.*}", 16_usize.saturating_sub(digits_before + 1));
    fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Writer {
    out: Vec<u8>,
    encoding: Encoding,
}

impl Writer {
    fn data_set(&mut self, data_set: &DataSetBuilder) {
        for (&tag, element) in &data_set.elements {
            self.element(tag, element, data_set.lengths);
        }
    }

    fn element(&mut self, tag: Tag, element: &Element, lengths: Lengths) {
        match &element.value {
            Value::Fragments(fragments) => {
                self.head(tag, element.vr, UNDEFINED);
                for fragment in fragments {
                    self.item_head(ITEM, length_of(fragment.len()));
                    self.out.extend_from_slice(fragment);
                }
                self.item_head(SEQUENCE_DELIMITATION, 0);
            }
            Value::Sequence(items) => self.sequence(tag, items, lengths),
            Value::Bytes(bytes) => {
                self.head(tag, element.vr, length_of(bytes.len()));
                self.out.extend_from_slice(bytes);
            }
            Value::Words16(words) => {
                self.head(tag, element.vr, length_of(words.len().saturating_mul(2)));
                words.iter().for_each(|&word| self.u16(word));
            }
            Value::Words32(words) => {
                self.head(tag, element.vr, length_of(words.len().saturating_mul(4)));
                words.iter().for_each(|&word| self.u32(word));
            }
            Value::Words64(words) => {
                self.head(tag, element.vr, length_of(words.len().saturating_mul(8)));
                words.iter().for_each(|&word| self.u64(word));
            }
            Value::Tags(tags) => {
                self.head(tag, element.vr, length_of(tags.len().saturating_mul(4)));
                tags.iter().for_each(|&tag| self.tag(tag));
            }
        }
    }

    fn sequence(&mut self, tag: Tag, items: &[DataSetBuilder], lengths: Lengths) {
        let mut body = Writer { out: Vec::new(), encoding: self.encoding };
        for item in items {
            let content = item.encode(self.encoding);
            match lengths {
                Lengths::Defined => {
                    body.item_head(ITEM, length_of(content.len()));
                    body.out.extend_from_slice(&content);
                }
                Lengths::Undefined => {
                    body.item_head(ITEM, UNDEFINED);
                    body.out.extend_from_slice(&content);
                    body.item_head(ITEM_DELIMITATION, 0);
                }
            }
        }
        match lengths {
            Lengths::Defined => self.head(tag, *b"SQ", length_of(body.out.len())),
            Lengths::Undefined => {
                body.item_head(SEQUENCE_DELIMITATION, 0);
                self.head(tag, *b"SQ", UNDEFINED);
            }
        }
        self.out.extend_from_slice(&body.out);
    }

    fn head(&mut self, tag: Tag, vr: [u8; 2], length: u32) {
        self.tag(tag);
        if !self.encoding.explicit_vr {
            self.u32(length);
            return;
        }
        self.out.extend_from_slice(&vr);
        match &vr {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                self.u16(0);
                self.u32(length);
            }
            _ => self.u16(u16::try_from(length).unwrap_or(u16::MAX)),
        }
    }

    fn item_head(&mut self, tag: Tag, length: u32) {
        self.tag(tag);
        self.u32(length);
    }

    fn tag(&mut self, (group, element): Tag) {
        self.u16(group);
        self.u16(element);
    }

    fn u16(&mut self, word: u16) {
        let bytes = if self.encoding.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        self.out.extend_from_slice(&bytes);
    }

    fn u32(&mut self, word: u32) {
        let bytes = if self.encoding.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        self.out.extend_from_slice(&bytes);
    }

    fn u64(&mut self, word: u64) {
        let bytes = if self.encoding.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        self.out.extend_from_slice(&bytes);
    }
}

/// What is built here stays far below 4 GiB; a longer value would be written as one of undefined length, which no reader
/// takes for the real thing.
fn length_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(UNDEFINED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_in_order_of_tags_in_each_encoding() {
        let set = DataSetBuilder::new().short((0x0028, 0x0010), 0x0102).text((0x0010, 0x0010), "PN", "Doe");
        let cases: [(Encoding, &[u8]); 3] = [
            (Encoding::EXPLICIT_LITTLE, b"\x10\0\x10\0PN\x04\0Doe \x28\0\x10\0US\x02\0\x02\x01"),
            (Encoding::IMPLICIT_LITTLE, b"\x10\0\x10\0\x04\0\0\0Doe \x28\0\x10\0\x02\0\0\0\x02\x01"),
            (Encoding::EXPLICIT_BIG, b"\0\x10\0\x10PN\0\x04Doe \0\x28\0\x10US\0\x02\x01\x02"),
        ];
        for (encoding, expected) in cases {
            assert_eq!(set.encode(encoding), expected, "{encoding:?}");
        }
    }

    #[test]
    fn sequences_end_by_length_or_by_delimiter() {
        let item = || DataSetBuilder::new().text((0x0008, 0x0100), "SH", "A1");
        let defined = DataSetBuilder::new().sequence((0x0008, 0x1032), vec![item()]);
        assert_eq!(
            defined.encode(Encoding::EXPLICIT_LITTLE),
            b"\x08\0\x32\x10SQ\0\0\x12\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0\x08\0\0\x01SH\x02\0A1"
        );
        let undefined = defined.with_lengths(Lengths::Undefined);
        assert_eq!(
            undefined.encode(Encoding::EXPLICIT_LITTLE),
            b"\x08\0\x32\x10SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\x08\0\0\x01SH\x02\0A1\
              \xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0"
        );
    }

    #[test]
    fn fragments_stand_between_an_offset_table_and_a_delimiter() {
        let set = DataSetBuilder::new().fragments(vec![vec![], vec![1, 2]]);
        assert_eq!(
            set.encode(Encoding::EXPLICIT_LITTLE),
            b"\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\0\0\0\0\xFE\xFF\0\xE0\x02\0\0\0\x01\x02\xFE\xFF\xDD\xE0\0\0\0\0"
        );
    }

    #[test]
    fn decimal_strings_keep_to_16_characters() {
        for (value, text) in [
            (0.78125, "0.78125"),
            (-200.0, "-200"),
            (1.0 / 3.0, "0.3333333333333"),
            (-1_234.567_890_123_456, "-1234.567890123"),
        ] {
            let written = decimal_string(value);
            assert!(written.len() <= 16, "{written}");
            assert_eq!(written, text);
        }
    }
}
