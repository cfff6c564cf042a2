//! Many writers, checkpoints, proofs and a verification at the same time.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Place;
use crate::{
    leaf_hash,
    proof::{verify_consistency, verify_inclusion},
};

#[test]
fn writers_checkpoints_and_verifications_do_not_disturb_each_other() {
    let place = Place::new();
    let log = place.open();
    let is_done = AtomicBool::new(false);
    const WRITERS: u64 = 4;
    const BATCHES: u64 = 60;
    const BATCH: u64 = 50;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let log = &log;
                scope.spawn(move || {
                    let mut last = 0;
                    for batch in 0..BATCHES {
                        let entries: Vec<Vec<u8>> =
                            (0..BATCH).map(|entry| format!("{writer}/{batch}/{entry}").into_bytes()).collect();
                        let range = log.append(&entries).unwrap();
                        assert_eq!(range.end - range.start, BATCH);
                        assert!(range.start >= last, "indices only grow");
                        last = range.end;
                        assert_eq!(log.entries(range.clone()).unwrap(), entries, "a batch stays together");
                        if batch % 10 == 0 {
                            assert!(log.sync().unwrap() >= range.end);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut before = log.published();
            while !is_done.load(Ordering::SeqCst) {
                let now = log.checkpoint().unwrap();
                let path = log.consistency_proof(before.size, now.size).unwrap();
                verify_consistency(before.size, now.size, &path, &before.root, &now.root).unwrap();
                if let Some(index) = now.size.checked_sub(1) {
                    let path = log.inclusion_proof(index, now.size).unwrap();
                    let leaf = leaf_hash(&log.entry(index).unwrap());
                    verify_inclusion(&leaf, index, now.size, &path, &now.root).unwrap();
                }
                before = log.published();
            }
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let report = log.verify().unwrap();
                assert!(report.is_intact(), "{:?}", report.findings);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
    });
    log.checkpoint().unwrap();
    drop(log);
    let log = place.open();
    let size = WRITERS * BATCHES * BATCH;
    assert_eq!(log.size(), size);
    let mut found = log.entries(0..size).unwrap();
    found.sort();
    found.dedup();
    assert_eq!(found.len() as u64, size, "every entry once");
    assert!(log.verify().unwrap().is_intact());
}
