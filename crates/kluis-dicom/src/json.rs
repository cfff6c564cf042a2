//! DICOM JSON (PS3.18 Annex F), written as a stream straight from the events of a header: no tree, no recursion.
//!
//! A header of n bytes gives at most about 12 n bytes (a person name of one character takes 24) and the URIs of its bulk
//! values. The result is always one valid JSON object, whatever the bytes say.

mod decimal;
mod value;

use std::io::Write as _;

use serde_json::Value as Json;

use crate::{
    Charset, Tag, VR,
    element_value::known_vr,
    part10::{Event, Header, Outline, Value},
};

/// The attribute that names the character set; JSON is always UTF-8.
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Writes a whole data set as one DICOM JSON object.
///
/// * Group 0002 and group lengths (gggg,0000) are left out; of a tag that stands twice in a row, the first stays.
/// * Text is decoded by the character set in force, that of the sequence item where it has one; (0008,0005) says
///   `ISO_IR 192` wherever it stands.
/// * IS and DS are numbers where a double holds them exactly, else strings as they stand; SV and UV beyond 2^53 are
///   strings, and so are NaN and the infinities (F.2.3).
/// * Bulk values get the URI that `bulk_uri` gives for their index in [`Header::bulk`]; other binary is inline, in little
///   endian order (F.2.7).
pub fn write(outline: &Outline, bulk_uri: &dyn Fn(usize) -> String, out: &mut Vec<u8>) {
    write_header(&outline.header, bulk_uri, out);
}

/// As [`write()`], of a header alone.
pub fn write_header(header: &Header, bulk_uri: &dyn Fn(usize) -> String, out: &mut Vec<u8>) {
    let mut events = header.events();
    let mut writer = Writer::new(out);
    while let Some(event) = events.next() {
        writer.event(event, events.is_big_endian(), bulk_uri);
    }
    writer.finish();
}

/// The DICOM JSON of one element, as [`write()`] would write it.
pub(crate) fn attribute(vr: VR, bytes: &[u8], charset: Charset, is_big_endian: bool) -> Json {
    let mut text = vec![b'{'];
    value::write_attribute(&mut text, vr, bytes, charset, is_big_endian);
    text.push(b'}');
    serde_json::from_slice(&text).unwrap_or_default()
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    charset: Charset,
    /// What is open, outermost first: the data set, then sequences and items in turn.
    open: Vec<Open>,
    /// How many sequences and items within one that is left out.
    skipped_depth: usize,
}

enum Open {
    /// A data set or item; the character set to go back to behind it.
    Object {
        last: Option<Tag>,
        outer_charset: Charset,
    },
    Sequence {
        has_items: bool,
    },
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        let data_set = Open::Object { last: None, outer_charset: Charset::default() };
        Self { out, charset: Charset::default(), open: vec![data_set], skipped_depth: 0 }
    }

    fn event(&mut self, event: Event<'_>, is_big_endian: bool, bulk_uri: &dyn Fn(usize) -> String) {
        if self.skipped_depth > 0 {
            match event {
                Event::SequenceStart { .. } | Event::ItemStart => self.skipped_depth += 1,
                Event::SequenceEnd | Event::ItemEnd => self.skipped_depth -= 1,
                Event::Element { .. } => {}
            }
            return;
        }
        match event {
            Event::Element { tag, vr, value } => {
                if self.begin_attribute(tag) {
                    self.element(tag, vr, value, is_big_endian, bulk_uri);
                    self.out.push(b'}');
                }
            }
            Event::SequenceStart { tag } => {
                if self.begin_attribute(tag) {
                    self.out.extend_from_slice(b"\"vr\":\"SQ\"");
                    self.open.push(Open::Sequence { has_items: false });
                } else {
                    self.skipped_depth = 1;
                }
            }
            Event::ItemStart => self.begin_item(),
            Event::ItemEnd | Event::SequenceEnd => self.end_innermost(),
        }
    }

    /// Writes the key and what follows it, unless the attribute has no place in DICOM JSON.
    fn begin_attribute(&mut self, tag: Tag) -> bool {
        let Some(Open::Object { last, .. }) = self.open.last_mut() else { return false };
        if tag.0 == 0x0002 || tag.1 == 0 || *last == Some(tag) {
            return false;
        }
        if last.replace(tag).is_some() {
            self.out.push(b',');
        }
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, "\"{:04X}{:04X}\":{{", tag.0, tag.1);
        true
    }

    fn element(&mut self, tag: Tag, vr: VR, value: Value<'_>, is_big_endian: bool, bulk_uri: &dyn Fn(usize) -> String) {
        let known = known_vr(tag, vr);
        match value {
            Value::Inline(bytes) if tag == SPECIFIC_CHARACTER_SET => {
                self.charset = Charset::from_value(bytes);
                self.out.extend_from_slice(b"\"vr\":\"CS\",\"Value\":[\"ISO_IR 192\"]");
            }
            // An explicit VR of UN holds its value in little endian order, whatever the data set is in (PS3.5 6.2.2).
            Value::Inline(bytes) => {
                value::write_attribute(self.out, known, bytes, self.charset, is_big_endian && vr != VR::UN);
            }
            Value::Bulk { index, .. } => {
                let _ = write!(self.out, "\"vr\":\"{}\",\"BulkDataURI\":", known.to_string());
                value::write_string(self.out, &bulk_uri(index));
            }
        }
    }

    fn begin_item(&mut self) {
        let Some(Open::Sequence { has_items }) = self.open.last_mut() else { return };
        let opening: &[u8] = if std::mem::replace(has_items, true) { b",{" } else { b",\"Value\":[{" };
        self.out.extend_from_slice(opening);
        self.open.push(Open::Object { last: None, outer_charset: self.charset });
    }

    fn end_innermost(&mut self) {
        // The data set itself is closed by `finish` alone.
        if self.open.len() < 2 {
            return;
        }
        self.close();
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Object { outer_charset, .. }) => {
                self.charset = outer_charset;
                self.out.push(b'}');
            }
            Some(Open::Sequence { has_items: true }) => self.out.extend_from_slice(b"]}"),
            Some(Open::Sequence { has_items: false }) => self.out.push(b'}'),
            None => {}
        }
    }

    fn finish(mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests;
