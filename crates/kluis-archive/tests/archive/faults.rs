//! Crashes between two steps, senders that come at once or go away, full disks.

use std::{path::Path, sync::Arc, time::Duration};

use kluis_archive::{Archive, NewAccount, StoreError, Stored, act};
use kluis_policy::{Principal, Role};
use kluis_testkit::SmallInstance;
use kluis_vault::{DiskVault, RecordKind, Settings, simulation::SimulatedDisk};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    gated_vault::{GatedVault, Step},
    site::{ORIGIN, clock, count, data_sets, end, open, open_over, seal, store, verify, verify_is_clean},
};

const STORED: Step = Step::Committed(RecordKind::Instance);

fn gated(dir: &Path) -> Arc<GatedVault> {
    GatedVault::new(DiskVault::open(&dir.join("packs"), Settings::default()).unwrap())
}

fn storing(archive: &Archive, instance: &SmallInstance) -> JoinHandle<Result<Stored, StoreError>> {
    let (archive, instance) = (archive.clone(), instance.clone());
    tokio::spawn(async move { store(&archive, &instance).await })
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn crash_between_pack_and_index_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let vault = gated(dir.path());
    let (archive, _) = open_over(dir.path(), Arc::clone(&clock), Arc::clone(&vault) as _).await;
    let (first, second) = (SmallInstance::new(1, 1, 1, 1), SmallInstance::new(1, 1, 1, 2));
    store(&archive, &first).await.unwrap();
    archive.settle().await.unwrap();
    let gate = vault.gate(STORED);
    gate.lose();
    assert!(matches!(store(&archive, &second).await, Err(StoreError::Unavailable(_))));
    assert!(data_sets(&archive, &first.study).await.unwrap() == [first.data_set_bytes()], "not visible");
    end(archive).await;
    drop(vault);
    let (archive, replayed) = open(dir.path(), clock).await;
    assert_eq!((replayed.records, replayed.objects, replayed.leaves), (1, 1, 1));
    assert!(store(&archive, &second).await.unwrap().is_duplicate);
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn crash_between_index_and_ledger_loses_no_leaf() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    store(&archive, &SmallInstance::new(1, 1, 1, 1)).await.unwrap();
    archive.settle().await.unwrap();
    let (log, before) = (dir.path().join("objects"), dir.path().join("before"));
    copy(&log, &before);
    store(&archive, &SmallInstance::new(1, 1, 1, 2)).await.unwrap();
    end(archive).await;
    copy(&before, &log);
    let (archive, replayed) = open(dir.path(), clock).await;
    assert_eq!((replayed.records, replayed.objects, replayed.leaves), (1, 0, 1));
    verify_is_clean(&archive).await;
}

/// A sender that goes away while its object is made durable: the object is kept, with row and leaf, so that it is not
/// in the packs alone.
#[tokio::test]
async fn object_of_a_sender_that_goes_away_is_whole() {
    let dir = TempDir::new().unwrap();
    let vault = gated(dir.path());
    let (archive, _) = open_over(dir.path(), clock(), Arc::clone(&vault) as _).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    let gate = vault.gate(STORED);
    let sender = storing(&archive, &instance);
    gate.reached().await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    gate.open();
    // waits until nothing is between pack and index
    archive.settle().await.unwrap();
    assert!(data_sets(&archive, &instance.study).await.unwrap() == [instance.data_set_bytes()]);
    let report = verify(&archive).await;
    assert_eq!((report.findings.len(), report.orphans, report.object_leaves), (0, 0, 1), "{report:?}");
}

