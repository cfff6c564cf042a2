//! What the node does by itself: signs checkpoints, closes tallies, seals quiet series, takes watermarks, drops what has
//! ended from the directory.

use std::{sync::Arc, time::Duration};

use kluis_index::Watermark;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{Archive, ArchiveError, Inner};

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
                archive.inner.checkpoint().await
            }),
            every(TALLIES_EVERY, "tallies", archive.clone(), stopped.clone(), |archive| async move {
                archive.inner.trail.flush(false)
            }),
            every(WATERMARK_EVERY, "watermark", archive.clone(), stopped.clone(), |archive| async move {
                archive.inner.take_watermark().await
            }),
            every(PURGE_EVERY, "purge", archive.clone(), stopped.clone(), |archive| async move {
                archive.purge_directory().await.map(|_| ())
            }),
            every(seal_every, "seal", archive.clone(), stopped, |archive| async move {
                archive.seal_quiet().await.map(|_| ())
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

fn every<F, Work>(
    period: Duration,
    what: &'static str,
    archive: Archive,
    mut stopped: watch::Receiver<bool>,
    work: F,
) -> JoinHandle<()>
where
    F: Fn(Archive) -> Work + Send + 'static,
    Work: Future<Output = Result<(), ArchiveError>> + Send,
{
    tokio::spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => return,
            }
            if let Err(error) = work(archive.clone()).await {
                tracing::error!(what, error = %crate::error::chain(&error), "background work failed; it is tried again");
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
            self.append_leaves(Vec::new())?;
            (self.vault.position().await?, self.objects.size(), self.audit.size())
        };
        let objects = Arc::clone(&self.objects);
        let audit = Arc::clone(&self.audit);
        tokio::task::spawn_blocking(move || -> Result<(), ArchiveError> {
            objects.sync()?;
            audit.sync()?;
            Ok(())
        })
        .await
        .map_err(|_| ArchiveError::Stopped)??;
        let watermark = Watermark { pack: position.pack, offset: position.offset, objects_size, audit_size };
        if self.index.watermark().await? != Some(watermark) {
            self.index.set_watermark(watermark).await?;
            self.index.checkpoint().await?;
        }
        Ok(())
    }
}
