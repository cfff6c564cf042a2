//! Whatever is changed, removed, put in another order or turned back is found, and named.

use std::fs;

use super::{Place, SeedSigner, change, entries, entry, leaves};
use crate::{Checkpoint, Finding, Hash, LedgerError, Log, LogReport, Signer, VerifierKey, leaf_hash, publishing::seal};

/// 600 entries under a checkpoint: two full tiles, a partial one of 88, one level above.
fn signed() -> Place {
    let place = Place::new();
    let log = place.open();
    log.append(&entries(0..550)).unwrap();
    log.checkpoint().unwrap();
    log.append(&entries(550..600)).unwrap();
    log.checkpoint().unwrap();
    drop(log);
    place
}

/// The report of a log that is changed while it is open, so that opening does not notice first.
fn report_after(path: &str, alter: impl FnOnce(&mut Vec<u8>)) -> LogReport {
    let place = signed();
    let log = place.open();
    change(&place.path(path), alter);
    log.verify().unwrap()
}

/// Where entry `index` begins in its bundle.
fn offset_in_bundle(index: u64) -> usize {
    (index / 256 * 256..index).map(|index| 2 + entry(index).len()).sum::<usize>() + 2
}

fn differs(first: u64) -> Vec<Finding> {
    vec![Finding::EntriesDiffer { first, count: 1 }]
}

fn tile(path: &str, first: u64) -> Vec<Finding> {
    vec![Finding::TileDiffers { path: path.to_owned(), first }]
}

#[test]
fn a_changed_entry_is_named() {
    for index in [0, 7, 255, 256, 300, 511] {
        let path = format!("tile/entries/{:03}", index / 256);
        let report = report_after(&path, |bytes| bytes[offset_in_bundle(index)] ^= 1);
        // the journal still repeats all of this young log, so it speaks up too
        let mut expected = vec![Finding::JournalDiffers { index }];
        expected.extend(differs(index));
        assert_eq!(report.findings, expected, "{index}");
    }
}

#[test]
fn a_changed_tile_is_named() {
    for (path, position, first) in [
        ("tile/0/000", 0, 0),
        ("tile/0/000", 255, 255),
        ("tile/0/001", 3, 259),
        ("tile/0/002.p/88", 87, 599),
        ("tile/1/000.p/2", 1, 256),
        ("tile/0/002.p/38", 5, 517),
    ] {
        let report = report_after(path, |bytes| bytes[position * 32 + 9] ^= 0x80);
        assert!(report.findings.contains(&tile(path, first)[0]), "{path}: {:?}", report.findings);
        assert_eq!(report.findings.len(), if path == "tile/1/000.p/2" { 1 } else { report.findings.len() });
        assert!(report.findings_total == 1, "{path}: {:?}", report.findings);
    }
}

#[test]
fn a_changed_partial_bundle_is_named() {
    for path in ["tile/entries/002.p/88", "tile/entries/002.p/38"] {
        let report = report_after(path, |bytes| bytes[offset_in_bundle(514)] ^= 1);
        assert_eq!(report.findings, tile(path, 514));
    }
}

#[test]
fn bundles_that_cannot_be_cut_and_files_that_are_gone_are_named() {
    let report = report_after("tile/entries/001", |bytes| {
        bytes.pop();
    });
    let unreadable = Finding::BundleUnreadable { path: "tile/entries/001".into(), first: 256 };
    assert_eq!(report.findings, [unreadable]);
    for path in ["tile/entries/000", "tile/0/001", "tile/1/000.p/2", "tile/0/002.p/88", "tile/entries/002.p/88"] {
        let place = signed();
        let log = place.open();
        fs::remove_file(place.path(path)).unwrap();
        assert_eq!(log.verify().unwrap().findings, [Finding::Missing { path: path.into() }]);
    }
}

