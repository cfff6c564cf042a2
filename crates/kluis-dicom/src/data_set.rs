//! Writes attributes as a data set (PS3.5 7): the answers of C-FIND, made of the DICOM JSON that the index keeps.
//!
//! Text goes out in the smallest repertoire that holds all of it (PS3.4 C.4.1.1.3.2, PS3.3 C.12.1.1.2): none named where it
//! is ASCII, `ISO_IR 100` where Latin-1 will do, else `ISO_IR 192`. May not contain: bulk data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::{Tag, VR, element_value, part10::has_long_length, person_name::GROUP_NAMES, transfer_syntax::Encoding};

const SPECIFIC_CHARACTER_SET: &str = "00080005";

/// Sequences inside one another that are written; what is deeper is left out.
const MAX_DEPTH: usize = 32;

/// In which bytes text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repertoire {
    Ascii,
    Latin1,
    Utf8,
}

impl Repertoire {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            Self::Ascii
        } else if text.chars().all(|character| matches!(u32::from(character), 0..=0x7F | 0xA0..=0xFF)) {
            Self::Latin1
        } else {
            Self::Utf8
        }
    }

    /// The smallest that holds every text within.
    fn of_all(attributes: &Map<String, Value>) -> Self {
        let mut found = Self::Ascii;
        let mut open: Vec<&Value> = attributes.values().collect();
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => found = found.max(Self::of(text)),
                Value::Array(values) => open.extend(values),
                Value::Object(members) => open.extend(members.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        found
    }

    fn term(self) -> Option<&'static str> {
        match self {
            Self::Ascii => None,
            Self::Latin1 => Some("ISO_IR 100"),
            Self::Utf8 => Some("ISO_IR 192"),
        }
    }
}

/// Writes a data set of DICOM JSON attributes (PS3.18 F.2) in ascending order of their tags, sequences with defined lengths.
///
/// Specific Character Set is set as it is needed, whatever the attributes say. An attribute whose value does not fit its
/// VR, or would need bulk data, is written without a value. A deflated encoding is written before deflation.
#[must_use]
pub fn write(attributes: &Map<String, Value>, encoding: Encoding) -> Vec<u8> {
    let repertoire = Repertoire::of_all(attributes);
    let mut out = Vec::new();
    let mut attributes = attributes.clone();
    match repertoire.term() {
        Some(term) => {
            let value = serde_json::json!({ "vr": "CS", "Value": [term] });
            attributes.insert(SPECIFIC_CHARACTER_SET.to_owned(), value);
        }
        None => _ = attributes.remove(SPECIFIC_CHARACTER_SET),
    }
    Writer { encoding, repertoire }.attributes(&attributes, MAX_DEPTH, true, &mut out);
    out
}

#[derive(Clone, Copy)]
struct Writer {
    encoding: Encoding,
    repertoire: Repertoire,
}

impl Writer {
    /// All text is in the repertoire of the whole: an item that named one of its own would be read in it.
    fn attributes(self, attributes: &Map<String, Value>, depth: usize, is_top: bool, out: &mut Vec<u8>) {
        let mut ordered: Vec<(Tag, &Value)> = attributes
            .iter()
            .filter(|(name, _)| is_top || *name != SPECIFIC_CHARACTER_SET)
            .filter_map(|(name, attribute)| Some((tag(name)?, attribute)))
            .collect();
        ordered.sort_unstable_by_key(|(tag, _)| *tag);
        for (tag, attribute) in ordered {
            let vr = attribute.get("vr").and_then(Value::as_str).and_then(|name| name.parse().ok()).unwrap_or(VR::UN);
            let value = self.value(vr, attribute, depth);
            self.element(tag, vr, value, out);
        }
    }

    fn element(self, tag: Tag, vr: VR, mut value: Vec<u8>, out: &mut Vec<u8>) {
        if !value.len().is_multiple_of(2) {
            let is_text = element_value::is_text(vr) && vr != VR::UI;
            value.push(if is_text { b' ' } else { 0 });
        }
        let is_short = self.encoding.explicit_vr && !has_long_length(vr);
        if is_short && value.len() > usize::from(u16::MAX) || u32::try_from(value.len()).is_err() {
            value.clear();
        }
        self.u16(tag.0, out);
        self.u16(tag.1, out);
        if self.encoding.explicit_vr {
            out.extend_from_slice(vr.to_string().as_bytes());
        }
        if is_short {
            self.u16(u16::try_from(value.len()).unwrap_or_default(), out);
        } else {
            if self.encoding.explicit_vr {
                out.extend_from_slice(&[0, 0]);
            }
            self.u32(u32::try_from(value.len()).unwrap_or_default(), out);
        }
        out.append(&mut value);
    }

