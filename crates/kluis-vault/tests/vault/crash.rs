//! What a start finds after the power went.

use std::sync::Arc;

use kluis_keys::StudyKey;
use kluis_vault::{
    Cut, Gap, Location, Position, RecordKind, Settings, Vault,
    simulation::{Call, SimulatedDisk},
};

use crate::fixture::{CHUNK, bytes, load, simulated, small, store, study_key};

fn pack_name(pack: u64) -> String {
    format!("{pack:016x}.pack")
}

async fn locations(vault: &dyn Vault) -> Vec<Location> {
    vault.scan(Position::START, 1_000).await.unwrap().into_iter().map(|(location, _)| location).collect()
}

/// A pack that ends at any byte has exactly the records that were complete, and the next one can be read.
#[tokio::test]
async fn tail_cut_at_any_byte_leaves_the_complete_records() {
    let key = study_key().await;
    let whole = SimulatedDisk::new();
    let vault = simulated(&whole, Settings::default());
    let mut stored = Vec::new();
    for seed in 0..3 {
        stored.push(store(&*vault, &key, &bytes(1_000, seed)).await.unwrap());
    }
    drop(vault);
    let name = pack_name(stored[0].pack);
    let all = whole.bytes(&name);
    assert_eq!(all.len() as u64, stored[2].end().offset.next_multiple_of(4096));
    for length in 0..=all.len() {
        let disk = with_pack(&name, &all[..length]);
        let vault = simulated(&disk, Settings::default());
        let recovery = vault.recover(Position::START).await.unwrap();
        let complete: Vec<_> =
            stored.iter().copied().filter(|location| location.end().offset <= length as u64).collect();
        assert_eq!(locations(&*vault).await, complete, "{length} bytes");
        assert_eq!(recovery.records, complete.len() as u64);
        assert!(recovery.gaps.is_empty());
        // Less than the first page is no pack; from there on every byte behind the last complete record is cut, but for
        // the zeros that fill its page.
        let behind = complete.last().map_or(if length < 4096 { 0 } else { 4096 }, |last| last.end().offset);
        let kept = behind.next_multiple_of(4096).min(length as u64).max(behind);
        let cut = Cut { pack: stored[0].pack, offset: kept, bytes: length as u64 - kept };
        let expected = if cut.bytes > 0 || length == 0 { vec![cut] } else { vec![] };
        assert_eq!(recovery.cuts, expected, "{length} bytes");
        assert_eq!(disk.bytes(&name).len() as u64, kept);
        if length % 1_000 == 0 {
            let next = store(&*vault, &key, &bytes(1_000, 9)).await.unwrap();
            assert!(complete.iter().all(|location| *location < next));
            assert!(load(&*vault, &key, next).await.unwrap() == bytes(1_000, 9));
        }
    }
}

fn with_pack(name: &str, content: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.mount().create(name).unwrap();
    disk.tamper(name, |bytes| bytes.extend_from_slice(content));
    disk
}

/// A torn write may leave the length and lose the middle: every flip in the last record is found without any key.
#[tokio::test]
async fn record_with_a_torn_body_is_cut() {
    let key = study_key().await;
    let whole = SimulatedDisk::new();
    let vault = simulated(&whole, Settings::default());
    let first = store(&*vault, &key, &bytes(3_000, 1)).await.unwrap();
    let last = store(&*vault, &key, &bytes(9_000, 2)).await.unwrap();
    drop(vault);
    let all = whole.bytes(&pack_name(first.pack));
    for at in (last.offset as usize..last.end().offset as usize).step_by(97).chain([last.end().offset as usize - 1]) {
        let disk = with_pack(&pack_name(first.pack), &all);
        disk.tamper(&pack_name(first.pack), |bytes| bytes[at] ^= 1);
        let vault = simulated(&disk, Settings::default());
        // What lies before the safe position is not read again.
        let recovery = vault.recover(first.end()).await.unwrap();
        assert_eq!(recovery.records, 0);
        let bytes = all.len() as u64 - last.offset;
        assert_eq!(recovery.cuts, [Cut { pack: last.pack, offset: last.offset, bytes }], "byte {at}");
        assert_eq!(locations(&*vault).await, [first]);
    }
}

#[tokio::test]
async fn complete_record_behind_a_torn_one_is_not_cut() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let first = store(&*vault, &key, &bytes(9_000, 1)).await.unwrap();
    let last = store(&*vault, &key, &bytes(9_000, 2)).await.unwrap();
    drop(vault);
    disk.tamper(&pack_name(first.pack), |bytes| bytes[first.offset as usize + 5_000] ^= 1);
    let vault = simulated(&disk, Settings::default());
    let recovery = vault.recover(Position::START).await.unwrap();
    assert_eq!((recovery.records, recovery.cuts.len(), recovery.gaps.len()), (1, 0, 1));
    assert_eq!((recovery.gaps[0].offset, recovery.gaps[0].bytes), (first.offset, last.offset - first.offset));
    assert!(load(&*vault, &key, last).await.unwrap() == bytes(9_000, 2));
}

