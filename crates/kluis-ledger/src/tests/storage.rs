//! Files, crashes and opening.

use std::fs;

use super::{ORIGIN, Place, SeedSigner, change, entries, entry, leaves, reference_root};
use crate::{
    Checkpoint, LedgerError, Log, Recovery, Signer, TileKind, TilePath, VerifierKey, empty_root,
    limits::{ENTRY_BYTES, JOURNAL_ENTRIES},
};

const SIZES: [u64; 9] = [0, 1, 2, 255, 256, 257, 511, 512, 65_537];

#[test]
fn logs_of_all_sizes_come_back() {
    for size in SIZES {
        let place = Place::new();
        let expected = reference_root(&leaves(size));
        {
            let log = place.open();
            assert_eq!(log.append(&entries(0..size / 3)).unwrap(), 0..size / 3);
            log.checkpoint().unwrap();
            assert_eq!(log.append(&entries(size / 3..size)).unwrap(), size / 3..size);
            let checkpoint = log.checkpoint().unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (size, expected), "{size}");
            assert_eq!(log.durable_size(), size);
        }
        let log = place.open();
        assert_eq!(log.recovery(), Recovery::default(), "{size}");
        assert_eq!((log.size(), log.root(size).unwrap()), (size, expected), "{size}");
        let report = log.verify().unwrap();
        assert!(report.is_intact() && report.size == size, "{size}: {:?}", report.findings);
        let bytes: u64 = (0..size).map(|index| entry(index).len() as u64).sum();
        assert_eq!(report.entry_bytes, bytes, "every entry is hashed");
        assert_eq!(log.append(&entries(size..size + 1)).unwrap(), size..size + 1);
        assert_eq!(log.root(size + 1).unwrap(), reference_root(&leaves(size + 1)));
    }
}

#[test]
fn a_checkpoint_is_a_note_that_the_verifier_key_opens() {
    let place = Place::new();
    let log = place.open();
    assert_eq!(log.published().root, empty_root());
    log.append(&entries(0..5)).unwrap();
    log.checkpoint().unwrap();
    let line = fs::read_to_string(place.key_path()).unwrap();
    assert_eq!(line, format!("{}\n", log.verifier_key()));
    assert_eq!(log.file("key").unwrap().unwrap(), line.as_bytes());
    let key: VerifierKey = line.trim_end().parse().unwrap();
    let note = String::from_utf8(log.file("checkpoint").unwrap().unwrap()).unwrap();
    assert_eq!(note, fs::read_to_string(place.path("checkpoint")).unwrap());
    assert_eq!(Checkpoint::open(&note, &key).unwrap(), *log.published());
    // nothing new: the same note
    assert_eq!(log.checkpoint().unwrap().note, note);
}

#[test]
fn only_tiles_under_the_checkpoint_are_served() {
    let place = Place::new();
    let log = place.open();
    log.append(&entries(0..300)).unwrap();
    assert_eq!(log.file("tile/0/000").unwrap(), None);
    log.checkpoint().unwrap();
    log.append(&entries(300..600)).unwrap();
    let tile = log.file("tile/0/000").unwrap().unwrap();
    assert_eq!(tile, leaves(256).concat());
    assert_eq!(log.file("tile/1/000.p/1").unwrap().unwrap(), reference_root(&leaves(256)));
    assert_eq!(log.file("tile/0/001.p/44").unwrap().unwrap(), leaves(300)[256..].concat());
    let bundle = log.file("tile/entries/001.p/44").unwrap().unwrap();
    assert_eq!(&bundle[..2], &u16::try_from(entry(256).len()).unwrap().to_be_bytes());
    assert_eq!(&bundle[2..2 + entry(256).len()], entry(256));
    for absent in ["tile/0/001", "tile/0/001.p/45", "tile/0/001.p/43", "tile/0/000.p/44", "tile/1/000", "tile/7/000"] {
        assert_eq!(log.file(absent).unwrap(), None, "{absent}");
    }
    for foreign in
        ["entries.log", "lock", "", ".", "..", "../audit.vkey", "/etc/passwd", "tile/../entries.log", "checkpoint/"]
    {
        assert_eq!(log.file(foreign).unwrap(), None, "{foreign}");
    }
    log.checkpoint().unwrap();
    assert_eq!(log.file("tile/0/001").unwrap().unwrap(), leaves(512)[256..].concat());
    assert_eq!(log.file("tile/0/001.p/44").unwrap(), None, "the full tile took its place");
    assert!(!place.path("tile/0/001.p").exists());
}

