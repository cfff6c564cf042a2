//! The kill switch: a file in the folder of the scan, a signal, or the scope's own hours end everything at once.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Name of the file that ends a run; whoever can write to the folder can make it.
pub const STOP_FILE: &str = "STOP";

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Why a run ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StopReason {
    /// The file is there.
    File,
    /// The process was asked to end.
    Signal,
    /// The window closed, or quiet hours began.
    Hours,
    /// The scope is no longer valid.
    Expired,
    /// The log of probes takes nothing more; nothing is sent that is not in it.
    Log,
    /// A fault of the inspector itself: a host could not be looked at to its end.
    Fault,
}

/// Ends a run. Clones end the same one.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<StopReason>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Ends the run; the first reason counts.
    pub fn now(&self, reason: StopReason) {
        self.0.send_if_modified(|held| {
            let is_first = held.is_none();
            *held = held.or(Some(reason));
            is_first
        });
    }

    /// Why the run ended, if it did.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Waits until the run is ended.
    pub async fn wait(&self) {
        // the sender lives as long as this: an error cannot come
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Looks for the file until the run is ended.
    pub async fn watch(&self, file: PathBuf) {
        while self.reason().is_none() {
            if tokio::fs::try_exists(&file).await.unwrap_or(false) {
                self.now(StopReason::File);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