/// The pages of one flush come to the disk in any order.
#[tokio::test]
async fn first_page_that_did_not_last_is_written_anew() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let stored = store(&*vault, &key, &bytes(9_000, 1)).await.unwrap();
    drop(vault);
    let name = pack_name(stored.pack);
    let whole = disk.bytes(&name);
    disk.tamper(&name, |bytes| bytes[..4_096].fill(0));
    let vault = simulated(&disk, Settings::default());
    let recovery = vault.recover(Position::START).await.unwrap();
    assert_eq!((recovery.records, recovery.cuts.len()), (1, 0));
    assert_eq!(recovery.gaps, [Gap { pack: stored.pack, offset: 0, bytes: 4_096 }]);
    assert!(disk.bytes(&name) == whole);
    assert!(load(&*vault, &key, stored).await.unwrap() == bytes(9_000, 1));
    drop(vault);
    disk.crash(1);
    assert!(disk.bytes(&name) == whole, "and it is durable");
}

/// A program was killed between write and sync, and the power goes later: what a start took up is durable.
#[tokio::test]
async fn records_that_are_taken_up_are_made_durable() {
    let key = study_key().await;
    let whole = SimulatedDisk::new();
    let stored = store(&*simulated(&whole, Settings::default()), &key, &bytes(9_000, 1)).await.unwrap();
    let name = pack_name(stored.pack);
    for seed in 0..20 {
        let disk = SimulatedDisk::new();
        let file = disk.mount().create(&name).unwrap();
        assert_eq!(file.write_at(&whole.bytes(&name), 0).unwrap(), whole.bytes(&name).len());
        assert_eq!(simulated(&disk, Settings::default()).recover(Position::START).await.unwrap().records, 1);
        disk.crash(seed);
        let vault = simulated(&disk, Settings::default());
        assert!(load(&*vault, &key, stored).await.unwrap() == bytes(9_000, 1), "seed {seed}");
    }
}

/// Commits run, the power goes in the middle of them, whatever was not synced survives or not: what was acknowledged is
/// there, and nothing that is there is half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loses_nothing_that_was_acknowledged() {
    let key = study_key().await;
    let mut all: usize = 0;
    for seed in 0..80 {
        let disk = SimulatedDisk::new();
        let mut acknowledged = Vec::new();
        // Two lives: the second one recovers from the first one's crash and crashes itself.
        for life in 0..2_u64 {
            acknowledged.extend(store_until_crash(&disk, &key, seed * 2 + life).await);
            let vault = simulated(&disk, small());
            let recovery = vault.recover(Position::START).await.unwrap();
            assert!(recovery.records >= acknowledged.len() as u64);
            let found = locations(&*vault).await;
            for (location, object) in &acknowledged {
                assert!(found.contains(location), "seed {seed}: {location} is lost");
                assert!(load(&*vault, &key, *location).await.unwrap() == *object, "seed {seed}");
            }
            for location in found {
                vault.check(location).await.unwrap();
                load(&*vault, &key, location).await.unwrap();
            }
            assert!(!disk.names().iter().any(|name| name.ends_with(".part")));
            let again = vault.recover(Position::START).await.unwrap();
            assert_eq!((again.records, again.cuts.len(), again.uncommitted), (recovery.records, 0, 0));
        }
        all += acknowledged.len();
    }
    assert!(all > 500, "only {all} objects came through: this proves little");
}

async fn store_until_crash(disk: &SimulatedDisk, key: &Arc<StudyKey>, seed: u64) -> Vec<(Location, Vec<u8>)> {
    let vault = simulated(disk, Settings { pack_bytes: 300_000, ..small() });
    vault.recover(Position::START).await.unwrap();
    let calls = [Call::Write, Call::Sync, Call::SyncDirectory, Call::Rename];
    let call = calls[(seed % 4) as usize];
    let crash_at = disk.calls(call) + 1 + seed / 4 % 12;
    let tasks: Vec<_> = (0..8_u8)
        .map(|task| {
            let (vault, key) = (Arc::clone(&vault), Arc::clone(key));
            tokio::spawn(async move {
                // spilled, written from where they were sealed, put together
                let size = match task {
                    0 | 1 => 5 * CHUNK,
                    2 | 3 => 140_000 + 30_000 * usize::from(task),
                    _ => 9_000 * usize::from(task),
                };
                let mut acknowledged = Vec::new();
                for round in 0..4_u8 {
                    let object = bytes(size, task * 16 + round);
                    let mut writer = vault.begin(RecordKind::Instance);
                    if writer.write(&object).await.is_err() {
                        break;
                    }
                    let Ok(sealed) = writer.finish(&key, b"metadata").await else { break };
                    match vault.commit(vec![sealed]).await {
                        Ok(committed) => acknowledged.push((committed[0], object)),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let crashing = disk.clone();
    let crash = tokio::task::spawn_blocking(move || {
        assert!(crashing.wait_for(call, crash_at));
        crashing.crash(seed);
    });
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    drop(vault);
    // Where the work was done before the chosen call came, the crash comes after it.
    let rest = disk.mount();
    while !crash.is_finished() {
        let _ = (rest.sync_directory(), rest.rename("none", "none"));
        if let Ok(file) = rest.create("extra") {
            let _ = (file.write_at(b"x", 0), file.sync(), rest.remove("extra"));
        }
        tokio::task::yield_now().await;
    }
    crash.await.unwrap();
    acknowledged
}
