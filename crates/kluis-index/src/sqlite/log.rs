//! The write-ahead log is carried over into the file beside the writer.
//!
//! Thousands of pages and two syncs took the connection that writes 30 ms each time, and all senders waited. Now a thread
//! with a connection of its own carries over what there is; the writer then only carries over what came meanwhile, since
//! the log begins anew only where nothing of it is left.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::connection::{LOG_PAGES, Profile, at, open_carrier};
use crate::IndexError;

const CARRY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The log is looked at again after so many pages where a reader held on to a part of it.
const RETRY_PAGES: u32 = LOG_PAGES / 8;

/// Whose turn it is to write to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody's.
    Idle,
    /// The thread is at it.
    Carrying,
    /// It has ended: what is left is for the writer.
    Carried,
    /// Nobody may, as somebody looks at the file.
    Still,
}

/// The log of one database, as its writer sees it.
pub(super) struct Log {
    shared: Arc<Shared>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Length at which it is carried over next.
    next_at: u32,
}

struct Shared {
    /// Length of the log in pages, as of the last commit.
    pages: AtomicU32,
    turn: Mutex<Turn>,
    /// Told when the thread has ended its turn.
    carried: Condvar,
}

/// While it is held, all that was committed before stands in the file, and nobody writes to that.
pub(super) struct Still(Arc<Shared>);

impl Log {
    /// Takes over from the engine, which would carry over within a commit. Blocks.
    pub fn start(writer: &mut Connection, path: &Path, key: &[u8; 32], profile: Profile) -> Result<Self, IndexError> {
        let carrier = open_carrier(path, key, profile)?;
        let shared =
            Arc::new(Shared { pages: AtomicU32::new(0), turn: Mutex::new(Turn::Idle), carried: Condvar::new() });
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
        let turn = *self.shared.turn();
        match turn {
            Turn::Carried => {
                let is_whole = carry_once(writer);
                // where a reader holds on to an older state it does not begin anew, but grows: not at every commit again
                self.next_at = pages.saturating_add(if is_whole { LOG_PAGES } else { RETRY_PAGES });
                *self.shared.turn() = Turn::Idle;
            }
            Turn::Idle if pages >= self.next_at => self.ask(),
            _ => {}
        }
    }

    /// Has it carried over soon, however short it is.
    pub fn ask(&self) {
        let mut turn = self.shared.turn();
        if *turn == Turn::Idle {
            let is_asked = self.wake.as_ref().is_some_and(|wake| wake.try_send(()).is_ok());
            *turn = if is_asked { Turn::Carrying } else { Turn::Carried };
        }
    }

    /// Waits for the thread, carries over all there is and lets nobody go on with it. Takes as long as the longest read
    /// that is under way.
    ///
    /// # Errors
    /// A read goes on for longer than the engine waits, or somebody else holds the file still.
    pub fn hold_still(&self, writer: &Connection) -> Result<Still, IndexError> {
        let turn = self.shared.turn();
        let mut turn = self
            .shared
            .carried
            .wait_while(turn, |turn| *turn == Turn::Carrying)
            .unwrap_or_else(PoisonError::into_inner);
        if *turn == Turn::Still {
            return Err(IndexError::Busy);
        }
        empty_log(writer)?;
        *turn = Turn::Still;
        drop(turn);
        Ok(Still(Arc::clone(&self.shared)))
    }
}

impl Shared {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        // a panic elsewhere leaves it as it was
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        *self.0.turn() = Turn::Idle;
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
        *shared.turn() = Turn::Carried;
        shared.carried.notify_all();
    }
}

/// As far as readers allow; whether that is all. What fails leaves the log as long as it is, and is tried again.
fn carry_once(connection: &Connection) -> bool {
    match connection.query_row(CARRY, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))) {
        Ok((pages, carried)) => pages == carried,
        Err(error) => {
            tracing::warn!(error = %at("carry the log over")(error), "the log of the index could not be carried over");
            false
        }
    }
}

/// Carries the write-ahead log over into the file and cuts it to nothing; waits for readers.
pub(super) fn empty_log(connection: &Connection) -> Result<(), IndexError> {
    let is_busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map_err(at("empty the log"))?;
    if is_busy == 0 { Ok(()) } else { Err(IndexError::Busy) }
}