#[test]
fn older_partial_tiles_stay_until_the_tile_is_full() {
    let place = Place::new();
    let log = place.open();
    for size in 1..=20 {
        log.append(&entries(size - 1..size)).unwrap();
        log.checkpoint().unwrap();
    }
    for width in 1..=20_usize {
        let tile = log.file(&format!("tile/0/000.p/{width}")).unwrap().unwrap();
        assert_eq!(tile, leaves(20)[..width].concat());
        assert!(log.file(&format!("tile/entries/000.p/{width}")).unwrap().is_some());
    }
    assert!(log.verify().unwrap().is_intact());
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let place = Place::new();
    let mut ends = Vec::new();
    {
        let log = place.open();
        log.append(&entries(0..3)).unwrap();
        log.checkpoint().unwrap();
        for index in 3..7 {
            ends.push(fs::metadata(place.path("entries.log")).unwrap().len());
            log.append(&entries(index..index + 1)).unwrap();
        }
        ends.push(fs::metadata(place.path("entries.log")).unwrap().len());
    }
    for length in 0..*ends.last().unwrap() {
        let crashed = place.copy();
        let file = fs::OpenOptions::new().write(true).open(crashed.path("entries.log")).unwrap();
        file.set_len(length).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() as u64;
        match crashed.try_open() {
            Err(error) => {
                assert_eq!(whole, 0, "{length}: {error}");
                assert!(matches!(error, LedgerError::Truncated { checkpoint: 3, .. } | LedgerError::Damaged { .. }));
            }
            Ok(log) => {
                assert_eq!(log.size(), 2 + whole, "{length}");
                assert_eq!(log.entries(0..log.size()).unwrap(), entries(0..2 + whole));
                assert_eq!(log.recovery().cut_bytes, length - ends[usize::try_from(whole).unwrap() - 1]);
                log.append(&entries(log.size()..10)).unwrap();
                log.checkpoint().unwrap();
                assert_eq!(log.published().root, reference_root(&leaves(10)));
                drop(log);
                let log = crashed.open();
                assert_eq!(log.recovery(), Recovery::default());
                assert!(log.verify().unwrap().is_intact());
            }
        }
    }
}

#[test]
fn a_damaged_tail_is_cut_and_a_damaged_signed_entry_is_not() {
    let place = Place::new();
    let start = {
        let log = place.open();
        log.append(&entries(0..2)).unwrap();
        log.checkpoint().unwrap();
        let start = fs::metadata(place.path("entries.log")).unwrap().len();
        log.append(&entries(2..5)).unwrap();
        start
    };
    let record = 6 + entry(2).len() as u64;
    let end = fs::metadata(place.path("entries.log")).unwrap().len();
    for offset in 20..end {
        let crashed = place.copy();
        change(&crashed.path("entries.log"), |bytes| bytes[usize::try_from(offset).unwrap()] ^= 0x10);
        match crashed.try_open() {
            Err(LedgerError::Damaged { index, .. }) => assert!(offset < start && index < 2, "{offset}"),
            Err(error) => panic!("{offset}: {error}"),
            Ok(log) => {
                assert!(offset >= start, "{offset}");
                if offset < start + record {
                    assert_eq!(log.size(), 2);
                }
                assert_eq!(log.entries(0..log.size()).unwrap(), entries(0..log.size()));
            }
        }
    }
}

#[test]
fn tiles_that_a_crash_lost_are_made_again() {
    let place = Place::new();
    {
        let log = place.open();
        log.append(&entries(0..600)).unwrap();
        log.checkpoint().unwrap();
    }
    let served =
        ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/88"];
    for lost in served {
        let crashed = place.copy();
        change(&crashed.path(lost), Vec::clear);
        let log = crashed.open();
        assert_eq!(log.recovery().renewed_tiles, 1, "{lost}");
        assert_eq!(log.file(lost).unwrap().unwrap(), fs::read(place.path(lost)).unwrap());
        assert!(log.verify().unwrap().is_intact());
    }
    let crashed = place.copy();
    fs::remove_dir_all(crashed.path("tile")).unwrap();
    assert!(crashed.open().verify().unwrap().is_intact());
}

#[test]
fn the_journal_stays_short_and_its_entries_move_to_bundles() {
    let place = Place::new();
    let size = JOURNAL_ENTRIES * 2 + 300;
    {
        let log = place.open();
        for start in (0..size).step_by(1000) {
            log.append(&entries(start..size.min(start + 1000))).unwrap();
            log.checkpoint().unwrap();
        }
        assert_eq!(log.entries(0..size).unwrap(), entries(0..size));
    }
    let journal = fs::metadata(place.path("entries.log")).unwrap().len();
    assert!(journal < (JOURNAL_ENTRIES + 1000) * 30, "{journal}");
    let log = place.open();
    assert_eq!(log.size(), size);
    assert_eq!(log.entries(0..size).unwrap(), entries(0..size));
    assert_eq!(log.published().root, reference_root(&leaves(size)));
    assert!(log.verify().unwrap().is_intact());
}

#[test]
fn opening_reads_only_the_right_edge() {
    let place = Place::new();
    {
        let log = place.open();
        log.append(&entries(0..65_536)).unwrap();
        log.append(&entries(65_536..70_000)).unwrap();
        log.checkpoint().unwrap();
    }
    for index in 0..256 {
        fs::remove_file(place.path(&TilePath::full(TileKind::Hashes(0), index).to_string())).unwrap();
        fs::remove_file(place.path(&TilePath::full(TileKind::Entries, index).to_string())).unwrap();
    }
    let log = place.open();
    assert_eq!(log.size(), 70_000);
    assert_eq!(log.verify().unwrap().findings_total, 512);
}

