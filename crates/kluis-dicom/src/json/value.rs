//! The members of one attribute object: `vr`, and `Value` or `InlineBinary` (PS3.18 F.2.2 to F.2.7).

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::decimal;
use crate::{
    Charset, VR,
    element_value::{self, Number},
    person_name::{GROUP_NAMES, PersonName},
};

/// The largest whole number up to which a double holds all.
const MAX_SAFE: u64 = 1 << 53;

/// Writes the members, without the braces around them.
pub(super) fn write_attribute(out: &mut Vec<u8>, vr: VR, bytes: &[u8], charset: Charset, is_big_endian: bool) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "\"vr\":\"{}\"", vr.to_string());
    if bytes.is_empty() {
        return;
    }
    if element_value::is_text(vr) {
        let text = charset.decode(bytes, vr);
        return write_texts(out, vr, &text);
    }
    match vr {
        VR::AT => {
            let tags = element_value::tags(bytes, is_big_endian);
            write_values(out, tags, |out, tag| _ = write!(out, "\"{:04X}{:04X}\"", tag.0, tag.1));
        }
        VR::SQ | VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN => {
            let mut text = String::new();
            STANDARD.encode_string(element_value::little_endian(vr, bytes, is_big_endian), &mut text);
            out.extend_from_slice(b",\"InlineBinary\":\"");
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        _ => write_values(out, element_value::numbers(vr, bytes, is_big_endian), write_number),
    }
}

/// A JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => _ = write!(out, "\\u{byte:04x}"),
            other => out.push(other),
        }
    }
    out.push(b'"');
}

fn write_texts(out: &mut Vec<u8>, vr: VR, text: &str) {
    let is_several = element_value::is_multi_valued(vr) && text.contains('\\');
    if !is_several && element_value::trim(vr, text).is_empty() {
        return;
    }
    if is_several {
        return write_values(out, text.split('\\'), |out, value| write_text(out, vr, value));
    }
    write_values(out, std::iter::once(text), |out, value| write_text(out, vr, value));
}

fn write_text(out: &mut Vec<u8>, vr: VR, value: &str) {
    let value = element_value::trim(vr, value);
    if value.is_empty() {
        return out.extend_from_slice(b"null");
    }
    match vr {
        VR::PN => write_person_name(out, value),
        VR::IS => match value.parse::<i64>() {
            Ok(number) if number.unsigned_abs() <= MAX_SAFE => _ = write!(out, "{number}"),
            _ => write_string(out, value),
        },
        VR::DS => match decimal::to_json(value) {
            Some(number) => out.extend_from_slice(number.as_bytes()),
            None => write_string(out, value),
        },
        _ => write_string(out, value),
    }
}

fn write_person_name(out: &mut Vec<u8>, value: &str) {
    let name = PersonName::parse(value);
    if name.is_empty() {
        return out.extend_from_slice(b"null");
    }
    let mut opening = b'{';
    for (group_name, group) in GROUP_NAMES.iter().zip(name.groups()).filter(|(_, group)| !group.is_empty()) {
        out.push(opening);
        write_string(out, group_name);
        out.push(b':');
        write_string(out, group);
        opening = b',';
    }
    out.push(b'}');
}

fn write_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Signed(number) if number.unsigned_abs() > MAX_SAFE => _ = write!(out, "\"{number}\""),
        Number::Signed(number) => _ = write!(out, "{number}"),
        Number::Unsigned(number) if number > MAX_SAFE => _ = write!(out, "\"{number}\""),
        Number::Unsigned(number) => _ = write!(out, "{number}"),
        Number::Float(number) => match serde_json::Number::from_f64(number) {
            Some(finite) => _ = write!(out, "{finite}"),
            // JSON has no such numbers; these names are what both JavaScript and Python read back.
            None if number.is_nan() => out.extend_from_slice(b"\"NaN\""),
            None if number > 0.0 => out.extend_from_slice(b"\"Infinity\""),
            None => out.extend_from_slice(b"\"-Infinity\""),
        },
    }
}

/// Writes `,"Value":[…]`, or nothing where there are no values.
fn write_values<T>(out: &mut Vec<u8>, values: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    let mut has_values = false;
    for value in values {
        out.extend_from_slice(if has_values { b"," } else { b",\"Value\":[" });
        has_values = true;
        write(out, value);
    }
    if has_values {
        out.push(b']');
    }
}
