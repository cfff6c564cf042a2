use super::*;
use crate::{
    limits::Limits,
    part10::{
        Gate, Source,
        test_data::{BIG, EXPLICIT, IMPLICIT, Item, Node, deflated, expected, seen, value, write},
    },
};

const UIDS: [(&str, Encoding); 3] =
    [("1.2.840.10008.1.2", IMPLICIT), ("1.2.840.10008.1.2.1", EXPLICIT), ("1.2.840.10008.1.2.2", BIG)];
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

fn outline(uid: &str, data_set: &[u8]) -> Outline {
    let mut gate = Gate::new(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, Limits::default()).unwrap();
    gate.push(data_set).unwrap();
    gate.finish().unwrap().1
}

/// Numbers of 16 bits in the byte order of an encoding.
fn words(numbers: &[u16], encoding: Encoding) -> Vec<u8> {
    let bytes = |number: &u16| if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    numbers.iter().flat_map(bytes).collect()
}

fn nodes(encoding: Encoding) -> Vec<Node> {
    let item = |is_undefined, nodes| Item { is_undefined, nodes };
    let reference = vec![value(8, 0x1155, VR::UI, "1.2.3\0")];
    vec![
        value(8, 0x0005, VR::CS, "ISO_IR 100"),
        Node::Sequence {
            tag: Tag(8, 0x1140),
            is_undefined: false,
            items: vec![item(false, reference.clone()), item(true, Vec::new()), item(true, reference.clone())],
        },
        Node::Sequence { tag: Tag(8, 0x2112), is_undefined: true, items: Vec::new() },
        value(0x0010, 0x0010, VR::PN, "A^B "),
        value(0x0028, 0x0010, VR::US, words(&[512], encoding)),
        value(0x0028, 0x0103, VR::US, words(&[1], encoding)),
        value(0x0028, 0x0106, VR::SS, words(&[0xFC18], encoding)),
        Node::Sequence {
            tag: Tag(0x5200, 0x9230),
            is_undefined: true,
            items: vec![item(
                false,
                vec![Node::Sequence {
                    tag: Tag(0x0008, 0x1140),
                    is_undefined: true,
                    items: vec![item(false, reference)],
                }],
            )],
        },
        value(0x7FE0, 0x0010, VR::OW, words(&(0..40_000).collect::<Vec<u16>>(), encoding)),
    ]
}

fn put_together(rewritten: &Rewritten, stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &rewritten.pieces {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Stored { offset, length, unit } => {
                let mut bytes = stored[*offset as usize..(*offset + *length) as usize].to_vec();
                bytes.chunks_exact_mut(*unit).for_each(<[u8]>::reverse);
                out.extend(bytes);
            }
        }
    }
    assert_eq!(out.len() as u64, rewritten.length);
    out
}

#[test]
fn every_native_encoding_becomes_every_little_endian_one_without_a_change_of_value() {
    for (from_uid, from) in UIDS {
        let stored = write(&nodes(from), from);
        for (to_uid, to) in UIDS.into_iter().filter(|(uid, to)| *uid != from_uid && !to.big_endian) {
            assert!(is_possible(from_uid, to_uid) && is_possible(DEFLATED, to_uid));
            let rewritten = rewrite(&outline(from_uid, &stored), to).unwrap();
            let bytes = put_together(&rewritten, &stored);
            assert_eq!(seen(&outline(to_uid, &bytes), &bytes), expected(&nodes(to)), "{from_uid} to {to_uid}");
        }
    }
    let inflated = write(&nodes(EXPLICIT), EXPLICIT);
    let rewritten = rewrite(&outline(DEFLATED, &deflated(&inflated)), IMPLICIT).unwrap();
    let bytes = put_together(&rewritten, &inflated);
    assert_eq!(seen(&outline("1.2.840.10008.1.2", &bytes), &bytes), expected(&nodes(IMPLICIT)));
}

#[test]
fn group_lengths_go_odd_values_are_padded_and_long_ones_become_un() {
    let long = "x".repeat(70_000);
    let nodes = [
        value(0x0010, 0x0000, VR::UL, [9, 0, 0, 0]),
        value(0x0010, 0x0010, VR::PN, "A^B"),
        value(0x0018, 0x9999, VR::UN, [1, 2, 3]),
        value(0x0020, 0x000D, VR::UI, "1.2"),
        value(0x0020, 0x4000, VR::LT, &long),
    ];
    let stored = write(&nodes, IMPLICIT);
    let rewritten = rewrite(&outline("1.2.840.10008.1.2", &stored), EXPLICIT).unwrap();
    let bytes = put_together(&rewritten, &stored);
    let seen: Vec<_> = seen(&outline("1.2.840.10008.1.2.1", &bytes), &bytes);
    let padded = [
        (0, Tag(0x0010, 0x0010), Some((VR::PN, b"A^B ".to_vec()))),
        (0, Tag(0x0018, 0x9999), Some((VR::UN, vec![1, 2, 3, 0]))),
        (0, Tag(0x0020, 0x000D), Some((VR::UI, b"1.2\0".to_vec()))),
        // read as what the dictionary says, but written as UN
        (0, Tag(0x0020, 0x4000), Some((VR::LT, long.into_bytes()))),
    ];
    assert!(seen == padded, "{:?}", &seen[..3]);
    assert!(bytes.windows(8).any(|window| window == [0x20, 0, 0, 0x40, b'U', b'N', 0, 0]));
}

#[test]
fn units_are_swapped_in_whatever_parts_they_come() {
    let bytes: Vec<u8> = (0..23).collect();
    for unit in [1, 2, 4, 8] {
        let mut whole = bytes.clone();
        whole.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        for step in 1..24 {
            let mut swapper = Swapper::new(unit);
            let mut out = Vec::new();
            let mut parts = bytes.chunks(step).peekable();
            while let Some(part) = parts.next() {
                out.extend(swapper.swap(part, parts.peek().is_none()));
            }
            assert_eq!(out, whole, "{unit} {step}");
        }
    }
}

#[test]
fn what_needs_a_codec_is_not_rewritten() {
    assert!(!is_possible("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"));
    assert!(!is_possible("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"));
    assert!(!is_possible("1.2.840.10008.1.2.1", DEFLATED));
    assert!(!is_possible("1.2.840.10008.1.2", "1.2.840.10008.1.2"));
    // JPIP: the pixels are elsewhere
    assert!(!is_possible("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.1"));
    let tag = Tag(0x7FE0, 0x0010);
    let node = Node::Fragments { tag, table: Vec::new(), fragments: vec![vec![1, 2]] };
    let stored = write(&[value(8, 0x0060, VR::CS, "CT"), node], EXPLICIT);
    assert_eq!(rewrite(&outline("1.2.840.10008.1.2.4.50", &stored), EXPLICIT), None);
}
