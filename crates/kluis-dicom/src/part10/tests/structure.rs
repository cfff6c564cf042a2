//! What stands inside data sets: what is put up with, what is refused, and what counts as bulk.

use dicom_core::{Tag, VR};

use super::super::{BulkKind, Event, Outline, Refusal, RepairKind, Value, test_data::*};
use super::{BIG_UID, DEFLATED_UID, EXPLICIT_UID, IMPLICIT_UID, JPEG_UID, data_set, pass};
use crate::limits::Limits;

/// Pushed whole and byte by byte, which must agree.
fn read(uid: &str, bytes: &[u8]) -> Result<Outline, Refusal> {
    let whole = pass(data_set(uid), Limits::default(), [bytes]);
    assert_eq!(whole, pass(data_set(uid), Limits::default(), bytes.chunks(1)));
    whole.map(|(_, outline)| outline)
}

fn first() -> Vec<u8> {
    write(&[value(0x0008, 0x0018, VR::UI, "1.2\0")], EXPLICIT)
}

/// An element with a header that says anything, after `first()`.
fn lying(tag: Tag, vr: VR, length: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = first();
    header(tag, vr, length, EXPLICIT, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

fn items(parts: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (element, length, body) in parts {
        item_header(*element, *length, EXPLICIT, &mut bytes);
        bytes.extend_from_slice(body);
    }
    bytes
}

const SEQUENCE: Tag = Tag(0x0008, 0x1140);
const PIXELS: Tag = Tag(0x7FE0, 0x0010);

#[test]
fn structures_that_are_refused() {
    let inner = write(&[value(0x0008, 0x1155, VR::UI, "1.2\0")], EXPLICIT);
    for (name, bytes, refused) in [
        (
            "value cut",
            lying(Tag(0x10, 0x10), VR::PN, 8, b"Doe"),
            "the bytes end inside (0010,0010) at offset 12, depth 0",
        ),
        (
            "header cut",
            lying(Tag(0x10, 0x10), VR::UT, 8, b"")[..18].to_vec(),
            "the bytes end inside (0010,0010) at offset 12, depth 0",
        ),
        (
            "sequence cut",
            lying(SEQUENCE, VR::SQ, UNDEFINED, b""),
            "the bytes end inside (0008,1140) at offset 12, depth 1",
        ),
        (
            "item cut",
            lying(SEQUENCE, VR::SQ, 100, &items(&[(0xE000, 40, &inner)])),
            "the bytes end inside (0008,1140) at offset 24, depth 1",
        ),
        (
            "fragment cut",
            lying(PIXELS, VR::OB, UNDEFINED, &items(&[(0xE000, 0, b""), (0xE000, 4, b"ab")])),
            "the bytes end inside (7FE0,0010) at offset 12, depth 0",
        ),
        (
            "no delimiter",
            lying(PIXELS, VR::OB, UNDEFINED, &items(&[(0xE000, 0, b"")])),
            "the bytes end inside (7FE0,0010) at offset 12, depth 0",
        ),
        (
            "item longer than sequence",
            lying(SEQUENCE, VR::SQ, 20, &items(&[(0xE000, 40, &inner)])),
            "48 bytes where 20 bytes are left in what contains it: (FFFE,E000) at offset 24, depth 1",
        ),
        (
            "value longer than item",
            lying(SEQUENCE, VR::SQ, 18, &items(&[(0xE000, 10, &inner)])),
            "12 bytes where 10 bytes are left in what contains it: (0008,1155) at offset 32, depth 1",
        ),
        (
            "header longer than item",
            lying(SEQUENCE, VR::SQ, 12, &items(&[(0xE000, 4, &inner)])),
            "12 bytes where 4 bytes are left in what contains it: (0008,1155) at offset 32, depth 1",
        ),
        (
            "fragment longer than item",
            lying(
                SEQUENCE,
                VR::SQ,
                40,
                &items(&[(0xE000, 32, &lying(PIXELS, VR::OB, UNDEFINED, &items(&[(0xE000, 90, b"")])))]),
            ),
            "98 bytes where 8 bytes are left in what contains it: (FFFE,E000) at offset 56, depth 1",
        ),
        (
            "value one byte longer than item",
            lying(SEQUENCE, VR::SQ, 19, &items(&[(0xE000, 11, &inner)])),
            "12 bytes where 11 bytes are left in what contains it: (0008,1155) at offset 32, depth 1",
        ),
        (
            "value longer than the sequence around an undefined item",
            lying(SEQUENCE, VR::SQ, 18, &items(&[(0xE000, UNDEFINED, &inner)])),
            "12 bytes where 10 bytes are left in what contains it: (0008,1155) at offset 32, depth 1",
        ),
        (
            "zeros in an item",
            lying(SEQUENCE, VR::SQ, 24, &items(&[(0xE000, 16, &[0; 16])])),
            "a command element in a data set: (0000,0000) at offset 32, depth 1",
        ),
        (
            "undefined text",
            lying(Tag(0x10, 0x4000), VR::UT, UNDEFINED, b""),
            "an undefined length that is not allowed: (0010,4000) at offset 12, depth 0",
        ),
        (
            "undefined fragment",
            lying(PIXELS, VR::OB, UNDEFINED, &items(&[(0xE000, UNDEFINED, b"")])),
            "an undefined length that is not allowed: (FFFE,E000) at offset 24, depth 0",
        ),
        (
            "no item",
            lying(SEQUENCE, VR::SQ, UNDEFINED, &inner),
            "an item was expected in a sequence: (0008,1155) at offset 24, depth 1",
        ),
        (
            "no fragment",
            lying(PIXELS, VR::OB, UNDEFINED, &inner),
            "an item was expected in a sequence: (0008,1155) at offset 24, depth 0",
        ),
        (
            "stray item",
            lying(ITEM, VR::UN, 0, b""),
            "an item or delimiter out of place: (FFFE,E000) at offset 12, depth 0",
        ),
        (
            "stray item delimiter",
            [first(), items(&[(0xE00D, 0, b"")])].concat(),
            "an item or delimiter out of place: (FFFE,E00D) at offset 12, depth 0",
        ),
        (
            "stray sequence delimiter",
            [first(), items(&[(0xE0DD, 0, b"")])].concat(),
            "an item or delimiter out of place: (FFFE,E0DD) at offset 12, depth 0",
        ),
        (
            "delimiter in defined sequence",
            lying(SEQUENCE, VR::SQ, 8, &items(&[(0xE0DD, 0, b"")])),
            "an item or delimiter out of place: (FFFE,E0DD) at offset 24, depth 1",
        ),
        (
            "delimiter in defined item",
            lying(SEQUENCE, VR::SQ, UNDEFINED, &items(&[(0xE000, 8, b""), (0xE00D, 0, b"")])),
            "an item or delimiter out of place: (FFFE,E00D) at offset 32, depth 1",
        ),
        (
            "sequence ends in item",
            lying(SEQUENCE, VR::SQ, UNDEFINED, &items(&[(0xE000, UNDEFINED, b""), (0xE0DD, 0, b"")])),
            "an item or delimiter out of place: (FFFE,E0DD) at offset 32, depth 1",
        ),
        (
            "long delimiter",
            lying(SEQUENCE, VR::SQ, UNDEFINED, &items(&[(0xE0DD, 4, b"abcd")])),
            "a delimiter with a length: (FFFE,E0DD) at offset 24, depth 1",
        ),
        (
            "long fragment delimiter",
            lying(PIXELS, VR::OB, UNDEFINED, &items(&[(0xE0DD, 4, b"abcd")])),
            "a delimiter with a length: (FFFE,E0DD) at offset 24, depth 0",
        ),
        (
            "command",
            lying(Tag(0, 0x100), VR::US, 2, b"ab"),
            "a command element in a data set: (0000,0100) at offset 12, depth 0",
        ),
        (
            "no VR",
            [first(), b"\x10\0\x10\0\x04\0\0\0abcd".to_vec()].concat(),
            "an unknown value representation: (0010,0010) at offset 12, depth 0",
        ),
        (
            "bytes after padding",
            [first(), vec![0; 40], first()].concat(),
            "bytes follow the padding after (0008,0018) at offset 0, depth 0",
        ),
    ] {
        assert_eq!(read(EXPLICIT_UID, &bytes).unwrap_err().to_string(), refused, "{name}");
    }
}

const ITEM: Tag = Tag(0xFFFE, 0xE000);

#[test]
fn structures_that_are_put_up_with() {
    let pixels = Node::Fragments { tag: PIXELS, table: vec![], fragments: vec![vec![1, 2]] };
    let implicit_item = write(&[value(0x0008, 0x1155, VR::UI, "1.2\0")], IMPLICIT);
    let uid = |element, text| value(0x0008, element, VR::UI, text);
    use RepairKind::*;
    for (name, syntax, bytes, kind, tag, count) in [
        ("odd", EXPLICIT_UID, write(&[uid(0x18, "1.2"), uid(0x1150, "1")], EXPLICIT), OddLength, (8, 0x18), 2),
        ("order", EXPLICIT_UID, write(&[uid(0x18, "1.2\0"), uid(0x16, "1.2\0")], EXPLICIT), TagOrder, (8, 0x16), 1),
        ("twice", EXPLICIT_UID, write(&[uid(0x18, "1.2\0"), uid(0x18, "1.2\0")], EXPLICIT), TagTwice, (8, 0x18), 1),
        (
            "meta",
            EXPLICIT_UID,
            write(&[value(2, 0x10, VR::UI, "1.2\0"), uid(0x18, "1.2\0")], EXPLICIT),
            StrayFileMeta,
            (2, 0x10),
            1,
        ),
        ("?? VR", EXPLICIT_UID, [first(), b"\x10\0\x10\0??\x04\0abcd".to_vec()].concat(), UnknownVr, (0x10, 0x10), 1),
        (
            "new VR",
            EXPLICIT_UID,
            [first(), b"\x10\0\x10\0ZZ\0\0\x04\0\0\0abcd".to_vec()].concat(),
            UnknownVr,
            (0x10, 0x10),
            1,
        ),
        (
            "implicit item",
            EXPLICIT_UID,
            lying(SEQUENCE, VR::SQ, 20, &items(&[(0xE000, 12, &implicit_item)])),
            ImplicitItem,
            (8, 0x1155),
            1,
        ),
        (
            "fragments",
            EXPLICIT_UID,
            write(&[uid(0x18, "1.2\0"), pixels.clone()], EXPLICIT),
            EncapsulatedInNativeSyntax,
            (0x7FE0, 0x10),
            1,
        ),
        (
            "implicit fragments",
            IMPLICIT_UID,
            write(&[uid(0x18, "1.2\0"), pixels], IMPLICIT),
            EncapsulatedInNativeSyntax,
            (0x7FE0, 0x10),
            1,
        ),
        ("zeros", EXPLICIT_UID, [first(), vec![0; 21]].concat(), ZeroPadding, (0, 0), 1),
    ] {
        let outline = read(syntax, &bytes).expect(name);
        let repair = outline.repairs.iter().find(|repair| repair.kind == kind).expect(name);
        assert_eq!((repair.tag, repair.count), (tag, count), "{name}");
        assert!(!seen(&outline, &bytes).is_empty(), "{name}");
    }
}

#[test]
fn a_gzip_trailer_is_put_up_with_only_when_it_is_right() {
    let stored = deflated(&first());
    let right = [&stored[..], &[1, 2, 3, 4], &(first().len() as u32).to_le_bytes()].concat();
    assert_eq!(read(DEFLATED_UID, &right).unwrap().repairs[0].kind, RepairKind::DeflateTrailer);
    assert_eq!(read(DEFLATED_UID, &[&stored[..], &[0]].concat()).unwrap().repairs, []);
    let wrong = [&stored[..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
    assert_eq!(read(DEFLATED_UID, &wrong), Err(Refusal::BytesAfterDeflate));
    assert_eq!(read(DEFLATED_UID, &[&right[..], &[1]].concat()), Err(Refusal::BytesAfterDeflate));
    let damaged = read(DEFLATED_UID, &[0xFF; 40]);
    assert!(matches!(damaged, Err(Refusal::DeflateDamaged { .. })), "{damaged:?}");
}

#[test]
fn bulk_is_told_by_tag_representation_and_length() {
    for (group, element, vr, length, is_bulk) in [
        (0x7FE0, 0x0010, VR::OW, 2, true),
        (0x7FE0, 0x0010, VR::OW, 0, false),
        (0x7FE0, 0x0008, VR::OF, 4, true),
        (0x7FE0, 0x0009, VR::OD, 8, true),
        (0x7FE0, 0x0001, VR::OV, 8000, false),
        (0x7FE0, 0x0002, VR::OV, 8000, false),
        (0x0042, 0x0011, VR::OB, 4096, false),
        (0x0042, 0x0011, VR::OB, 4098, true),
        (0x0009, 0x1001, VR::UN, 4098, true),
        (0x0066, 0x0016, VR::OF, 4100, true),
        (0x0040, 0xA160, VR::UT, 65536, false),
        (0x0040, 0xA160, VR::UT, 65538, true),
        (0x0018, 0x9445, VR::UC, 65538, true),
    ] {
        let bytes = write(&[value(group, element, vr, vec![b'1'; length])], EXPLICIT);
        let outline = read(EXPLICIT_UID, &bytes).unwrap();
        assert_eq!(outline.header.bulk().len() == 1, is_bulk, "({group:04X},{element:04X}) {vr:?} {length}");
        let icon = Node::Sequence {
            tag: Tag(0x0088, 0x0200),
            is_undefined: false,
            items: vec![Item { is_undefined: true, nodes: vec![value(group, element, vr, vec![b'1'; length])] }],
        };
        let bytes = write(&[icon], EXPLICIT);
        let outline = read(EXPLICIT_UID, &bytes).unwrap();
        assert_eq!(outline.header.bulk().len() == 1, is_bulk, "in an item: ({group:04X},{element:04X})");
        assert_eq!(seen(&outline, &bytes).len(), 2);
    }
}

#[test]
fn fragments_are_noted_with_their_table() {
    let table = [0, 0, 0, 0, 12, 0, 0, 0].to_vec();
    let pixels = Node::Fragments { tag: PIXELS, table: table.clone(), fragments: vec![vec![1; 4], vec![2; 6]] };
    let outline = read(JPEG_UID, &[first(), write(&[pixels], EXPLICIT)].concat()).unwrap();
    let span = &outline.header.bulk()[0];
    assert_eq!((span.offset, span.length, span.header_position), (24, 50, 24));
    let BulkKind::Fragments { offset_table, fragments } = &span.kind else { panic!("{span:?}") };
    let spans: Vec<_> = fragments.iter().map(|fragment| (fragment.offset, fragment.length)).collect();
    assert_eq!((offset_table, &spans[..]), (&table, &[(32, 8), (48, 4), (60, 6)][..]));
    assert_eq!(outline.repairs, []);
}

#[test]
fn private_sequences_in_implicit_vr() {
    let item = |is_undefined| Item { is_undefined, nodes: vec![value(0x0010, 0x0020, VR::LO, "ab")] };
    let private = Tag(0x0009, 0x1002);
    let undefined = Node::Sequence { tag: private, is_undefined: true, items: vec![item(true), item(false)] };
    let bytes = write(std::slice::from_ref(&undefined), IMPLICIT);
    assert_eq!(seen(&read(IMPLICIT_UID, &bytes).unwrap(), &bytes), expected(&[undefined]));
    let defined = Node::Sequence { tag: private, is_undefined: false, items: vec![item(true)] };
    let bytes = write(&[defined], IMPLICIT);
    let blob = vec![(0, private, Some((VR::UN, bytes[8..].to_vec())))];
    assert_eq!(seen(&read(IMPLICIT_UID, &bytes).unwrap(), &bytes), blob);
}

#[test]
fn unknown_elements_of_the_dictionary_show_what_they_are() {
    let bytes = write(
        &[
            value(0x0010, 0x0010, VR::UN, "Doe "),
            value(0x0010, 0x1002, VR::UN, items(&[(0xE000, 0, b"")])),
            value(0x0011, 0x1001, VR::UN, "ab"),
        ],
        EXPLICIT,
    );
    let outline = read(EXPLICIT_UID, &bytes).unwrap();
    let vrs: Vec<_> = seen(&outline, &bytes).into_iter().map(|(_, _, value)| value.unwrap().0).collect();
    assert_eq!(vrs, [VR::PN, VR::UN, VR::UN]);
    let bytes = write(&[value(0x0028, 0x0010, VR::UN, [0, 1])], BIG);
    let value = seen(&read(BIG_UID, &bytes).unwrap(), &bytes)[0].2.clone();
    assert_eq!(value, Some((VR::UN, vec![0, 1])), "its byte order is not known");
}

#[test]
fn byte_order_inside_unknown_sequences_is_little() {
    let inner = value(0x0028, 0x0010, VR::US, [1, 0]);
    let outer = [
        Node::Unknown { tag: Tag(0x0009, 0x1003), items: vec![Item { is_undefined: false, nodes: vec![inner] }] },
        value(0x0028, 0x0011, VR::US, [0, 1]),
    ];
    let mut bytes = Vec::new();
    header(Tag(0x0009, 0x1003), VR::UN, UNDEFINED, BIG, &mut bytes);
    let little = write(&outer[..1], EXPLICIT);
    bytes.extend_from_slice(&little[12..]);
    bytes.extend_from_slice(&write(&outer[1..], BIG));
    let outline = read(BIG_UID, &bytes).unwrap();
    let mut events = outline.header.events();
    let mut orders = Vec::new();
    while let Some(event) = events.next() {
        if let Event::Element { value: Value::Inline(value), .. } = event {
            orders.push((value.to_vec(), events.is_big_endian()));
        }
    }
    assert_eq!(orders, [(vec![1, 0], false), (vec![0, 1], true)]);
}

#[test]
fn pixel_representation_decides_in_implicit_vr() {
    let smallest = |bytes: [u8; 2]| value(0x0028, 0x0106, VR::SS, bytes);
    let lut = Node::Sequence {
        tag: Tag(0x0028, 0x3000),
        is_undefined: false,
        items: vec![Item { is_undefined: false, nodes: vec![value(0x0028, 0x3002, VR::SS, [0; 6])] }],
    };
    let nodes = [value(0x0028, 0x0103, VR::US, [1, 0]), smallest([0xFF, 0xFF]), lut];
    let bytes = write(&nodes, IMPLICIT);
    assert_eq!(seen(&read(IMPLICIT_UID, &bytes).unwrap(), &bytes), expected(&nodes));
    let bytes = write(&nodes[1..], IMPLICIT);
    let vrs: Vec<_> = seen(&read(IMPLICIT_UID, &bytes).unwrap(), &bytes).into_iter().map(|seen| seen.2).collect();
    assert_eq!(vrs[0], Some((VR::US, vec![0xFF, 0xFF])));
}

#[test]
fn outlines_survive_postcard_compactly() {
    let nodes = [value(0x0010, 0x0010, VR::PN, "Doe^Jane"), value(0x7FE0, 0x0010, VR::OW, vec![7; 70_000])];
    let outline = read(EXPLICIT_UID, &write(&nodes, EXPLICIT)).unwrap();
    let packed = postcard::to_stdvec(&outline).unwrap();
    assert_eq!(postcard::from_bytes::<Outline>(&packed).unwrap(), outline);
    assert!(packed.len() < outline.header.as_bytes().len() + 64, "{}", packed.len());
}

#[test]
fn outlines_show_no_patient_when_printed() {
    let outline = read(EXPLICIT_UID, &write(&[value(0x0010, 0x0010, VR::PN, "Doe^Jane")], EXPLICIT)).unwrap();
    let printed = format!("{outline:?} {:?}", outline.header.events().collect::<Vec<_>>());
    assert!(!printed.contains("Doe") && !printed.contains(&format!("{:?}", b"Doe")[1..12]), "{printed}");
}
