//! Bytes that were made to hurt: refused by name, soon, and within bounded memory (threats T9, T10, T11).

use std::time::{Duration, Instant};

use dicom_core::{Tag, VR};

use super::super::{Gate, Refusal, Source, test_data::*};
use super::{DEFLATED_UID, EXPLICIT_UID, IMPLICIT_UID, data_set, pass};
use crate::limits::Limits;

/// The most memory this process ever had, in bytes; each test has a process of its own under nextest.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Pushes in slices of 64 KiB; asserts that it costs at most `memory` bytes and two seconds.
fn refused(uid: &str, bytes: &[u8], memory: u64) -> Refusal {
    let (before, start) = (peak_bytes(), Instant::now());
    let passed = pass_only(data_set(uid), bytes);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let cost = peak_bytes() - before;
    assert!(cost <= memory, "{cost} bytes");
    passed.unwrap_err()
}

/// As `pass`, but keeps nothing.
fn pass_only(source: Source, bytes: &[u8]) -> Result<super::Outline, Refusal> {
    let mut gate = Gate::new(source, Limits::default())?;
    for piece in bytes.chunks(1 << 16) {
        gate.push(piece)?;
    }
    Ok(gate.finish()?.1)
}

#[test]
fn nested_10_000_deep() {
    for (uid, encoding) in [(EXPLICIT_UID, EXPLICIT), (IMPLICIT_UID, IMPLICIT)] {
        for is_undefined in [true, false] {
            let mut bytes = Vec::new();
            for level in (0..10_000u32).rev() {
                let length = |more: u32| if is_undefined { UNDEFINED } else { (level + 1) * 20 + more };
                header(Tag(0x0040, 0xA730), VR::SQ, length(8), encoding, &mut bytes);
                item_header(0xE000, length(0), encoding, &mut bytes);
            }
            let refusal = refused(uid, &bytes, 1 << 20);
            assert!(matches!(refusal, Refusal::TooDeep { limit: 32, .. }), "{refusal}");
        }
    }
}

#[test]
fn depth_32_is_the_last_that_passes() {
    for (depth, passes) in [(32, true), (33, false)] {
        let mut nodes = vec![value(0x0010, 0x0020, VR::LO, "ab")];
        for level in 0..depth {
            let items = vec![Item { is_undefined: level % 2 == 0, nodes }];
            nodes = vec![Node::Sequence { tag: Tag(0x0040, 0xA730), is_undefined: level % 3 == 0, items }];
        }
        assert_eq!(pass_only(data_set(EXPLICIT_UID), &write(&nodes, EXPLICIT)).is_ok(), passes, "{depth}");
    }
}

#[test]
fn lengths_of_4_gib_in_every_representation() {
    for vr in [VR::OB, VR::OD, VR::OF, VR::OL, VR::OV, VR::OW, VR::SV, VR::UC, VR::UN, VR::UR, VR::UT, VR::UV] {
        for length in [1 << 31, UNDEFINED - 1] {
            for tag in [Tag(0x0042, 0x0011), Tag(0x7FE0, 0x0010), Tag(0x7FE0, 0x0001)] {
                let mut bytes = Vec::new();
                header(tag, vr, length, EXPLICIT, &mut bytes);
                bytes.extend_from_slice(&[0; 20]);
                let refusal = refused(EXPLICIT_UID, &bytes, 1 << 20);
                let is_named = matches!(
                    refusal,
                    Refusal::Truncated(_) | Refusal::ObjectTooLarge { .. } | Refusal::HeaderTooLarge { .. }
                );
                assert!(is_named, "{refusal}");
            }
        }
    }
    for length in [1 << 31, UNDEFINED - 1] {
        let mut bytes = Vec::new();
        header(Tag(0x0040, 0xA730), VR::SQ, length, EXPLICIT, &mut bytes);
        item_header(0xE000, length - 8, EXPLICIT, &mut bytes);
        header(Tag(0x0040, 0xA160), VR::UT, length - 20, EXPLICIT, &mut bytes);
        let refusal = refused(EXPLICIT_UID, &bytes, 1 << 20);
        assert!(matches!(refusal, Refusal::Truncated(_) | Refusal::ObjectTooLarge { .. }), "{refusal}");
    }
}

#[test]
fn a_million_elements() {
    let one = write(&[value(0x0010, 0x0020, VR::LO, "")], EXPLICIT);
    let bytes = one.repeat(1_000_001);
    let refusal = refused(EXPLICIT_UID, &bytes, bytes.len() as u64 * 3 + (1 << 20));
    assert!(matches!(refusal, Refusal::TooManyElements { limit: 1_000_000, .. }), "{refusal}");
    assert!(pass_only(data_set(EXPLICIT_UID), &bytes[..8_000_000]).is_ok());
}

#[test]
fn a_hundred_thousand_items() {
    let items = |count| {
        let items = vec![Item { is_undefined: false, nodes: vec![] }; count];
        write(&[Node::Sequence { tag: Tag(0x0040, 0xA730), is_undefined: true, items }], EXPLICIT)
    };
    let refusal = refused(EXPLICIT_UID, &items(100_001), 8 << 20);
    assert!(matches!(refusal, Refusal::TooManyItems { limit: 100_000, .. }), "{refusal}");
    assert!(pass_only(data_set(EXPLICIT_UID), &items(100_000)).is_ok());
}

