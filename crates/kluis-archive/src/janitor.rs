//! What the node does by itself: signs checkpoints, closes tallies, seals quiet series, takes watermarks, drops what has
//! ended from the directory.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use kluis_index::{Reached, Watermark};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{Archive, ArchiveError, Inner, remembered::Remembered, seal::ROUND};

/// Checkpoints are at most so far apart.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Tallies are looked at so often.
const TALLIES_EVERY: Duration = Duration::from_secs(5);

/// Watermarks are so far apart: the work that a crash leaves to replay.
const WATERMARK_EVERY: Duration = Duration::from_secs(20);

/// Sessions, tokens and codes that ended are dropped so often.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Quiet series are looked for so often at most.
const SEAL_EVERY: Duration = Duration::from_secs(15);

/// The running background work of an archive.
pub struct Janitor {
    archive: Archive,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Janitor {
    /// Starts it.
    #[must_use]
    pub fn start(archive: &Archive) -> Self {
        let (stop, stopped) = watch::channel(false);
        let seal_every = SEAL_EVERY.min(archive.inner.settings.seal_after.max(Duration::from_millis(200)));
        let tasks = vec![
            every(CHECKPOINT_EVERY, "checkpoint", archive.clone(), stopped.clone(), |archive| async move {
                archive.inner.checkpoint().await.map(|()| Then::Wait)
            }),
            every(TALLIES_EVERY, "tallies", archive.clone(), stopped.clone(), |archive| async move {
                archive.inner.trail.flush(false).map(|()| Then::Wait)
            }),
            every(WATERMARK_EVERY, "watermark", archive.clone(), stopped.clone(), |archive| async move {
                archive.inner.take_watermark().await.map(|()| Then::Wait)
            }),
            every(PURGE_EVERY, "purge", archive.clone(), stopped.clone(), |archive| async move {
                archive.purge_directory().await.map(|_| Then::Wait)
            }),
            every(seal_every, "seal", archive.clone(), stopped, |archive| async move {
                let is_full = archive.seal_quiet().await? >= ROUND;
                Ok(if is_full { Then::GoOn } else { Then::Wait })
            }),
        ];
        Self { archive: archive.clone(), stop, tasks }
    }

    /// Ends the work: closes all tallies, takes a last watermark and signs the last checkpoints.
    ///
    /// # Errors
    /// [`ArchiveError`] where that could not be written; a replay makes good for it at the next start.
    pub async fn stop(self) -> Result<(), ArchiveError> {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        self.archive.settle().await
    }
}

impl Archive {
    /// Drops sessions, tokens and codes that have ended. Returns how many.
    ///
    /// # Errors
    /// [`ArchiveError::Directory`].
    pub async fn purge_directory(&self) -> Result<u64, ArchiveError> {
        Ok(self.inner.registrar.purge(self.inner.clock.now()).await?)
    }

    /// Closes the tallies, takes a watermark and signs checkpoints.
    ///
    /// # Errors
    /// [`ArchiveError`] where that could not be written.
    pub async fn settle(&self) -> Result<(), ArchiveError> {
        self.inner.trail.flush(true)?;
        self.inner.take_watermark().await?;
        self.inner.checkpoint().await
    }
}

/// What background work does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It waits for its time.
    Wait,
    /// There is more to do at once.
    GoOn,
}

fn every<F, Work>(
    period: Duration,
    what: &'static str,
    archive: Archive,
    mut stopped: watch::Receiver<bool>,
    work: F,
) -> JoinHandle<()>
where
    F: Fn(Archive) -> Work + Send + 'static,
    Work: Future<Output = Result<Then, ArchiveError>> + Send,
{
    tokio::spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => return,
            }
            while !*stopped.borrow() {
                match work(archive.clone()).await {
                    Ok(Then::GoOn) => {}
                    Ok(Then::Wait) => break,
                    Err(error) => {
                        let error = crate::error::chain(&error);
                        tracing::error!(what, %error, "background work failed; it is tried again");
                        break;
                    }
                }
            }
        }
    })
}

impl Inner {
    /// Syncs and signs both logs, where they have grown.
    pub(crate) async fn checkpoint(&self) -> Result<(), ArchiveError> {
        let objects = Arc::clone(&self.objects);
        let audit = Arc::clone(&self.audit);
        tokio::task::spawn_blocking(move || -> Result<(), ArchiveError> {
            objects.checkpoint()?;
            audit.checkpoint()?;
            Ok(())
        })
        .await
        .map_err(|_| ArchiveError::Stopped)?
    }

    /// Stores up to where the packs are in index and ledger, after both were synced.
    pub(crate) async fn take_watermark(&self) -> Result<(), ArchiveError> {
        let _turn = self.marking.lock().await;
        if !self.rolled_back.is_empty() {
            // the old one is the evidence
            return Ok(());
        }
        let (position, objects_size, audit_size) = {
            let _quiet = self.ingest.write().await;
            if !self.settle_owed().await? || self.is_rebuilding.load(Ordering::Acquire) {
                // what only a replay finds must stay in front of the watermark
                return Ok(());
            }
            (self.vault.position().await?, self.objects.size(), self.audit.size())
        };
        let objects = Arc::clone(&self.objects);
        let audit = Arc::clone(&self.audit);
        let heads = tokio::task::spawn_blocking(move || -> Result<_, ArchiveError> {
            objects.sync()?;
            audit.sync()?;
            Ok(((objects_size, objects.root(objects_size)?), (audit_size, audit.root(audit_size)?)))
        });
        let (objects_head, audit_head) = heads.await.map_err(|_| ArchiveError::Stopped)??;
        let watermark = Watermark { pack: position.pack, offset: position.offset, objects_size, audit_size };
        if self.index.watermark().await? != Some(watermark) {
            self.index.set_watermark(watermark).await?;
            self.index.checkpoint().await?;
            // no replay comes back to these
            self.outbox.forget(Reached { pack: position.pack, offset: position.offset }).await?;
            let keys = Arc::clone(&self.keys);
            // the logs are durable up to here: what is remembered of them never runs ahead
            let remembering = tokio::task::spawn_blocking(move || {
                let mut remembered = Remembered::read(&keys)?.unwrap_or_default();
                remembered.add(objects_head, audit_head);
                remembered.write(&keys)
            });
            remembering.await.map_err(|_| ArchiveError::Stopped)??;
        }
        Ok(())
    }
}
