//! The archive on its real stores: SQLite, packs on disk, logs on disk.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod gated_vault;
#[cfg(test)]
mod site;
#[cfg(test)]
mod verify;

use std::{sync::Arc, task::Poll, time::Duration};

use kluis_archive::{Outcome, StoreError, act};
use kluis_policy::{Principal, Role};
use kluis_testkit::SmallInstance;
use tempfile::TempDir;

use site::{ORIGIN, clock, count, data_sets, end, open, permit, person, store, verify_is_clean};

#[tokio::test]
async fn stored_bytes_come_back_hot_and_sealed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(1, 1, 1, number)).collect();
    for instance in &instances {
        assert!(!store(&archive, instance).await.unwrap().is_duplicate);
    }
    assert!(store(&archive, &instances[0]).await.unwrap().is_duplicate);
    let sent: Vec<Vec<u8>> = instances.iter().map(SmallInstance::data_set_bytes).collect();
    assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent);
    verify_is_clean(&archive).await;

    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 1);
    assert_eq!(archive.seal_quiet().await.unwrap(), 0);
    assert!(data_sets(&archive, &instances[0].study).await.unwrap() == sent);
    assert!(store(&archive, &instances[0]).await.unwrap().is_duplicate, "known from the manifest");
    verify_is_clean(&archive).await;
}

/// A client that closes its connection, or an association that is cut, drops the future of the handler.
#[tokio::test]
async fn an_object_is_carried_through_when_its_sender_goes_away() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    let mut storing = Box::pin(store(&archive, &instance));
    let polled = std::future::poll_fn(|context| Poll::Ready(storing.as_mut().poll(context).is_pending()));
    assert!(polled.await);
    drop(storing);
    let arrived = async {
        while count(&archive, &Principal::Operator).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("the object is lost");
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn conflict_is_kept_once_told_each_time_and_never_shown() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let first = SmallInstance::new(1, 1, 1, 1);
    let mut second = first.clone();
    second.patient_name = "Other^Name".to_owned();
    store(&archive, &first).await.unwrap();
    for is_sealed in [false, true] {
        for _ in 0..2 {
            assert!(matches!(store(&archive, &second).await, Err(StoreError::Conflict { .. })), "{is_sealed}");
        }
        assert!(data_sets(&archive, &first.study).await.unwrap() == [first.data_set_bytes()]);
        verify_is_clean(&archive).await;
        *clock.0.lock().unwrap() += Duration::from_secs(120);
        archive.seal_quiet().await.unwrap();
        second.patient_name = "Third^Name".to_owned();
    }
    let permit = archive.admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await.unwrap();
    assert_eq!(archive.verify(permit, false).await.unwrap().objects, 3);
}

#[tokio::test]
async fn what_a_crash_takes_from_index_and_ledger_is_replayed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let instances: Vec<SmallInstance> = (1..=5).map(|number| SmallInstance::new(1, number % 2, 1, number)).collect();
    {
        let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
        for instance in &instances {
            store(&archive, instance).await.unwrap();
        }
        // no settle: the watermark stays where it was
        end(archive).await;
    }
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    std::fs::remove_dir_all(dir.path().join("objects")).unwrap();
    std::fs::remove_file(dir.path().join("objects.vkey")).unwrap();
    let (archive, replayed) = open(dir.path(), Arc::clone(&clock)).await;
    assert_eq!((replayed.objects, replayed.leaves), (5, 5));
    assert_eq!(count(&archive, &Principal::Operator).await, 2);
    verify_is_clean(&archive).await;

    archive.close().await.unwrap();
    let (archive, replayed) = open(dir.path(), clock).await;
    assert_eq!((replayed.records, replayed.objects, replayed.leaves), (0, 0, 0), "the watermark spares the work");
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn rebuilt_index_shows_what_the_old_one_showed() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    for number in 1..=4 {
        store(&archive, &SmallInstance::new(1, 1, number % 2, number)).await.unwrap();
    }
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 2);
    let late = SmallInstance::new(1, 1, 1, 9);
    store(&archive, &late).await.unwrap();
    let before = data_sets(&archive, &late.study).await.unwrap();
    let rebuilt = archive.rebuild_index().await.unwrap();
    assert_eq!((rebuilt.objects, rebuilt.leaves), (5, 0));
    assert!(data_sets(&archive, &late.study).await.unwrap() == before);
    verify_is_clean(&archive).await;
}

#[tokio::test]
async fn gate_refuses_and_rows_are_filtered() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    let instance = SmallInstance::new(1, 1, 1, 1);
    store(&archive, &instance).await.unwrap();
    for (principal, may_read, sees) in [
        (person(Role::Admin, None), true, Some(1)),
        (person(Role::Radiologist, None), true, Some(1)),
        (person(Role::Uploader, None), false, None),
        (person(Role::Auditor, None), false, None),
        // the study names no referring physician
        (person(Role::Referrer, Some("Doe^Jane")), false, Some(0)),
    ] {
        assert_eq!(permit(&archive, &principal, &instance.study).await.is_ok(), may_read, "{principal:?}");
        if let Some(sees) = sees {
            assert_eq!(count(&archive, &principal).await, sees, "{principal:?}");
        }
    }
}

#[tokio::test]
async fn dropped_permit_is_recorded_as_interrupted() {
    let dir = TempDir::new().unwrap();
    let (archive, _) = open(dir.path(), clock()).await;
    drop(permit(&archive, &person(Role::Admin, None), "1.2.3").await.unwrap());
    permit(&archive, &person(Role::Radiologist, None), "1.2.3").await.unwrap().finish(Outcome::Done);
    archive.settle().await.unwrap();
    let permit = archive
        .admit(&Principal::Operator, ORIGIN, act::ReadLedger { log: kluis_policy::LogName::Audit })
        .await
        .unwrap();
    // one begin for the minute, and an end for each outcome
    let path = "tile/entries/000.p/3";
    let bundle = archive.ledger_file(permit, path).await.unwrap();
    let text = String::from_utf8_lossy(&bundle.expect("one begin and two ends").to_vec()).into_owned();
    assert!(text.contains("\"interrupted\"") && text.contains("\"done\""), "{text}");
    assert!(!text.contains("1.2.3"), "an event names no UID: {text}");
}
