//! A small writer of data sets, for tests: independent of the gate, so that it can be its judge.

use dicom_core::{Tag, VR};

use super::{BulkKind, Event, Outline, Value};
use crate::transfer_syntax::Encoding;

/// A data element to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Value {
        tag: Tag,
        vr: VR,
        value: Vec<u8>,
    },
    Sequence {
        tag: Tag,
        is_undefined: bool,
        items: Vec<Item>,
    },
    /// A sequence written as UN of undefined length.
    Unknown {
        tag: Tag,
        items: Vec<Item>,
    },
    Fragments {
        tag: Tag,
        table: Vec<u8>,
        fragments: Vec<Vec<u8>>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) is_undefined: bool,
    pub(crate) nodes: Vec<Node>,
}

/// What a reader should see: depth, tag, and the value (fragments joined, table first) or nothing for a sequence.
pub(crate) type Seen = Vec<(u32, Tag, Option<(VR, Vec<u8>)>)>;

pub(crate) const IMPLICIT: Encoding = Encoding { explicit_vr: false, big_endian: false, deflated: false };
pub(crate) const EXPLICIT: Encoding = Encoding { explicit_vr: true, big_endian: false, deflated: false };
pub(crate) const BIG: Encoding = Encoding { explicit_vr: true, big_endian: true, deflated: false };

pub(crate) const UNDEFINED: u32 = u32::MAX;

pub(crate) fn value(group: u16, element: u16, vr: VR, value: impl AsRef<[u8]>) -> Node {
    Node::Value { tag: Tag(group, element), vr, value: value.as_ref().to_vec() }
}

pub(crate) fn write(nodes: &[Node], encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        write_node(node, encoding, &mut out);
    }
    out
}

fn write_node(node: &Node, encoding: Encoding, out: &mut Vec<u8>) {
    match node {
        Node::Value { tag, vr, value } => {
            header(*tag, *vr, value.len() as u32, encoding, out);
            out.extend_from_slice(value);
        }
        Node::Sequence { tag, is_undefined, items } => {
            let body = write_items(items, encoding);
            header(*tag, VR::SQ, if *is_undefined { UNDEFINED } else { body.len() as u32 }, encoding, out);
            out.extend_from_slice(&body);
            if *is_undefined {
                item_header(0xE0DD, 0, encoding, out);
            }
        }
        Node::Unknown { tag, items } => {
            header(*tag, VR::UN, UNDEFINED, encoding, out);
            out.extend_from_slice(&write_items(items, IMPLICIT));
            item_header(0xE0DD, 0, IMPLICIT, out);
        }
        Node::Fragments { tag, table, fragments } => {
            header(*tag, VR::OB, UNDEFINED, encoding, out);
            for fragment in std::iter::once(table).chain(fragments) {
                item_header(0xE000, fragment.len() as u32, encoding, out);
                out.extend_from_slice(fragment);
            }
            item_header(0xE0DD, 0, encoding, out);
        }
    }
}

fn write_items(items: &[Item], encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let body = write(&item.nodes, encoding);
        item_header(0xE000, if item.is_undefined { UNDEFINED } else { body.len() as u32 }, encoding, &mut out);
        out.extend_from_slice(&body);
        if item.is_undefined {
            item_header(0xE00D, 0, encoding, &mut out);
        }
    }
    out
}

/// Writes an element header with any length, true or not.
pub(crate) fn header(tag: Tag, vr: VR, length: u32, encoding: Encoding, out: &mut Vec<u8>) {
    number16(tag.0, encoding, out);
    number16(tag.1, encoding, out);
    if !encoding.explicit_vr {
        number32(length, encoding, out);
        return;
    }
    out.extend_from_slice(vr.to_string().as_bytes());
    let long = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"];
    if long.contains(&vr.to_string()) {
        out.extend_from_slice(&[0, 0]);
        number32(length, encoding, out);
    } else {
        number16(u16::try_from(length).unwrap(), encoding, out);
    }
}

pub(crate) fn item_header(element: u16, length: u32, encoding: Encoding, out: &mut Vec<u8>) {
    number16(0xFFFE, encoding, out);
    number16(element, encoding, out);
    number32(length, encoding, out);
}

fn number16(number: u16, encoding: Encoding, out: &mut Vec<u8>) {
    out.extend_from_slice(&if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
}

fn number32(number: u32, encoding: Encoding, out: &mut Vec<u8>) {
    out.extend_from_slice(&if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
}

/// What a reader of `nodes` should see.
pub(crate) fn expected(nodes: &[Node]) -> Seen {
    let mut seen = Vec::new();
    expect(nodes, 0, &mut seen);
    seen
}

fn expect(nodes: &[Node], depth: u32, seen: &mut Seen) {
    for node in nodes {
        match node {
            Node::Value { tag, vr, value } => seen.push((depth, *tag, Some((*vr, value.clone())))),
            Node::Fragments { tag, table, fragments } => {
                let joined = table.iter().chain(fragments.iter().flatten()).copied().collect();
                seen.push((depth, *tag, Some((VR::OB, joined))));
            }
            Node::Sequence { tag, items, .. } | Node::Unknown { tag, items } => {
                seen.push((depth, *tag, None));
                items.iter().for_each(|item| expect(&item.nodes, depth + 1, seen));
            }
        }
    }
}

/// What the events of an outline show, bulk values looked up in the (inflated) data set.
pub(crate) fn seen(outline: &Outline, data_set: &[u8]) -> Seen {
    let mut seen = Vec::new();
    let mut depth = 0;
    for event in outline.header.events() {
        match event {
            Event::Element { tag, vr, value } => seen.push((depth, tag, Some((vr, resolve(&value, data_set))))),
            Event::SequenceStart { tag } => {
                seen.push((depth, tag, None));
                depth += 1;
            }
            Event::SequenceEnd => depth -= 1,
            Event::ItemStart | Event::ItemEnd => {}
        }
    }
    seen
}

fn resolve(value: &Value<'_>, data_set: &[u8]) -> Vec<u8> {
    let slice = |offset: u64, length: u64| data_set[offset as usize..(offset + length) as usize].to_vec();
    match value {
        Value::Inline(bytes) => bytes.to_vec(),
        Value::Bulk { span, .. } => match &span.kind {
            BulkKind::Value => slice(span.offset, span.length),
            BulkKind::Fragments { offset_table, fragments } => {
                assert_eq!(*offset_table, slice(fragments[0].offset, fragments[0].length));
                fragments.iter().flat_map(|fragment| slice(fragment.offset, fragment.length)).collect()
            }
        },
    }
}

/// A file: preamble, prefix, (0002,0000), transfer syntax, data set.
pub(crate) fn file(transfer_syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let mut meta = write(&[value(2, 0x10, VR::UI, padded(transfer_syntax))], EXPLICIT);
    let mut out = vec![0; 128];
    out.extend_from_slice(b"DICM");
    out.extend_from_slice(&write(&[value(2, 0, VR::UL, (meta.len() as u32).to_le_bytes())], EXPLICIT));
    out.append(&mut meta);
    out.extend_from_slice(data_set);
    out
}

pub(crate) fn padded(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    value
}

/// Raw deflate.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