#[test]
fn large_entries_and_odd_batches() {
    let place = Place::new();
    let log = place.open();
    let largest = vec![0x5a; ENTRY_BYTES];
    assert_eq!(log.append(&[]).unwrap(), 0..0);
    assert_eq!(log.append(&[Vec::new(), largest.clone(), Vec::new()]).unwrap(), 0..3);
    let refused = log.append(&[Vec::new(), vec![0; ENTRY_BYTES + 1]]);
    assert!(matches!(refused, Err(LedgerError::EntryTooLong { position: 1 })));
    assert_eq!(log.size(), 3, "all or none");
    for _ in 0..300 {
        log.append(std::slice::from_ref(&largest)).unwrap();
    }
    log.checkpoint().unwrap();
    assert_eq!(log.entry(1).unwrap(), largest);
    assert!(log.verify().unwrap().is_intact());
    drop(log);
    let log = place.open();
    assert_eq!(log.entry(302).unwrap(), largest);
    assert!(log.verify().unwrap().is_intact());
}

#[test]
fn memory_is_bounded_without_checkpoints() {
    let place = Place::new();
    let log = place.open();
    let large = vec![vec![1; 4096]; 256];
    for _ in 0..40 {
        log.append(&large).unwrap();
        assert!(log.state().pending_bytes <= crate::limits::PENDING_BYTES + 2 * 1024 * 1024);
    }
    assert_eq!(log.size(), 40 * 256);
    assert!(place.path("tile/entries/000").exists(), "written before any checkpoint");
    assert_eq!(log.file("tile/entries/000").unwrap(), None, "but not served");
}

#[test]
fn one_process_at_a_time() {
    let place = Place::new();
    let log = place.open();
    assert!(matches!(place.try_open(), Err(LedgerError::Locked)));
    drop(log);
    place.open();
}

#[test]
fn another_key_or_name_opens_nothing() {
    let place = Place::new();
    place.open().append(&entries(0..3)).unwrap();
    let open = |origin: &str, seed| Log::open(&place.dir(), &place.key_path(), origin, SeedSigner::new(seed));
    assert!(matches!(open(ORIGIN, 8), Err(LedgerError::KeyDiffers)));
    assert!(matches!(open("kluis.test/objects", 7), Err(LedgerError::KeyDiffers)));
    for origin in ["", "a b", "a+b"] {
        assert!(matches!(open(origin, 7), Err(LedgerError::Origin)), "{origin:?}");
    }
    fs::remove_file(place.key_path()).unwrap();
    assert!(matches!(open(ORIGIN, 8), Err(LedgerError::Checkpoint(_))));
    assert!(open(ORIGIN, 7).is_ok());
    assert!(place.key_path().exists(), "the key is written again");
}

struct Broken(Box<SeedSigner>);

impl Signer for Broken {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        if message.windows(3).any(|bytes| bytes == b"\n0\n") { self.0.sign(message) } else { [0; 64] }
    }
}

#[test]
fn a_bad_signature_is_never_published() {
    let place = Place::new();
    let log = Log::open(&place.dir(), &place.key_path(), ORIGIN, Box::new(Broken(SeedSigner::new(7)))).unwrap();
    log.append(&entries(0..3)).unwrap();
    assert!(matches!(log.checkpoint(), Err(LedgerError::SignerBroken)));
    assert_eq!(log.published().size, 0);
    drop(log);
    let log = place.open();
    assert_eq!((log.size(), log.published().size), (3, 0));
}

#[test]
fn sync_makes_durable_without_a_checkpoint() {
    let place = Place::new();
    let log = place.open();
    log.append(&entries(0..5)).unwrap();
    assert_eq!(log.durable_size(), 0);
    assert_eq!(log.sync().unwrap(), 5);
    assert_eq!((log.durable_size(), log.published().size), (5, 0));
}

/// Space is taken behind the end, the file does not grow by it, and what comes back is what was appended.
#[test]
fn space_is_taken_beforehand_and_changes_nothing() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let journal = |place: &Place| fs::metadata(place.path("entries.log")).unwrap();
    {
        let log = place.open();
        log.reserve(1 << 20);
        log.append(&entries(0..10)).unwrap();
        let found = journal(&place);
        assert!(found.len() < 4_096, "{} bytes", found.len());
        assert!(found.blocks() * 512 >= 1 << 20, "only {} blocks are taken", found.blocks());
        log.append(&entries(10..20_000)).unwrap();
        log.checkpoint().unwrap();
    }
    let log = place.open();
    assert_eq!(log.recovery(), Recovery::default());
    assert_eq!((log.size(), log.root(20_000).unwrap()), (20_000, reference_root(&leaves(20_000))));
}