#[test]
fn an_entry_changed_together_with_its_tile_is_found() {
    let place = signed();
    let log = place.open();
    forge_entry(&place, 300);
    let report = log.verify().unwrap();
    // the level above speaks for all 256 entries of the tile
    assert!(report.findings.contains(&Finding::EntriesDiffer { first: 256, count: 256 }), "{:?}", report.findings);
    assert!(report.findings.contains(&Finding::JournalDiffers { index: 300 }));
}

/// Changes an entry in a full bundle, and its hash.
fn forge_entry(place: &Place, index: u64) {
    let number = index / 256;
    let position = usize::try_from(index % 256).unwrap();
    let mut forged = entry(index);
    forged[0] ^= 1;
    change(&place.path(&format!("tile/entries/{number:03}")), |bytes| bytes[offset_in_bundle(index)] ^= 1);
    change(&place.path(&format!("tile/0/{number:03}")), |bytes| {
        bytes[position * 32..position * 32 + 32].copy_from_slice(&leaf_hash(&forged));
    });
}

#[test]
fn a_wholly_consistent_forgery_fails_at_the_signature() {
    let place = signed();
    let log = place.open();
    let mut hashes: Vec<Hash> = leaves(512);
    let mut forged = entry(300);
    forged[0] ^= 1;
    hashes[300] = leaf_hash(&forged);
    forge_entry(&place, 300);
    change(&place.path("tile/1/000.p/2"), |bytes| {
        bytes[32..].copy_from_slice(&super::reference_root(&hashes[256..]));
    });
    rewrite_journal(&place, |index, entry| if index == 300 { forged.clone() } else { entry });
    let report = log.verify().unwrap();
    assert_eq!(report.findings, [Finding::CheckpointDiffers { size: 600 }]);
    drop(log);
    assert!(matches!(place.try_open(), Err(LedgerError::Contradiction { index: 600 })));
}

/// Writes the journal anew with right checksums.
fn rewrite_journal(place: &Place, alter: impl Fn(u64, Vec<u8>) -> Vec<u8>) {
    let other = Place::new();
    let log = other.open();
    let size = 600;
    let altered: Vec<Vec<u8>> = (0..size).map(|index| alter(index, entry(index))).collect();
    log.append(&altered).unwrap();
    fs::copy(other.path("entries.log"), place.path("entries.log")).unwrap();
}

