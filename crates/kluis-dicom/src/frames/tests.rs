use std::ops::Range;

use super::*;
use crate::{
    VR,
    part10::{
        Outline, Source,
        test_data::{BIG, EXPLICIT, Node, value, write},
    },
    transfer_syntax::Encoding,
};

const EXPLICIT_UID: &str = "1.2.840.10008.1.2.1";
const JPEG_UID: &str = "1.2.840.10008.1.2.4.50";

struct Measures {
    rows: u16,
    columns: u16,
    samples: u16,
    bits: u16,
    frames: &'static str,
    photometric: &'static str,
}

const MONOCHROME: Measures =
    Measures { rows: 4, columns: 6, samples: 1, bits: 16, frames: "3 ", photometric: "MONOCHROME2 " };

fn nodes(measures: &Measures, encoding: Encoding, pixels: Vec<Node>) -> Vec<Node> {
    let number = |element, number: u16| {
        let bytes = if encoding.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        value(0x0028, element, VR::US, bytes)
    };
    let mut nodes = vec![
        number(0x0002, measures.samples),
        value(0x0028, 0x0004, VR::CS, measures.photometric),
        value(0x0028, 0x0008, VR::IS, measures.frames),
        number(0x0010, measures.rows),
        number(0x0011, measures.columns),
        number(0x0100, measures.bits),
    ];
    nodes.extend(pixels);
    nodes
}

/// The table, and where the value of the pixel data begins.
fn table(uid: &str, encoding: Encoding, nodes: &[Node]) -> (Result<FrameTable, FrameError>, u64) {
    let source = Source::DataSet { transfer_syntax: uid.parse().unwrap() };
    let outline = Outline::of(source, &write(nodes, encoding)).unwrap();
    let offset = outline.header.bulk().first().map_or(0, |span| span.offset);
    (FrameTable::new(&outline), offset)
}

fn native(measures: &Measures, encoding: Encoding, uid: &str, length: usize) -> Result<FrameTable, FrameError> {
    let pixels = vec![value(0x7FE0, 0x0010, VR::OW, vec![0; length])];
    table(uid, encoding, &nodes(measures, encoding, pixels)).0
}

/// Ranges of frames relative to the pixel data, one a frame.
fn ranges(table: &FrameTable) -> Vec<Range<u64>> {
    let base = table.stream()[0].start;
    let frames = (1..=table.count()).map(|number| table.frame(number).unwrap()[0].clone());
    frames.map(|range| range.start - base..range.end - base).collect()
}

#[test]
fn native_frames_follow_from_the_measures() {
    let rgb = Measures { samples: 3, bits: 8, frames: "2 ", photometric: "RGB ", ..MONOCHROME };
    let half = Measures { photometric: "YBR_FULL_422", ..rgb };
    for (name, measures, length, frames) in [
        ("16 bit", &MONOCHROME, 144, vec![0..48, 48..96, 96..144]),
        ("padded", &MONOCHROME, 146, vec![0..48, 48..96, 96..144]),
        ("one", &Measures { frames: "", ..MONOCHROME }, 48, vec![0..48]),
        ("colour", &rgb, 144, vec![0..72, 72..144]),
        ("subsampled", &half, 96, vec![0..48, 48..96]),
        ("not really subsampled", &half, 144, vec![0..72, 72..144]),
        ("bits", &Measures { bits: 1, rows: 3, columns: 3, ..MONOCHROME }, 4, vec![0..2, 1..3, 2..4]),
    ] {
        let table = native(measures, EXPLICIT, EXPLICIT_UID, length).expect(name);
        assert_eq!(ranges(&table), frames, "{name}");
        assert_eq!((table.media_type(), table.is_native()), ("application/octet-stream", true), "{name}");
    }
    let table = native(&MONOCHROME, BIG, "1.2.840.10008.1.2.2", 144).unwrap();
    assert_eq!(ranges(&table), [0..48, 48..96, 96..144]);
}

#[test]
fn float_pixel_data_has_its_own_width() {
    for (element, vr, width) in [(0x0008, VR::OF, 4), (0x0009, VR::OD, 8)] {
        let pixels = vec![value(0x7FE0, element, vr, vec![0; 24 * width])];
        let nodes = nodes(&Measures { frames: "1 ", ..MONOCHROME }, EXPLICIT, pixels);
        let (table, offset) = table(EXPLICIT_UID, EXPLICIT, &nodes);
        assert_eq!(table.unwrap().frame(1), Ok(vec![offset..offset + 24 * width as u64]));
    }
}

