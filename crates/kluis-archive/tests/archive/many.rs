//! No false alarms: many objects, with crashes, restarts, seals and conflicts between them, and nothing to be found.
//!
//! `KLUIS_VERIFY_OBJECTS` is how many; without it 2,000.

use std::{sync::Arc, time::Instant};

use futures_util::StreamExt;
use kluis_testkit::SmallInstance;
use tempfile::TempDir;

use crate::site::{clock, end, open, seal, store, verify};

/// Instances of one study, in two series.
const STUDY: u32 = 20;

fn instance(number: u32) -> SmallInstance {
    let mut instance = SmallInstance::new(3, number / STUDY, number % 2, number % STUDY);
    instance.side_pixels = 2;
    instance
}

#[tokio::test]
async fn verify_of_many_objects_finds_nothing() {
    let count: u32 = std::env::var("KLUIS_VERIFY_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let dir = TempDir::new().unwrap();
    let clock = clock();
    let (mut archive, _) = open(dir.path(), Arc::clone(&clock)).await;
    let (mut from, mut step, mut conflicts, mut sealed) = (0, 0, 0, 0);
    while from < count {
        let to = count.min(from + 1 + count / 13);
        let stored = futures_util::stream::iter(from..to).map(|number| {
            let archive = archive.clone();
            async move {
                store(&archive, &instance(number)).await.unwrap();
                // the same again, and other bytes under its UID
                if number % 50 == 7 {
                    assert!(store(&archive, &instance(number)).await.unwrap().is_duplicate);
                }
                if number % 97 != 5 {
                    return 0;
                }
                let mut other = instance(number);
                other.patient_name = "Other^Name".to_owned();
                store(&archive, &other).await.unwrap_err();
                1
            }
        });
        conflicts += stored.buffer_unordered(64).fold(0, |sum, one| async move { sum + one }).await;
        from = to;
        step += 1;
        match step % 4 {
            0 => archive.settle().await.unwrap(),
            1 => sealed += seal(&archive, &clock).await,
            2 => {
                // as a crash: nothing is written down
                end(archive).await;
                archive = open(dir.path(), Arc::clone(&clock)).await.0;
            }
            _ => {
                archive.close().await.unwrap();
                archive = open(dir.path(), Arc::clone(&clock)).await.0;
            }
        }
    }
    let begun = Instant::now();
    let report = verify(&archive).await;
    let took = begun.elapsed();
    assert!(report.findings.is_empty(), "{:?}", &report.findings[..report.findings.len().min(20)]);
    assert_eq!(report.instances, u64::from(count));
    assert!(sealed > 0 && conflicts > 0, "{sealed} sealed, {conflicts} conflicts");
    assert_eq!(report.object_leaves, u64::from(count) + conflicts);
    println!(
        "{} objects, {} manifests verified in {took:?}: {:?} each",
        report.objects,
        report.manifests,
        took / count
    );
    // and once more after everything was made anew
    archive.rebuild_index().await.unwrap();
    let report = verify(&archive).await;
    assert!(report.findings.is_empty(), "{:?}", &report.findings[..report.findings.len().min(20)]);
}