#[test]
fn a_forged_tail_is_not_opened_and_the_entry_is_named() {
    for index in [512, 550, 599] {
        let place = signed();
        rewrite_journal(&place, |other, entry| if other == index { b"forged".to_vec() } else { entry });
        match place.try_open() {
            Err(LedgerError::Contradiction { index: found }) => assert_eq!(found, index),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_order_is_not_opened() {
    let place = signed();
    rewrite_journal(&place, |index, same| match index {
        520 => entry(521),
        521 => entry(520),
        _ => same,
    });
    assert!(matches!(place.try_open(), Err(LedgerError::Contradiction { index: 520 })));
}

#[test]
fn a_log_cut_short_or_rolled_back_is_not_opened() {
    // whole records are missing at the end
    let place = signed();
    let end: usize = (590..600).map(|index| 6 + entry(index).len()).sum();
    change(&place.path("entries.log"), |bytes| bytes.truncate(bytes.len() - end));
    assert!(matches!(place.try_open(), Err(LedgerError::Truncated { entries: 590, checkpoint: 600 })));

    // everything but the checkpoint is of an older day
    let place = Place::new();
    place.open().append(&entries(0..100)).unwrap();
    let old = place.copy();
    {
        let log = place.open();
        log.append(&entries(100..200)).unwrap();
        log.checkpoint().unwrap();
    }
    fs::copy(place.path("checkpoint"), old.path("checkpoint")).unwrap();
    assert!(matches!(old.try_open(), Err(LedgerError::Truncated { entries: 100, checkpoint: 200 })));

    // files are gone
    for (name, missing) in [("entries.log", "entries.log"), ("checkpoint", "checkpoint")] {
        let place = signed();
        fs::remove_file(place.path(name)).unwrap();
        match place.try_open() {
            Err(LedgerError::Missing(file)) => assert_eq!(file, missing),
            other => panic!("{other:?}"),
        }
    }
    let place = signed();
    fs::remove_dir_all(place.dir()).unwrap();
    assert!(matches!(place.try_open(), Err(LedgerError::Missing(_))), "the key remembers that there was a log");
}

#[test]
fn an_older_checkpoint_than_the_journal_knows_is_not_accepted() {
    let place = Place::new();
    let log = place.open();
    log.append(&entries(0..100)).unwrap();
    let old = log.checkpoint().unwrap();
    log.append(&entries(100..10_000)).unwrap();
    log.checkpoint().unwrap();
    drop(log);
    fs::write(place.path("checkpoint"), old.note).unwrap();
    assert!(matches!(place.try_open(), Err(LedgerError::RolledBack { checkpoint: 100, journal: 9_984 })));
}

#[test]
fn a_tile_that_was_changed_behind_the_journal_stops_the_opening() {
    let place = Place::new();
    {
        let log = place.open();
        log.append(&entries(0..10_000)).unwrap();
        log.checkpoint().unwrap();
    }
    change(&place.path("tile/0/011"), |bytes| bytes[32 * 4] ^= 1);
    match place.try_open() {
        Err(LedgerError::Contradiction { index }) => assert_eq!(index, 11 * 256 + 4),
        other => panic!("{other:?}"),
    }
    change(&place.path("tile/0/011"), |bytes| bytes.truncate(100));
    assert!(matches!(place.try_open(), Err(LedgerError::Damaged { index: 2816, .. })));
    fs::remove_file(place.path("tile/0/011")).unwrap();
    assert!(matches!(place.try_open(), Err(LedgerError::Missing(_))));
}

#[test]
fn the_checkpoint_on_disk_must_be_signed() {
    let place = signed();
    let log = place.open();
    change(&place.path("checkpoint"), |bytes| bytes[20] ^= 1);
    assert!(matches!(log.verify(), Err(LedgerError::Checkpoint(_))));
    drop(log);
    assert!(matches!(place.try_open(), Err(LedgerError::Checkpoint(_))));

    // signed by another key under the same name
    let signer = SeedSigner::new(9);
    let key = VerifierKey::new(super::ORIGIN, signer.public_key()).unwrap();
    let other: Checkpoint = seal(&key, signer.as_ref(), 600, [0; 32]).unwrap();
    fs::write(place.path("checkpoint"), other.note).unwrap();
    assert!(matches!(place.try_open(), Err(LedgerError::Checkpoint(_))));
}

#[test]
fn every_flipped_bit_in_the_served_files_is_found() {
    let place = Place::new();
    let log: Log = place.open();
    log.append(&entries(0..10_000)).unwrap();
    log.checkpoint().unwrap();
    assert!(log.verify().unwrap().is_intact());
    let served = [
        "tile/0/000",
        "tile/0/020",
        "tile/0/038",
        "tile/0/039.p/16",
        "tile/1/000.p/39",
        "tile/entries/000",
        "tile/entries/021",
        "tile/entries/039.p/16",
    ];
    // a walk over the bits with a step that meets every file and, in entries, prefixes and contents
    let mut seed = 12_345_u64;
    for round in 0..160_usize {
        let path = place.path(served[round % served.len()]);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = fs::read(&path).unwrap();
        let bit = usize::try_from(seed >> 20).unwrap() % (bytes.len() * 8);
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bent).unwrap();
        let report = log.verify().unwrap();
        assert_eq!(report.findings_total, 1, "{path:?} bit {bit}: {:?}", report.findings);
        fs::write(&path, bytes).unwrap();
    }
    assert!(log.verify().unwrap().is_intact(), "no false alarm");
}
