//! What the disk vault does with its files, and what it does when they fail.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use kluis_vault::{
    DiskVault, Position, RecordKind, SLOW_SPILL_BYTES, Settings, Vault, VaultError,
    simulation::{Call, Fault, SimulatedDisk},
};
use tempfile::TempDir;

use crate::fixture::{CHUNK, bytes, load, seal, simulated, small, store, study_key};

const LARGE: usize = 6 * CHUNK;
/// Stays in memory until it is committed, and is written from there.
const GATHERED: usize = 200_000;

#[tokio::test]
async fn files_are_closed_to_others_and_show_nothing() {
    const MARKER: &[u8] = b"MARKER^PATIENT^NAME";
    let dir = TempDir::new().unwrap();
    let packs = dir.path().join("packs");
    let key = study_key().await;
    let vault = DiskVault::open(&packs, small()).unwrap();
    let marked = MARKER.repeat(40_000);
    for object in [&marked[..1_000], &marked] {
        let mut writer = vault.begin(RecordKind::Instance);
        writer.write(object).await.unwrap();
        let sealed = writer.finish(&key, &marked).await.unwrap();
        vault.commit(vec![sealed]).await.unwrap();
    }
    let mut open = vault.begin(RecordKind::Instance);
    open.write(&marked).await.unwrap();
    assert_eq!(fs::metadata(&packs).unwrap().permissions().mode() & 0o7777, 0o700);
    let files: Vec<_> = fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "one pack, one pack of its own, one object on its way");
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let stored = fs::read(&file).unwrap();
        assert!(!stored.windows(8).any(|window| window == &MARKER[..8]), "{}", file.display());
    }
}

#[tokio::test]
async fn an_object_sent_to_disk_early_comes_back_and_holds_little_meanwhile() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        for early in [0, 1, CHUNK, 2 * CHUNK + 1, usize::MAX] {
            let object = bytes(length, 7);
            let (first, second) = object.split_at(early.min(length));
            let mut writer = vault.begin(RecordKind::Instance);
            writer.write(first).await.unwrap();
            assert!(!writer.is_spilled());
            writer.spill().await.unwrap();
            for piece in second.chunks(1_000) {
                writer.write(piece).await.unwrap();
                assert!(writer.held_bytes() <= SLOW_SPILL_BYTES / 2, "{} bytes held", writer.held_bytes());
            }
            writer.spill().await.unwrap();
            assert!(writer.is_spilled());
            let sealed = writer.finish(&key, b"metadata").await.unwrap();
            let location = vault.commit(vec![sealed]).await.unwrap()[0];
            assert!(load(&*vault, &key, location).await.unwrap() == object, "{length} bytes, {early} before");
            assert_eq!(vault.check(location).await.unwrap().plain_length, length as u64);
        }
    }
}

#[tokio::test]
async fn packs_outlive_the_process_and_are_not_written_to_again() {
    let dir = TempDir::new().unwrap();
    let key = study_key().await;
    let mut stored = Vec::new();
    for round in 0..3 {
        let vault = DiskVault::open(dir.path(), small()).unwrap();
        let recovery = vault.recover(Position::START).await.unwrap();
        assert_eq!((recovery.records, recovery.cuts.len(), recovery.gaps.len()), (stored.len() as u64, 0, 0));
        for size in [1_000, LARGE, 2_000] {
            let object = bytes(size, round);
            stored.push((store(&vault, &key, &object).await.unwrap(), object));
        }
        for (location, object) in &stored {
            assert!(load(&vault, &key, *location).await.unwrap() == *object);
        }
        assert_eq!(vault.stats().packs, (u64::from(round) + 1) * 3);
    }
    assert!(stored.is_sorted_by_key(|(location, _)| *location));
}

#[tokio::test]
async fn pack_is_closed_when_it_is_long_or_old() {
    let key = study_key().await;
    for (settings, packs) in [
        (Settings { pack_bytes: 21_000, ..Settings::default() }, 3),
        (Settings { pack_age: Duration::ZERO, ..Settings::default() }, 6),
        (Settings::default(), 1),
    ] {
        let disk = SimulatedDisk::new();
        let vault = simulated(&disk, settings);
        for seed in 0..6 {
            store(&*vault, &key, &bytes(5_000, seed)).await.unwrap();
        }
        assert_eq!(vault.stats().packs, packs);
        assert_eq!(vault.scan(Position::START, 10).await.unwrap().len(), 6);
    }
}