/// Lets every task come as far as it can.
async fn come_far(task: &JoinHandle<Result<Stored, StoreError>>) {
    for _ in 0..200 {
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    assert!(!task.is_finished());
}

/// Who brings an instance that another one is just bringing waits for that one: so the order in the packs is the order of
/// acceptance, and stays the truth where a crash takes rows and leaves.
#[tokio::test]
async fn version_that_was_accepted_first_stays_the_visible_one() {
    for is_same in [true, false] {
        let dir = TempDir::new().unwrap();
        let clock = clock();
        let vault = gated(dir.path());
        let (archive, _) = open_over(dir.path(), Arc::clone(&clock), Arc::clone(&vault) as _).await;
        let first = SmallInstance::new(1, 1, 1, 1);
        let mut second = first.clone();
        if !is_same {
            second.patient_name = "Other^Name".to_owned();
        }
        let gate = vault.gate(STORED);
        let sender = storing(&archive, &first);
        gate.reached().await;
        let late = storing(&archive, &second);
        come_far(&late).await;
        gate.open();
        assert!(!sender.await.unwrap().unwrap().is_duplicate);
        let late = late.await.unwrap();
        assert!(if is_same { late.unwrap().is_duplicate } else { matches!(late, Err(StoreError::Conflict { .. })) });
        let report = verify(&archive).await;
        assert_eq!((report.findings.len(), report.objects), (0, if is_same { 1 } else { 2 }), "{report:?}");
        end(archive).await;
        std::fs::remove_file(dir.path().join("index.db")).unwrap();
        // of the leaves none was durable
        std::fs::remove_dir_all(dir.path().join("objects")).unwrap();
        std::fs::remove_file(dir.path().join("objects.vkey")).unwrap();
        drop(vault);
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        for _ in 0..2 {
            assert!(data_sets(&archive, &first.study).await.unwrap() == [first.data_set_bytes()], "{is_same}");
            verify_is_clean(&archive).await;
            assert_eq!(archive.rebuild_index().await.unwrap().leaves, 0);
        }
    }
}

#[tokio::test]
async fn same_conflict_twice_at_once_has_one_leaf() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let vault = gated(dir.path());
    let (archive, _) = open_over(dir.path(), Arc::clone(&clock), Arc::clone(&vault) as _).await;
    let first = SmallInstance::new(1, 1, 1, 1);
    store(&archive, &first).await.unwrap();
    for name in ["Other^Name", "Third^Name"] {
        let mut other = first.clone();
        other.patient_name = name.to_owned();
        let gate = vault.gate(STORED);
        let sender = storing(&archive, &other);
        gate.reached().await;
        let late = storing(&archive, &other);
        come_far(&late).await;
        gate.open();
        for task in [sender, late] {
            assert!(matches!(task.await.unwrap(), Err(StoreError::Conflict { .. })));
        }
        verify_is_clean(&archive).await;
        // the second time beside a manifest
        seal(&archive, &clock).await;
    }
    let report = verify(&archive).await;
    assert_eq!((report.object_leaves, report.objects, report.orphans), (3, 3, 0));
}

#[tokio::test]
async fn instance_that_comes_while_its_series_is_sealed_is_kept() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let vault = gated(dir.path());
    let (archive, _) = open_over(dir.path(), Arc::clone(&clock), Arc::clone(&vault) as _).await;
    let instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(1, 1, 1, number)).collect();
    let sent: Vec<Vec<u8>> = instances.iter().map(SmallInstance::data_set_bytes).collect();
    store(&archive, &instances[0]).await.unwrap();
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    for (late, held) in [(1, RecordKind::Manifest), (2, RecordKind::Manifest)] {
        let gate = vault.gate(Step::Committed(held));
        let sealing = tokio::spawn({
            let archive = archive.clone();
            async move { archive.seal_quiet().await }
        });
        gate.reached().await;
        store(&archive, &instances[late]).await.unwrap();
        gate.open();
        assert_eq!(sealing.await.unwrap().unwrap(), 0, "the manifest lacks the late one and is not used");
        assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent[..=late]);
        verify_is_clean(&archive).await;
        assert_eq!(seal(&archive, &clock).await, 1);
        assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent[..=late]);
        *clock.0.lock().unwrap() += Duration::from_secs(120);
        if late == 1 {
            // makes the series hot again, so that it is sealed beside its manifest
            let mut again = SmallInstance::new(1, 1, 1, 9);
            again.number = 9;
            assert!(store(&archive, &again).await.is_ok());
            assert_eq!(seal(&archive, &clock).await, 1);
            let rebuilt = archive.rebuild_index().await.unwrap();
            assert_eq!(rebuilt.objects, 3);
            assert_eq!(data_sets(&archive, &again.study).await.unwrap().len(), 3);
            return verify_is_clean(&archive).await;
        }
    }
}

#[tokio::test]
async fn full_disk_is_told_and_spares_the_reads() {
    let dir = TempDir::new().unwrap();
    let disk = SimulatedDisk::new();
    let vault = DiskVault::with_storage(disk.mount(), Settings::default()).unwrap();
    let (archive, _) = open_over(dir.path(), clock(), Arc::new(vault)).await;
    let (first, second) = (SmallInstance::new(1, 1, 1, 1), SmallInstance::new(1, 1, 1, 2));
    store(&archive, &first).await.unwrap();
    disk.limit_room(Some(100));
    for _ in 0..2 {
        assert!(matches!(store(&archive, &second).await, Err(StoreError::StorageFull)));
        assert!(data_sets(&archive, &first.study).await.unwrap() == [first.data_set_bytes()]);
        assert_eq!(count(&archive, &Principal::Operator).await, 1);
    }
    archive.settle().await.unwrap();
    disk.limit_room(None);
    store(&archive, &second).await.unwrap();
    assert_eq!(data_sets(&archive, &first.study).await.unwrap().len(), 2);
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn what_has_ended_is_dropped_from_the_directory() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::ManageTokens).await.unwrap();
    let account = NewAccount { name: "robot".to_owned(), role: Role::Uploader, referring: None };
    archive.create_token(permit, account, Duration::from_secs(3_600)).await.unwrap().complete();
    assert_eq!(archive.purge_directory().await.unwrap(), 0);
    *clock.0.lock().unwrap() += Duration::from_secs(3_600);
    assert_eq!(archive.purge_directory().await.unwrap(), 1);
}
