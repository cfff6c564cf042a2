//! A log by itself: every single call fails once, and the power goes at every single call.

use std::{
    collections::HashSet,
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use kluis_ledger::{Checkpoint, LedgerError, Log, proof};
use kluis_vault::simulation::{Fault, SimulatedDisk};

use crate::{machine::signer, stores::LogFolder};

/// More than the journal repeats, so that it is cut on the way.
const ENTRIES: u64 = 8_600;

/// Entries of one batch.
const BATCH: u64 = 860;

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn open(disk: &SimulatedDisk) -> Result<Log, LedgerError> {
    let root = disk.folder("");
    let storage = Arc::new(LogFolder(root.folder("log")));
    Log::with_storage(storage, &LogFolder(root), "log.vkey", "example.org/log", signer())
}

/// What the log has promised.
#[derive(Default)]
struct Promised {
    /// What was taken, in its order.
    taken: Vec<u64>,
    /// How many of them are durable.
    durable: usize,
    head: Option<Checkpoint>,
}

impl Promised {
    /// Appends all, in batches; some are synced, some signed. Goes on behind what fails.
    fn work(&mut self, disk: &SimulatedDisk, log: &Log) {
        for (number, first) in (0..ENTRIES).step_by(usize::try_from(BATCH).unwrap()).enumerate() {
            let batch: Vec<u64> = (first..first + BATCH).collect();
            let entries: Vec<Vec<u8>> = batch.iter().map(|index| entry(*index)).collect();
            if log.append(&entries).is_ok() {
                self.taken.extend(batch);
            }
            let size = self.taken.len();
            let kept = match number % 3 {
                0 => log.sync().map(|_| None),
                1 => log.checkpoint().map(Some),
                _ => continue,
            };
            if let Ok(head) = kept
                && !disk.is_dead()
            {
                self.durable = size;
                self.head = head.or(self.head.take());
            }
        }
    }

    fn hold(&self, log: &Log, what: &str) {
        let size = usize::try_from(log.size()).unwrap();
        assert!(size >= self.durable, "{what}: {} were durable, {size} are left", self.durable);
        let entries = log.entries(0..log.size()).unwrap();
        for (found, taken) in entries.iter().zip(&self.taken).take(self.durable) {
            assert!(*found == entry(*taken), "{what}: another entry");
        }
        let known: HashSet<Vec<u8>> = (0..ENTRIES).map(entry).collect();
        assert!(entries.iter().all(|entry| known.contains(entry)), "{what}: an entry that nobody appended");
        let head = log.checkpoint().unwrap();
        if let Some(before) = &self.head {
            let path = log.consistency_proof(before.size, head.size).unwrap();
            proof::verify_consistency(before.size, head.size, &path, &before.root, &head.root).unwrap();
        }
        let report = log.verify().unwrap();
        assert!(report.findings.is_empty(), "{what}: {report:?}");
    }
}

/// Which entries it has, in its order.
fn known(log: &Log) -> Vec<u64> {
    let number = |entry: Vec<u8>| String::from_utf8(entry).unwrap().trim_start_matches("entry ").parse().unwrap();
    log.entries(0..log.size()).unwrap().into_iter().map(number).collect()
}

fn run(call: u64, fault: Option<Fault>) {
    let disk = SimulatedDisk::new();
    let what = format!("call {call}, {fault:?}");
    match fault {
        Some(fault) => disk.fail_call(call, fault),
        None => disk.cut_power(call),
    }
    let mut promised = Promised::default();
    if let Ok(log) = open(&disk) {
        promised.work(&disk, &log);
    }
    if fault.is_some() && call.is_multiple_of(2) {
        // the program starts anew and the machine does not: what it then signs is durable
        disk.heal();
        let log = open(&disk).unwrap_or_else(|error| panic!("{what}, started anew: {error}"));
        promised.taken = known(&log);
        promised.head = Some(log.checkpoint().unwrap());
        promised.durable = promised.taken.len();
    }
    disk.crash(call);
    disk.heal();
    let log = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    promised.hold(&log, &what);
}

#[test]
fn log_keeps_its_word_whatever_call_fails() {
    let disk = SimulatedDisk::new();
    let log = open(&disk).unwrap();
    Promised::default().work(&disk, &log);
    let calls = disk.total();
    println!("{calls} calls");
    let faults =
        [None, Some(Fault::Error(ErrorKind::Other)), Some(Fault::Torn(ErrorKind::StorageFull)), Some(Fault::Short)];
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let call = next.fetch_add(1, Ordering::Relaxed);
                    if call > calls {
                        return;
                    }
                    // one of them for each call, in turn; all of them where it is asked for
                    let all = std::env::var("KLUIS_RUNS").is_ok();
                    for (number, fault) in (0_u64..).zip(faults) {
                        if all || fault.is_none() || number == 1 + call % 3 {
                            run(call, fault);
                        }
                    }
                }
            });
        }
    });
}