#[test]
fn packed_bits_are_unpacked_frame_by_frame() {
    // Three frames of 9 bits: 1 0000 0000, 0 1111 1111, 1 0101 0101 from the highest bit down.
    let all: u32 = 0b1_0101_0101 << 18 | 0b0_1111_1111 << 9 | 0b1_0000_0000;
    let bytes = all.to_le_bytes();
    let table = native(&Measures { bits: 1, rows: 3, columns: 3, ..MONOCHROME }, EXPLICIT, EXPLICIT_UID, 4).unwrap();
    for (number, bits, frame) in [(1, 0..9, [0, 1]), (2, 1..10, [0xFF, 0]), (3, 2..11, [0x55, 1])] {
        let range = ranges(&table)[number as usize - 1].clone();
        assert_eq!(table.bits(number), Some(bits.clone()));
        assert_eq!(unpack(&bytes[range.start as usize..range.end as usize], &bits), frame);
    }
    let whole = native(&Measures { bits: 1, rows: 4, columns: 4, ..MONOCHROME }, EXPLICIT, EXPLICIT_UID, 6).unwrap();
    assert_eq!((1..=3).map(|number| whole.bits(number)).collect::<Vec<_>>(), [None, None, None]);
    assert_eq!(unpack(&[0xFF], &(4..20)), [0x0F]);
    assert_eq!(unpack(&[], &(4..4)), [0u8; 0]);
}

#[test]
fn frame_numbers_count_from_1() {
    let table = native(&MONOCHROME, EXPLICIT, EXPLICIT_UID, 144).unwrap();
    for number in [0, 4, u32::MAX] {
        assert_eq!(table.frame(number), Err(FrameError::NoSuchFrame { number, count: 3 }));
    }
}

#[test]
fn native_frames_that_cannot_be() {
    let too_short = native(&MONOCHROME, EXPLICIT, EXPLICIT_UID, 142);
    assert_eq!(too_short, Err(FrameError::TooShort { length: 142, count: 3, needed: 144 }));
    let huge = Measures {
        rows: u16::MAX,
        columns: u16::MAX,
        samples: u16::MAX,
        bits: u16::MAX,
        frames: "999999999 ",
        ..MONOCHROME
    };
    assert_eq!(native(&huge, EXPLICIT, EXPLICIT_UID, 2), Err(FrameError::TooLarge));
    for frames in ["0 ", "-1", "1A", "99999999999 "] {
        let wrong = native(&Measures { frames, ..MONOCHROME }, EXPLICIT, EXPLICIT_UID, 144);
        assert_eq!(wrong, Err(FrameError::Attribute(Tag(0x0028, 0x0008))), "{frames}");
    }
    let pixels = value(0x7FE0, 0x0010, VR::OW, vec![0; 4]);
    let (no_rows, _) = table(EXPLICIT_UID, EXPLICIT, &[pixels]);
    assert_eq!(no_rows, Err(FrameError::Attribute(Tag(0x0028, 0x0010))));
    let (none, _) = table(EXPLICIT_UID, EXPLICIT, &nodes(&MONOCHROME, EXPLICIT, vec![]));
    assert_eq!(none, Err(FrameError::NoPixelData));
}

fn fragments(lengths: &[usize], offsets: &[u32]) -> Node {
    Node::Fragments {
        tag: Tag(0x7FE0, 0x0010),
        table: offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect(),
        fragments: lengths.iter().map(|length| vec![0; *length]).collect(),
    }
}

fn extended(offsets: &[u64], lengths: &[u64]) -> [Node; 2] {
    let bytes = |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    [value(0x7FE0, 0x0001, VR::OV, bytes(offsets)), value(0x7FE0, 0x0002, VR::OV, bytes(lengths))]
}

/// Frames as ranges that count from the content of the first fragment.
fn encapsulated(frames: &'static str, pixels: Vec<Node>) -> Result<Vec<Vec<Range<u64>>>, FrameError> {
    let table = table(JPEG_UID, EXPLICIT, &nodes(&Measures { frames, ..MONOCHROME }, EXPLICIT, pixels)).0?;
    assert_eq!((table.media_type(), table.is_native()), ("image/jpeg", false));
    let base = table.stream()[0].start;
    let relative = |range: Range<u64>| range.start - base..range.end - base;
    (1..=table.count()).map(|number| Ok(table.frame(number)?.into_iter().map(relative).collect())).collect()
}