    /// The bytes of a value, without padding.
    fn value(self, vr: VR, attribute: &Value, depth: usize) -> Vec<u8> {
        let values = attribute.get("Value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut out = Vec::new();
        if vr == VR::SQ {
            let Some(depth) = depth.checked_sub(1) else { return out };
            for item in values.iter().filter_map(Value::as_object) {
                self.item(item, depth, &mut out);
            }
        } else if element_value::is_text(vr) {
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b'\\');
                }
                self.text(&text(vr, value), &mut out);
            }
        } else if let Some(inline) = attribute.get("InlineBinary").and_then(Value::as_str) {
            let bytes = STANDARD.decode(inline).unwrap_or_default();
            out.extend_from_slice(&element_value::little_endian(vr, &bytes, self.encoding.big_endian));
        } else {
            for value in values {
                self.number(vr, value, &mut out);
            }
        }
        out
    }

    fn item(self, item: &Map<String, Value>, depth: usize, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        self.attributes(item, depth, false, &mut content);
        self.u16(0xFFFE, out);
        self.u16(0xE000, out);
        self.u32(u32::try_from(content.len()).unwrap_or_default(), out);
        out.append(&mut content);
    }

    fn text(self, text: &str, out: &mut Vec<u8>) {
        match self.repertoire {
            // each character is one byte of the same number
            Repertoire::Latin1 => out.extend(text.chars().map(|character| u8::try_from(character).unwrap_or(b'?'))),
            Repertoire::Ascii | Repertoire::Utf8 => out.extend_from_slice(text.as_bytes()),
        }
    }

    fn number(self, vr: VR, value: &Value, out: &mut Vec<u8>) {
        let integer = || match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64().map(i128::from).or_else(|| other.as_u64().map(i128::from)),
        };
        let float = || match value {
            Value::String(text) => text.parse::<f64>().ok(),
            other => other.as_f64(),
        };
        let bits: Option<u64> = match vr {
            VR::AT => value.as_str().and_then(tag).map(|tag| {
                // two units of two bytes: the group comes first in either order
                let (first, second) = if self.encoding.big_endian { (tag.1, tag.0) } else { (tag.0, tag.1) };
                u64::from(second) << 16 | u64::from(first)
            }),
            VR::FL => float().map(|number| u64::from((number as f32).to_bits())),
            VR::FD => float().map(f64::to_bits),
            // the low bits are the two's complement of the width that is written
            _ => integer().map(|number| number as u64),
        };
        let width = if vr == VR::AT { 4 } else { element_value::number_width(vr).unwrap_or(0) };
        let Some(bits) = bits else { return };
        let mut bytes = bits.to_le_bytes();
        let Some(bytes) = bytes.get_mut(..width) else { return };
        if self.encoding.big_endian {
            bytes.reverse();
        }
        out.extend_from_slice(bytes);
    }

    fn u16(self, number: u16, out: &mut Vec<u8>) {
        out.extend(if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn u32(self, number: u32, out: &mut Vec<u8>) {
        out.extend(if self.encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }
}

/// One value as text: numbers of IS and DS as they are written, names as groups between `=`.
fn text(vr: VR, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if vr == VR::DS => decimal_string(number),
        Value::Number(number) => number.to_string(),
        Value::Object(groups) => {
            let group = |name| groups.get(name).and_then(Value::as_str).unwrap_or_default();
            GROUP_NAMES.map(group).join("=").trim_end_matches('=').to_owned()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => String::new(),
    }
}

/// At most 16 characters (PS3.5 6.2), with as many digits as fit.
fn decimal_string(number: &serde_json::Number) -> String {
    const LONGEST: usize = 16;
    let exact = number.to_string();
    if exact.len() <= LONGEST {
        return exact;
    }
    let float = number.as_f64().unwrap_or_default();
    let shorter = (0..=10).rev().map(|digits| format!("{float:.digits$e}"));
    shorter.into_iter().find(|text| text.len() <= LONGEST).unwrap_or_default()
}

fn tag(name: &str) -> Option<Tag> {
    let number = u32::from_str_radix(name, 16).ok().filter(|_| name.len() == 8)?;
    Some(Tag((number >> 16) as u16, (number & 0xFFFF) as u16))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        json,
        part10::{Outline, Source},
        transfer_syntax,
    };

    /// What our own gate and JSON writer read of it.
    fn read_back(attributes: &Value, uid: &str) -> Value {
        let syntax = transfer_syntax::lookup(uid).unwrap();
        let bytes = write(attributes.as_object().unwrap(), syntax.encoding);
        let outline = Outline::of(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &bytes).unwrap();
        assert!(outline.repairs.is_empty(), "{:?}", outline.repairs);
        let mut text = Vec::new();
        json::write(&outline, &|_| String::new(), &mut text);
        serde_json::from_slice(&text).unwrap()
    }

    const SYNTAXES: [&str; 3] = [
        transfer_syntax::IMPLICIT_LITTLE_ENDIAN,
        transfer_syntax::EXPLICIT_LITTLE_ENDIAN,
        transfer_syntax::EXPLICIT_BIG_ENDIAN,
    ];

    #[test]
    fn what_is_written_is_read_back_in_every_syntax() {
        let attributes = json!({
            "00080016": { "vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"] },
            "00080020": { "vr": "DA", "Value": ["20240131"] },
            "00080052": { "vr": "CS", "Value": ["STUDY"] },
            "00080061": { "vr": "CS", "Value": ["CT", "PT"] },
            "00081110": { "vr": "SQ", "Value": [
                { "00081150": { "vr": "UI", "Value": ["1.2.3"] }, "00400275": { "vr": "SQ", "Value": [
                    { "00400009": { "vr": "SH", "Value": ["step"] } }, { "00400009": { "vr": "SH" } }] } },
            ] },
            "00081140": { "vr": "SQ" },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Doe^Jane" }] },
            "00100020": { "vr": "LO", "Value": ["4711"] },
            "00189345": { "vr": "FD", "Value": [-1.5, 0.1] },
            "00201206": { "vr": "IS", "Value": [3] },
            "00280008": { "vr": "IS" },
            "00280009": { "vr": "AT", "Value": ["00181063", "00200020"] },
            "00280010": { "vr": "US", "Value": [512, 65535] },
            "00280030": { "vr": "DS", "Value": [0.664, 0.5] },
            "00281052": { "vr": "DS", "Value": [-1024] },
            "00720074": { "vr": "FD" },
        });
        for uid in SYNTAXES {
            assert_eq!(read_back(&attributes, uid), attributes, "{uid}");
        }
    }

    #[test]
    fn c19_text_goes_out_in_the_smallest_repertoire_that_holds_it() {
        let name = |name: &str| {
            json!({
                "00100010": { "vr": "PN", "Value": [{ "Alphabetic": name }] },
                "00104000": { "vr": "LT", "Value": ["a\r\nb"] },
            })
        };
        for (text, term) in [("Doe", None), ("Müller^Zoë", Some("ISO_IR 100")), ("山田", Some("ISO_IR 192"))] {
            let encoding = transfer_syntax::lookup(SYNTAXES[1]).unwrap().encoding;
            let bytes = write(name(text).as_object().unwrap(), encoding);
            let head = bytes.get(..18).unwrap();
            assert_eq!(term.is_some_and(|term| head.ends_with(term.as_bytes())), term.is_some(), "{text}");
            for uid in SYNTAXES {
                let back = read_back(&name(text), uid);
                assert_eq!(back["00100010"], name(text)["00100010"], "{text} {uid}");
            }
        }
        // what was said before does not hold for what is written now
        let stale =
            json!({ "00080005": { "vr": "CS", "Value": ["ISO_IR 101"] }, "00100020": { "vr": "LO", "Value": ["x"] } });
        assert_eq!(read_back(&stale, SYNTAXES[0]), json!({ "00100020": { "vr": "LO", "Value": ["x"] } }));
    }

    #[test]
    fn values_that_do_not_fit_are_left_out_and_nothing_else_is() {
        let attributes = json!({
            "00100020": { "vr": "LO", "Value": ["x".repeat(70_000)] },
            "00100021": { "vr": "LO", "Value": ["next"] },
            "00280010": { "vr": "US", "Value": ["no number"] },
            "00281050": { "vr": "DS", "Value": [0.123_456_789_012_345_6] },
            "7FE00010": { "vr": "OW", "BulkDataURI": "x" },
        });
        let back = read_back(&attributes, SYNTAXES[1]);
        assert_eq!(back["00100020"], json!({ "vr": "LO" }));
        assert_eq!(back["00100021"]["Value"][0], "next");
        assert_eq!(back["00280010"], json!({ "vr": "US" }));
        let close = back["00281050"]["Value"][0].as_f64().unwrap();
        assert!((close - 0.123_456_789_012_345_6).abs() < 1e-10, "{close}");
    }
}