#[tokio::test]
async fn concurrent_commits_share_a_sync() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let spawn = |seed: u8| {
        let (vault, key) = (Arc::clone(&vault), Arc::clone(&key));
        tokio::spawn(async move { store(&*vault, &key, &bytes(20_000, seed)).await.unwrap() })
    };
    let held = disk.hold(Call::Sync);
    let first = spawn(0);
    let waiting = disk.clone();
    assert!(tokio::task::spawn_blocking(move || waiting.wait_for(Call::Sync, 1)).await.unwrap());
    // While the first sync is held, seven more arrive. On this one thread, every task reaches its queue in a few turns.
    let others: Vec<_> = (1..8).map(spawn).collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && others.iter().all(|task| !task.is_finished()), "nobody is told before the sync");
    drop(held);
    first.await.unwrap();
    for task in others {
        task.await.unwrap();
    }
    assert_eq!(disk.calls(Call::Sync), 2);
    assert_eq!(disk.calls(Call::SyncDirectory), 1, "a pack is named once");
    assert_eq!(vault.stats().objects, 8);
}

/// Ten million objects that are all header would else fill a page each.
#[tokio::test]
async fn small_objects_committed_together_share_pages_and_batches_do_not() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let mut batches = Vec::new();
    for batch in 0..2 {
        let mut objects = Vec::new();
        for seed in 0..8 {
            objects.push(seal(&*vault, &key, &bytes(500, batch * 8 + seed)).await.unwrap());
        }
        batches.push(vault.commit(objects).await.unwrap());
    }
    let [first, second] = batches.as_slice() else { panic!("two batches") };
    assert!(first.windows(2).all(|pair| pair[0].end().offset == pair[1].offset), "side by side");
    assert_eq!(second[0].offset, first[7].end().offset.next_multiple_of(4096), "a page of its own");
    assert!(second[0].offset - first[0].offset <= 3 * 4096);
    for (seed, location) in batches.concat().into_iter().enumerate() {
        assert!(load(&*vault, &key, location).await.unwrap() == bytes(500, seed as u8));
    }
    assert_eq!(vault.scan(Position::START, 99).await.unwrap().len(), 16);
    // a byte in the zeros between them is no record and is told
    let gap = first[7].end().offset as usize + 1;
    disk.tamper("0000000000000001.pack", |bytes| bytes[gap] = 1);
    assert_eq!(vault.scan(Position::START, 99).await.unwrap().len(), 16, "what follows is still found");
    drop(vault);
    let recovery = simulated(&disk, Settings::default()).recover(Position::START).await.unwrap();
    assert_eq!((recovery.records, recovery.gaps.len()), (16, 1));
}

/// One write that fails for lack of room refuses those that do not fit, not their neighbours.
#[tokio::test]
async fn group_that_does_not_fit_is_tried_one_by_one() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let held = disk.hold(Call::Sync);
    let spawn = |seed: u8, size: usize| {
        let (vault, key) = (Arc::clone(&vault), Arc::clone(&key));
        tokio::spawn(async move { store(&*vault, &key, &bytes(size, seed)).await })
    };
    let first = spawn(0, 1_000);
    let waiting = disk.clone();
    assert!(tokio::task::spawn_blocking(move || waiting.wait_for(Call::Sync, 1)).await.unwrap());
    let others = [spawn(1, 5_000), spawn(2, 200_000), spawn(3, 5_000)];
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    disk.limit_room(Some(40_000));
    drop(held);
    first.await.unwrap().unwrap();
    let [small, large, other] = others;
    assert!(matches!(large.await.unwrap(), Err(VaultError::StorageFull)));
    for (task, seed) in [(small, 1), (other, 3)] {
        let location = task.await.unwrap().unwrap();
        assert!(load(&*vault, &key, location).await.unwrap() == bytes(5_000, seed));
    }
}

#[tokio::test]
async fn record_is_not_seen_before_its_sync() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let first = store(&*vault, &key, &bytes(1_000, 0)).await.unwrap();
    let held = disk.hold(Call::Sync);
    let (writing, writing_key) = (Arc::clone(&vault), Arc::clone(&key));
    let second = tokio::spawn(async move { store(&*writing, &writing_key, &bytes(1_000, 1)).await.unwrap() });
    let waiting = disk.clone();
    assert!(tokio::task::spawn_blocking(move || waiting.wait_for(Call::Sync, 2)).await.unwrap());
    assert!(disk.bytes("0000000000000001.pack").len() as u64 > first.end().offset, "it is written");
    assert_eq!(vault.scan(Position::START, 9).await.unwrap().len(), 1);
    assert_eq!(vault.position().await.unwrap(), first.end());
    drop(held);
    let second = second.await.unwrap();
    assert_eq!(vault.scan(first.end(), 9).await.unwrap()[0].0, second);
    assert_eq!(vault.position().await.unwrap(), second.end());
}

