//! The archive on its real stores: SQLite, packs on disk, logs on disk.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod gated_vault;
#[cfg(test)]
mod many;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod site;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod verify;

use std::{sync::Arc, task::Poll, time::Duration};

use kluis_archive::{Outcome, StoreError, VerifyOptions, act};
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

/// The SOP Instance UID is unique in the world (PS3.5 9): where the series of the first is sealed, too.
#[tokio::test]
async fn a_sealed_instance_is_known_under_whatever_series_it_comes_again() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let first = SmallInstance::new(1, 1, 1, 1);
    store(&archive, &first).await.unwrap();
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 1);
    let elsewhere = [SmallInstance::new(1, 1, 2, 1), SmallInstance::new(1, 2, 1, 1)];
    for mut again in elsewhere {
        again.sop_instance.clone_from(&first.sop_instance);
        for _ in 0..2 {
            assert!(matches!(store(&archive, &again).await, Err(StoreError::Conflict { .. })));
        }
    }
    assert_eq!(count(&archive, &Principal::Operator).await, 1, "a conflict makes no study");
    // another instance of the sealed series asks no manifest, and makes it hot
    assert!(!store(&archive, &SmallInstance::new(1, 1, 1, 2)).await.unwrap().is_duplicate);
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 1);
    assert!(store(&archive, &first).await.unwrap().is_duplicate);
    verify_is_clean(&archive).await;
}

/// More series than one step takes, and one among them that cannot be sealed.
#[tokio::test]
async fn all_quiet_series_are_sealed_in_one_call() {
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let instances: Vec<SmallInstance> = (0..150).map(|series| SmallInstance::new(1, series % 7, series, 1)).collect();
    for instance in &instances {
        store(&archive, instance).await.unwrap();
    }
    *clock.0.lock().unwrap() += Duration::from_secs(120);
    assert_eq!(archive.seal_quiet().await.unwrap(), 150);
    assert_eq!(archive.seal_quiet().await.unwrap(), 0);
    for instance in instances.iter().step_by(50) {
        assert!(store(&archive, instance).await.unwrap().is_duplicate);
    }
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
    assert_eq!(archive.verify(permit, VerifyOptions::default()).await.unwrap().objects, 3);
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