#[test]
fn a_million_fragments() {
    let fragments = vec![vec![]; 1_000_001];
    let pixels = Node::Fragments { tag: Tag(0x7FE0, 0x0010), table: vec![], fragments };
    let refusal = refused(EXPLICIT_UID, &write(&[pixels], EXPLICIT), 56 << 20);
    assert!(matches!(refusal, Refusal::TooManyFragments { limit: 1_000_000, .. }), "{refusal}");
}

#[test]
fn bulk_values_without_end() {
    let one = write(&[value(0x7FE0, 0x0010, VR::OW, [0; 2])], EXPLICIT);
    let refusal = refused(EXPLICIT_UID, &one.repeat(70_000), 16 << 20);
    assert!(matches!(refusal, Refusal::TooManyBulkValues { limit: 65_536, .. }), "{refusal}");
}

#[test]
fn a_header_of_more_than_64_mib() {
    let one = write(&[value(0x0010, 0x4000, VR::UT, vec![b'x'; 65_000])], EXPLICIT);
    let refusal = refused(EXPLICIT_UID, &one.repeat(1100), 160 << 20);
    assert!(matches!(refusal, Refusal::HeaderTooLarge { limit: 0x0400_0000, .. }), "{refusal}");
}

#[test]
fn offset_tables_count_as_header() {
    let limits = Limits { header_bytes: 200, ..Limits::default() };
    let pixels = |length| Node::Fragments { tag: Tag(0x7FE0, 0x0010), table: vec![0; length], fragments: vec![] };
    assert!(pass(data_set(EXPLICIT_UID), limits, [&write(&[pixels(188)], EXPLICIT)[..]]).is_ok());
    for nodes in [vec![pixels(189)], vec![pixels(100), pixels(100)]] {
        let refusal = pass(data_set(EXPLICIT_UID), limits, [&write(&nodes, EXPLICIT)[..]]).unwrap_err();
        assert!(matches!(refusal, Refusal::HeaderTooLarge { limit: 200, .. }), "{refusal}");
    }
}

#[test]
fn an_object_of_more_than_the_limit() {
    let limits = Limits { object_bytes: 1000, ..Limits::default() };
    let pixels = |length: usize| write(&[value(0x7FE0, 0x0010, VR::OW, vec![0; length])], EXPLICIT);
    assert!(pass(data_set(EXPLICIT_UID), limits, [&pixels(988)[..]]).is_ok());
    let refusal = Err(Refusal::ObjectTooLarge { limit: 1000 });
    assert_eq!(pass(data_set(EXPLICIT_UID), limits, [&pixels(990)[..12]]), refusal);
    assert_eq!(pass(data_set(DEFLATED_UID), limits, [&deflated(&pixels(990))[..]]), refusal);
}

#[test]
fn a_deflate_bomb() {
    // 256 MiB of zeros, deflated piece by piece, are 260 kB.
    let mut plain = Vec::new();
    header(Tag(0x7FE0, 0x0010), VR::OW, 256 << 20, EXPLICIT, &mut plain);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &plain).unwrap();
    for _ in 0..256 {
        std::io::Write::write_all(&mut encoder, &[0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 300_000);
    assert_eq!(refused(DEFLATED_UID, &bomb, 2 << 20), Refusal::DeflateRatio { ratio: 100 });
    // 14 MiB are let in: below 16 MiB the ratio is not looked at.
    let small = write(&[value(0x7FE0, 0x0010, VR::OW, vec![0; 14 << 20])], EXPLICIT);
    assert!(pass_only(data_set(DEFLATED_UID), &deflated(&small)).is_ok());
}

#[test]
fn the_gate_stays_shut() {
    let mut gate = Gate::new(data_set(EXPLICIT_UID), Limits::default()).unwrap();
    let refusal = gate.push(b"no DICOM").unwrap_err();
    assert_eq!(gate.push(&write(&[value(0x0010, 0x0020, VR::LO, "ab")], EXPLICIT)), Err(refusal.clone()));
    assert_eq!(gate.finish().unwrap_err(), refusal);
}

#[test]
fn bulk_costs_nothing() {
    let mut bytes = Vec::new();
    header(Tag(0x7FE0, 0x0010), VR::OW, 2 << 30, EXPLICIT, &mut bytes);
    let mut gate = Gate::new(data_set(EXPLICIT_UID), Limits::default()).unwrap();
    gate.push(&bytes).unwrap();
    let slice = vec![1; 512 << 10];
    let (before, start) = (peak_bytes(), Instant::now());
    for _ in 0..4096 {
        assert_eq!(gate.push(&slice).unwrap().rest.len(), slice.len());
    }
    // Looking at 2 GiB takes hundreds of milliseconds, stepping over them 4,096 times less than one.
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
    assert!(peak_bytes() - before < 1 << 20);
    assert_eq!(gate.finish().unwrap().1.header.as_bytes(), bytes);
}