#[test]
fn encapsulated_frames_are_found() {
    let [offsets, lengths] = extended(&[0, 12, 26], &[3, 6, 7]);
    for (name, frames, pixels, found) in [
        ("one a frame", "3 ", vec![fragments(&[4, 6, 8], &[])], vec![vec![0..4], vec![12..18], vec![26..34]]),
        ("table", "3 ", vec![fragments(&[4, 6, 8], &[0, 12, 26])], vec![vec![0..4], vec![12..18], vec![26..34]]),
        ("several a frame", "2 ", vec![fragments(&[4, 6, 8], &[0, 26])], vec![vec![0..4, 12..18], vec![26..34]]),
        ("single", "1 ", vec![fragments(&[4, 6, 8], &[])], vec![vec![0..4, 12..18, 26..34]]),
        ("no number", "", vec![fragments(&[4, 6], &[])], vec![vec![0..4, 12..18]]),
        ("table of zeros, one a frame", "2 ", vec![fragments(&[4, 6], &[0, 0])], vec![vec![0..4], vec![12..18]]),
        (
            "extended",
            "3 ",
            vec![offsets, lengths, fragments(&[4, 6, 8], &[])],
            vec![vec![0..3], vec![12..18], vec![26..33]],
        ),
    ] {
        assert_eq!(encapsulated(frames, pixels), Ok(found), "{name}");
    }
}

#[test]
fn encapsulated_frames_that_cannot_be_told() {
    let with = |[offsets, lengths]: [Node; 2]| vec![offsets, lengths, fragments(&[4, 6, 8], &[])];
    for (name, frames, pixels, error) in [
        ("no table", "2 ", vec![fragments(&[4, 6, 8], &[])], FrameError::Ambiguous { fragments: 3, count: 2 }),
        ("part of a table", "2 ", vec![fragments(&[4, 6, 8], &[0])], FrameError::BasicOffsetTable),
        ("too long a table", "2 ", vec![fragments(&[4, 6, 8], &[0, 12, 26])], FrameError::BasicOffsetTable),
        ("between fragments", "2 ", vec![fragments(&[4, 6, 8], &[0, 13])], FrameError::BasicOffsetTable),
        ("beyond the end", "2 ", vec![fragments(&[4, 6, 8], &[0, 4000])], FrameError::BasicOffsetTable),
        ("backwards", "2 ", vec![fragments(&[4, 6, 8], &[12, 0])], FrameError::BasicOffsetTable),
        ("twice", "2 ", vec![fragments(&[4, 6, 8], &[0, 0])], FrameError::BasicOffsetTable),
        (
            "more frames than fragments",
            "4 ",
            vec![fragments(&[4, 6, 8], &[])],
            FrameError::Ambiguous { fragments: 3, count: 4 },
        ),
        ("no fragments", "1 ", vec![fragments(&[], &[])], FrameError::NoFragments),
        ("extended too short", "3 ", with(extended(&[0, 12], &[4, 6])), FrameError::ExtendedOffsetTable),
        ("extended without lengths", "3 ", with(extended(&[0, 12, 26], &[])), FrameError::ExtendedOffsetTable),
        ("extended beyond", "3 ", with(extended(&[0, 12, u64::MAX], &[4, 6, 8])), FrameError::ExtendedOffsetTable),
        ("extended too long", "3 ", with(extended(&[0, 12, 26], &[4, 6, 9])), FrameError::ExtendedOffsetTable),
    ] {
        assert_eq!(encapsulated(frames, pixels), Err(error), "{name}");
    }
}

#[test]
fn video_is_one_stream() {
    let nodes = nodes(&MONOCHROME, EXPLICIT, vec![fragments(&[10, 12], &[])]);
    let (table, offset) = table("1.2.840.10008.1.2.4.102", EXPLICIT, &nodes);
    let table = table.unwrap();
    assert_eq!((table.count(), table.media_type(), table.frame(2)), (3, "video/mp4", Err(FrameError::Video)));
    assert_eq!(table.stream(), [offset + 16..offset + 26, offset + 34..offset + 46]);
}

#[test]
fn the_icon_is_not_the_image() {
    let icon = Node::Sequence {
        tag: Tag(0x0088, 0x0200),
        is_undefined: true,
        items: vec![crate::part10::test_data::Item {
            is_undefined: true,
            nodes: nodes(
                &Measures { rows: 1, columns: 2, frames: "", ..MONOCHROME },
                EXPLICIT,
                vec![value(0x7FE0, 0x0010, VR::OW, [1; 4])],
            ),
        }],
    };
    let mut all = nodes(&MONOCHROME, EXPLICIT, vec![icon]);
    let (only_icon, _) = table(EXPLICIT_UID, EXPLICIT, &all);
    assert_eq!(only_icon, Err(FrameError::NoPixelData));
    all.push(value(0x7FE0, 0x0010, VR::OW, vec![0; 144]));
    assert_eq!(table(EXPLICIT_UID, EXPLICIT, &all).0.unwrap().stream()[0].clone().count(), 144);
}

#[test]
fn native_pixels_in_an_encapsulated_syntax_are_native() {
    let table = native(&MONOCHROME, EXPLICIT, JPEG_UID, 144).unwrap();
    assert_eq!((table.is_native(), table.media_type()), (true, "application/octet-stream"));
}