#[tokio::test]
async fn writer_dropped_leaves_no_file() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, small());
    let mut writer = vault.begin(RecordKind::Instance);
    writer.write(&bytes(LARGE, 1)).await.unwrap();
    assert_eq!(disk.names().len(), 1, "spilled");
    drop(writer);
    assert!(disk.names().is_empty());
    let sealed = seal(&*vault, &key, &bytes(LARGE, 1)).await.unwrap();
    assert_eq!(disk.names().len(), 1, "waits for its commit");
    drop(sealed);
    assert!(disk.names().is_empty());
}

#[tokio::test]
async fn object_of_another_process_that_was_never_committed_is_removed() {
    let disk = SimulatedDisk::new();
    let before = simulated(&disk, small());
    let mut writer = before.begin(RecordKind::Instance);
    writer.write(&bytes(LARGE, 1)).await.unwrap();
    std::mem::forget(writer);
    let vault = simulated(&disk, small());
    let mut ours = vault.begin(RecordKind::Instance);
    ours.write(&bytes(LARGE, 2)).await.unwrap();
    assert_eq!(disk.names().len(), 2);
    assert_eq!(vault.recover(Position::START).await.unwrap().uncommitted, 1);
    assert_eq!(disk.names().len(), 1, "ours stays");
}

/// Every call of the way in fails once. The object concerned is refused, those before it and after it hold.
#[tokio::test]
async fn failed_call_refuses_the_object_concerned_and_no_other() {
    let io = Fault::Error(ErrorKind::Other);
    let torn = Fault::Torn(ErrorKind::Other);
    let small_faults = [
        (Call::Create, io),
        (Call::Write, io),
        (Call::Write, torn),
        (Call::Write, Fault::Torn(ErrorKind::StorageFull)),
        (Call::Write, Fault::Error(ErrorKind::QuotaExceeded)),
        (Call::Sync, io),
        (Call::SyncDirectory, io),
    ];
    let large_faults = small_faults.into_iter().chain([(Call::Rename, io)]);
    let gathered = [1_000, GATHERED].into_iter().flat_map(|size| small_faults.map(|fault| (size, fault)));
    let cases = gathered.chain(large_faults.map(|fault| (LARGE, fault)));
    for (size, (call, fault)) in cases {
        for after in 0..3 {
            let key = study_key().await;
            let disk = SimulatedDisk::new();
            // A new pack each time, so that making one is among the calls.
            let vault = simulated(&disk, Settings { pack_bytes: 0, ..small() });
            let mut kept = vec![(store(&*vault, &key, &bytes(500, 0)).await.unwrap(), bytes(500, 0))];
            disk.fail(call, after, fault);
            let mut failures = 0;
            for seed in 1..5 {
                let object = bytes(size, seed);
                match store(&*vault, &key, &object).await {
                    Ok(location) => kept.push((location, object)),
                    Err(error) => {
                        failures += 1;
                        let is_full =
                            matches!(fault, Fault::Torn(kind) | Fault::Error(kind) if kind != ErrorKind::Other);
                        assert_eq!(matches!(error, VaultError::StorageFull), is_full, "{call:?} {error}");
                    }
                }
            }
            assert_eq!(failures, 1, "{size} {call:?} {fault:?} after {after}");
            for (location, object) in &kept {
                assert!(load(&*vault, &key, *location).await.unwrap() == *object, "{size} {call:?} {fault:?}");
            }
            let scanned = vault.scan(Position::START, 10).await.unwrap();
            assert_eq!(
                scanned.into_iter().map(|(location, _)| location).collect::<Vec<_>>(),
                kept.iter().map(|(location, _)| *location).collect::<Vec<_>>(),
                "{size} {call:?} {fault:?} after {after}"
            );
            assert!(!disk.names().iter().any(|name| name.ends_with(".part")), "{size} {call:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn short_write_is_carried_on() {
    let key = study_key().await;
    for size in [1_000, GATHERED, LARGE] {
        for after in 0..4 {
            let disk = SimulatedDisk::new();
            let vault = simulated(&disk, small());
            disk.fail(Call::Write, after, Fault::Short);
            for seed in 0..3 {
                let location = store(&*vault, &key, &bytes(size, seed)).await.unwrap();
                assert!(load(&*vault, &key, location).await.unwrap() == bytes(size, seed));
                vault.check(location).await.unwrap();
            }
        }
    }
}

/// Linux may drop the pages of a failed sync and report the next one as a success.
#[tokio::test]
async fn pack_with_a_failed_sync_is_never_used_again() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let before = store(&*vault, &key, &bytes(1_000, 0)).await.unwrap();
    disk.fail(Call::Sync, 0, Fault::Error(ErrorKind::Other));
    let failed = store(&*vault, &key, &bytes(1_000, 1)).await.unwrap_err();
    assert!(matches!(failed, VaultError::Io { operation: "sync", .. }), "{failed}");
    let after = store(&*vault, &key, &bytes(1_000, 2)).await.unwrap();
    assert_ne!(before.pack, after.pack);
    disk.crash(0);
    drop(vault);
    let vault = simulated(&disk, Settings::default());
    vault.recover(Position::START).await.unwrap();
    for (location, seed) in [(before, 0), (after, 2)] {
        assert!(load(&*vault, &key, location).await.unwrap() == bytes(1_000, seed));
    }
}

#[tokio::test]
async fn one_sync_that_fails_refuses_all_who_wait_for_it() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let held = disk.hold(Call::Sync);
    let spawn = |seed: u8| {
        let (vault, key) = (Arc::clone(&vault), Arc::clone(&key));
        tokio::spawn(async move { store(&*vault, &key, &bytes(2_000, seed)).await })
    };
    let first = spawn(0);
    let waiting = disk.clone();
    assert!(tokio::task::spawn_blocking(move || waiting.wait_for(Call::Sync, 1)).await.unwrap());
    let others: Vec<_> = (1..4).map(spawn).collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    disk.fail(Call::Sync, 0, Fault::Error(ErrorKind::Other));
    drop(held);
    first.await.unwrap().unwrap();
    for task in others {
        assert!(matches!(task.await.unwrap(), Err(VaultError::Io { operation: "sync", .. })));
    }
    assert_eq!(vault.scan(Position::START, 10).await.unwrap().len(), 1, "only what was synced is seen");
    assert_eq!(vault.stats().failures, 3);
}

#[tokio::test]
async fn full_disk_refuses_what_does_not_fit_and_takes_what_does() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, small());
    store(&*vault, &key, &bytes(1_000, 0)).await.unwrap();
    disk.limit_room(Some(40_000));
    for size in [60_000, LARGE, GATHERED] {
        let refused = store(&*vault, &key, &bytes(size, 1)).await.unwrap_err();
        assert!(matches!(refused, VaultError::StorageFull), "{size}: {refused}");
        disk.limit_room(Some(40_000));
    }
    let fits = store(&*vault, &key, &bytes(10_000, 2)).await.unwrap();
    assert!(load(&*vault, &key, fits).await.unwrap() == bytes(10_000, 2));
    disk.limit_room(None);
    let later = store(&*vault, &key, &bytes(LARGE, 3)).await.unwrap();
    assert!(load(&*vault, &key, later).await.unwrap() == bytes(LARGE, 3));
    assert_eq!(vault.scan(Position::START, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn request_that_fails_half_way_leaves_nothing_of_it() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, Settings::default());
    let before = store(&*vault, &key, &bytes(100, 0)).await.unwrap();
    let mut objects = Vec::new();
    for seed in 1..4 {
        objects.push(seal(&*vault, &key, &bytes(100, seed)).await.unwrap());
    }
    disk.fail(Call::Write, 0, Fault::Torn(ErrorKind::StorageFull));
    assert!(matches!(vault.commit(objects).await, Err(VaultError::StorageFull)));
    let next = store(&*vault, &key, &bytes(100, 4)).await.unwrap();
    let scanned = vault.scan(Position::START, 10).await.unwrap();
    assert_eq!(scanned.into_iter().map(|(location, _)| location).collect::<Vec<_>>(), [before, next]);
    assert_eq!((before.pack, before.end().offset.next_multiple_of(4096)), (next.pack, next.offset), "no hole");
}

#[tokio::test]
async fn write_after_a_failed_write_is_refused() {
    let key = study_key().await;
    let disk = SimulatedDisk::new();
    let vault = simulated(&disk, small());
    let mut writer = vault.begin(RecordKind::Instance);
    disk.fail(Call::Write, 0, Fault::Error(ErrorKind::StorageFull));
    assert!(matches!(writer.write(&bytes(20 * CHUNK, 1)).await, Err(VaultError::StorageFull)));
    assert!(matches!(writer.write(b"more").await, Err(VaultError::Broken)));
    assert!(matches!(writer.finish(&key, b"").await, Err(VaultError::Broken)));
    assert!(disk.names().is_empty());
}
