//! The write-ahead log is carried over into the file beside the writer.
//!
//! Thousands of pages and two syncs took the connection that writes 30 ms each time, and all senders waited. Now a thread
//! with a connection of its own carries over what there is; the writer then only carries over what came meanwhile, since
//! the log begins anew only where nothing of it is left.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::connection::{LOG_PAGES, Profile, at, open_carrier};
use crate::IndexError;

const CARRY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Nobody carries.
const IDLE: u8 = 0;
/// The thread is at it.
const CARRYING: u8 = 1;
/// It has ended: what is left is for the writer.
const CARRIED: u8 = 2;

/// The log of one database, as its writer sees it.
pub(super) struct Log {
    shared: Arc<Shared>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Length at which it is carried over next.
    next_at: u32,
}

#[derive(Default)]
struct Shared {
    /// Length of the log in pages, as of the last commit.
    pages: AtomicU32,
    turn: AtomicU8,
}

impl Log {
    /// Takes over from the engine, which would carry over within a commit. Blocks.
    pub fn start(writer: &mut Connection, path: &Path, key: &[u8; 32], profile: Profile) -> Result<Self, IndexError> {
        let carrier = open_carrier(path, key, profile)?;
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            told.pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(at("watch the log"))?;
        let (wake, woken) = sync_channel(1);
        let busy = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("kluis-index-log".to_owned())
            .spawn(move || carry(&carrier, &woken, &busy))
            .map_err(|error| IndexError::Io(error.kind()))?;
        Ok(Self { shared, wake: Some(wake), thread: Some(thread), next_at: LOG_PAGES })
    }

    /// What is to be done after a commit.
    pub fn tend(&mut self, writer: &Connection) {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        if pages < LOG_PAGES {
            // it has begun anew
            self.next_at = LOG_PAGES;
        }
        match self.shared.turn.load(Ordering::Acquire) {
            CARRIED => {
                carry_once(writer);
                // where a reader holds on to an older state it does not begin anew, but grows: not at every commit again
                self.next_at = pages.saturating_add(LOG_PAGES);
                self.shared.turn.store(IDLE, Ordering::Release);
            }
            IDLE if pages >= self.next_at => self.ask(),
            _ => {}
        }
    }

    /// Has it carried over soon, however short it is.
    pub fn ask(&self) {
        let begun = self.shared.turn.compare_exchange(IDLE, CARRYING, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() && self.wake.as_ref().is_none_or(|wake| wake.try_send(()).is_err()) {
            self.shared.turn.store(CARRIED, Ordering::Release);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.wake.take();
        if let Some(thread) = self.thread.take() {
            // one that panicked has nothing left to close
            let _ = thread.join();
        }
    }
}

fn carry(carrier: &Connection, woken: &Receiver<()>, shared: &Shared) {
    while woken.recv().is_ok() {
        carry_once(carrier);
        shared.turn.store(CARRIED, Ordering::Release);
    }
}

/// As far as readers allow. What fails leaves the log as long as it is, and is tried again.
fn carry_once(connection: &Connection) {
    if let Err(error) = connection.execute_batch(CARRY) {
        tracing::warn!(error = %at("carry the log over")(error), "the log of the index could not be carried over");
    }
}

/// Carries the write-ahead log over into the file and cuts it to nothing; waits for readers.
pub(super) fn empty_log(connection: &Connection) -> Result<(), IndexError> {
    let is_busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_err(at("empty the log"))?;
    if is_busy == 0 {
        return Ok(());
    }
    Err(IndexError::Database { statement: "empty the log", code: rusqlite::ffi::SQLITE_BUSY })
}
