//! The load: many senders that store study after study through the gate, while the janitor works as in a node.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use kluis_archive::{Archive, Expected, Incoming, Janitor, act};
use kluis_dicom::{Uid, part10::Source};
use kluis_policy::{Principal, Transport};
use kluis_testkit::part10::EXPLICIT_VR_LITTLE_ENDIAN;
use serde::{Deserialize, Serialize};

use crate::{figures, population, site};

/// What to load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The data directory.
    pub dir: PathBuf,
    /// Seed of the studies.
    pub seed: u64,
    /// Studies that shall be there in the end.
    pub studies: u64,
    /// Senders at the same time, each with one object under way.
    pub senders: usize,
    /// Instances between two lines of figures.
    pub report_every: u64,
    /// A series is sealed after so long.
    pub seal_after: Duration,
    /// The load ends after so long, wherever it is.
    pub stop_after: Duration,
    /// Images instead of headers, for the rate; how far the load has come is then neither read nor kept.
    pub images: Option<Images>,
}

/// Studies of one series of images.
#[derive(Debug, Clone, Copy)]
pub struct Images {
    /// Images of a study.
    pub slices: u32,
    /// Bytes of the pixels of each.
    pub pixels: usize,
}

/// How far a load has come; kept in the directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Seed of the studies.
    pub seed: u64,
    /// All studies below this number are stored.
    pub studies: u64,
    /// Instances of them.
    pub instances: u64,
}

impl Progress {
    /// Reads how far the load of the directory has come.
    ///
    /// # Errors
    /// Where the file is not as it was written.
    pub fn read(dir: &Path) -> Result<Self> {
        match fs::read(dir.join("scale.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("scale.json is not ours"),
            Err(_) => Ok(Self::default()),
        }
    }

    fn write(self, dir: &Path) -> Result<()> {
        Ok(fs::write(dir.join("scale.json"), serde_json::to_vec(&self)?)?)
    }
}

/// What the senders share.
struct Senders {
    archive: Archive,
    principal: Principal,
    plan: Plan,
    next: AtomicU64,
    done: Mutex<Done>,
    stored: AtomicU64,
    is_stopped: AtomicBool,
}

/// Studies that are through.
struct Done {
    /// All below are.
    below: u64,
    instances: u64,
    /// Those above, with their instances.
    ahead: BTreeSet<(u64, u64)>,
}

impl Done {
    fn add(&mut self, study: u64, instances: u64) {
        self.ahead.insert((study, instances));
        while let Some((first, count)) = self.ahead.first().copied()
            && first == self.below
        {
            self.ahead.pop_first();
            self.below += 1;
            self.instances += count;
        }
    }
}

/// Loads, and prints a line of figures per so many instances.
///
/// # Errors
/// The first object that the archive did not take.
pub async fn run(plan: Plan) -> Result<Progress> {
    let before = if plan.images.is_some() { Progress::default() } else { Progress::read(&plan.dir)? };
    let begun = Instant::now();
    let (archive, replayed) = site::open(&plan.dir, plan.seal_after).await?;
    println!("opened in {:.0} ms, {replayed:?}", begun.elapsed().as_secs_f64() * 1e3);
    let janitor = Janitor::start(&archive);
    let senders = Arc::new(Senders {
        archive: archive.clone(),
        principal: site::device(),
        next: AtomicU64::new(before.studies),
        done: Mutex::new(Done { below: before.studies, instances: before.instances, ahead: BTreeSet::new() }),
        stored: AtomicU64::new(0),
        is_stopped: AtomicBool::new(false),
        plan,
    });
    let tasks: Vec<_> = (0..senders.plan.senders).map(|_| tokio::spawn(send(Arc::clone(&senders)))).collect();
    watch(&senders, begun, &tasks).await?;
    for task in tasks {
        task.await??;
    }
    let progress = senders.progress();
    senders.keep(progress)?;
    drop(senders);
    janitor.stop().await?;
    archive.close().await?;
    Ok(progress)
}

/// Prints figures until all senders are through.
async fn watch(senders: &Senders, begun: Instant, tasks: &[tokio::task::JoinHandle<Result<()>>]) -> Result<()> {
    println!(
        "{:>10} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7}",
        "instances", "per s", "cpu ms", "wr KiB", "index", "log", "keys", "packs", "ledger", "resident", "s"
    );
    let (mut last, mut last_time, mut last_cpu) = (0, begun, figures::processor());
    let mut writes = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        if begun.elapsed() > senders.plan.stop_after {
            senders.is_stopped.store(true, Ordering::Relaxed);
        }
        let stored = senders.stored.load(Ordering::Relaxed);
        let is_over = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        if stored - last >= senders.plan.report_every || (is_over && stored > last) {
            let (now, cpu) = (Instant::now(), figures::processor());
            #[allow(clippy::cast_precision_loss)]
            let count = (stored - last) as f64;
            let sizes = figures::sizes(&senders.plan.dir);
            let written = figures::written();
            let progress = senders.progress();
            senders.keep(progress)?;
            println!(
                "{:>10} {:>8.0} {:>7.3} {:>8.1} {:>8} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7.0}",
                progress.instances,
                count / (now - last_time).as_secs_f64(),
                (cpu - last_cpu).as_secs_f64() * 1e3 / count,
                written.saturating_sub(writes) as f64 / count / 1024.0,
                sizes.index >> 20,
                sizes.index_log >> 20,
                sizes.keys >> 20,
                sizes.packs >> 20,
                sizes.ledger >> 20,
                figures::memory("self").0 >> 20,
                begun.elapsed().as_secs_f64()
            );
            (last, last_time, last_cpu, writes) = (stored, now, cpu, written);
        }
        if is_over {
            return Ok(());
        }
    }
}

async fn send(senders: Arc<Senders>) -> Result<()> {
    let outcome = send_studies(&senders).await;
    if outcome.is_err() {
        senders.is_stopped.store(true, Ordering::Relaxed);
    }
    outcome
}

async fn send_studies(senders: &Senders) -> Result<()> {
    let transfer_syntax: Uid = EXPLICIT_VR_LITTLE_ENDIAN.parse()?;
    loop {
        let number = senders.next.fetch_add(1, Ordering::Relaxed);
        if number >= senders.plan.studies || senders.is_stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let study = population::study(senders.plan.seed, number);
        let study = match senders.plan.images {
            Some(Images { slices, pixels }) => study.with_images(slices, pixels),
            None => study,
        };
        for data_set in study.data_sets() {
            let permit = senders.archive.admit(&senders.principal, site::ORIGIN, act::Store { study: None }).await?;
            let incoming = Incoming {
                source: Source::DataSet { transfer_syntax: transfer_syntax.clone() },
                expected: Expected::default(),
                transport: Transport::DimseTls,
            };
            let mut stream = senders.archive.begin_store(permit, incoming);
            stream.write(&data_set).await?;
            stream.finish().await?;
            senders.stored.fetch_add(1, Ordering::Relaxed);
        }
        senders.done.lock().unwrap_or_else(PoisonError::into_inner).add(number, study.instances());
    }
}

impl Senders {
    fn keep(&self, progress: Progress) -> Result<()> {
        if self.plan.images.is_some() { Ok(()) } else { progress.write(&self.plan.dir) }
    }

    fn progress(&self) -> Progress {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        Progress { seed: self.plan.seed, studies: done.below, instances: done.instances }
    }
}
