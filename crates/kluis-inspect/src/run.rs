//! A run: every host of a scope, within the guard rails, into a folder. What is done stands there at once, so that a run that
//! was stopped goes on where it was.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kluis_ledger::VerifierKey;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    InspectError, clock,
    guard::Guard,
    host::{self, Inspected, Target},
    journal::Journal,
    limits,
    scan::{Asset, Coverage, Probes, SCHEMA, Scan, ScopeSummary},
    scope::{Host, Scope, ScopeError, parse_host, read_bounded},
    stop::{STOP_FILE, Stop},
};

/// The result.
pub const SCAN_FILE: &str = "scan.json";
/// One line for each host that is done.
const HOSTS_FILE: &str = "hosts.jsonl";
/// Which scope, and since when.
const RUN_FILE: &str = "run.json";
/// How often the log of probes is made durable and signed.
const CHECKPOINT: Duration = Duration::from_secs(1);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scope file; its note stands beside it.
    pub scope: PathBuf,
    /// The key that is trusted; the one beside the scope where there is none.
    pub key: Option<VerifierKey>,
    /// Where everything is written.
    pub out: PathBuf,
    /// Only this host of the scope.
    pub only: Option<String>,
    /// Only this port.
    pub port: Option<u16>,
}

/// Something that a person who waits wants to see.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// It begins: so many hosts are to be looked at, so many of them were before.
    Begun {
        /// All.
        hosts: u64,
        /// Done before.
        done: u64,
    },
    /// A host is done.
    Done {
        /// Name or address.
        host: String,
        /// What was found there, in short.
        assets: Vec<Asset>,
        /// Addresses of it that were refused.
        refused: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct RunFile {
    scope: String,
    #[serde(with = "time::serde::rfc3339")]
    begun: OffsetDateTime,
}

/// One line of [`HOSTS_FILE`].
#[derive(Debug, Serialize, Deserialize)]
struct HostLine {
    host: String,
    #[serde(default)]
    refused: u64,
    assets: Vec<Asset>,
}

/// Runs to the end or until it is stopped; the scan stands in the folder then.
///
/// # Errors
/// [`InspectError`]: before anything is sent, or when the folder takes no more.
pub async fn run(options: &Options, stop: Stop, events: mpsc::Sender<Event>) -> Result<Scan, InspectError> {
    let now = clock::now();
    let scope = Scope::open(&options.scope, options.key.as_ref(), now)?;
    require_named(&scope, options)?;
    let folder = Folder::open(&options.out, &scope, now)?;
    let journal = Journal::open(&options.out, &scope)?;
    journal.begin(now, scope.signer())?;
    let guard = Arc::new(Guard::new(scope, journal, stop.clone()));
    let done = folder.done()?;
    let total = if options.only.is_some() { 1 } else { guard.scope().hosts_count() };
    let _ = events.try_send(Event::Begun { hosts: total, done: u64::try_from(done.len()).unwrap_or(u64::MAX) });
    let mut beside = JoinSet::new();
    let switch = stop.clone();
    let file = options.out.join(STOP_FILE);
    beside.spawn(async move { switch.watch(file).await });
    beside.spawn(checkpoints(Arc::clone(&guard)));
    let walked = walk(&guard, options, &folder, done, &events).await;
    beside.shutdown().await;
    walked?;
    let outcome = stop.reason().map_or_else(|| "done".to_owned(), |reason| format!("stopped: {reason:?}"));
    guard.journal().end(clock::now(), &outcome)?;
    let checkpoint = guard.journal().checkpoint()?;
    let key = read_bounded(&Journal::verifier_key_path(&options.out), limits::NOTE_BYTES)?;
    let probes = Probes {
        size: checkpoint.size,
        checkpoint: checkpoint.note.clone(),
        key: String::from_utf8_lossy(&key).trim().to_owned(),
    };
    folder.finish(guard.scope(), stop, probes)
}

/// Signs the log every second.
async fn checkpoints(guard: Arc<Guard>) {
    loop {
        tokio::time::sleep(CHECKPOINT).await;
        let guard = Arc::clone(&guard);
        let written = tokio::task::spawn_blocking(move || {
            guard.journal().checkpoint().map(drop).inspect_err(|_| guard.stop().now(crate::stop::StopReason::Log))
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Looks at the hosts, as many at one time as the pace has work for.
async fn walk(
    guard: &Arc<Guard>,
    options: &Options,
    folder: &Folder,
    done: BTreeSet<String>,
    events: &mpsc::Sender<Event>,
) -> Result<(), InspectError> {
    let rate = usize::try_from(guard.scope().file().care.connects_per_s).unwrap_or(1);
    let most = rate.saturating_mul(5).saturating_add(4).min(limits::HOSTS_AT_ONCE);
    let mut lines = folder.lines()?;
    let mut under_way: JoinSet<(Target, Inspected)> = JoinSet::new();
    let mut hosts = guard.scope().hosts().filter(|host| is_wanted(*host, options.only.as_deref()));
    loop {
        while under_way.len() < most && guard.stop().reason().is_none() {
            let Some(host) = hosts.next() else { break };
            let target = Target::new(guard, host, options.port);
            if done.contains(&target.label) {
                continue;
            }
            let guard = Arc::clone(guard);
            under_way.spawn(async move {
                let inspected = host::inspect(&guard, &target).await;
                (target, inspected)
            });
        }
        let Some(joined) = under_way.join_next().await else { return Ok(()) };
        // a task that panicked has found a fault of ours: what is missing must not look as if it were not there
        let Ok((target, inspected)) = joined else {
            guard.stop().now(crate::stop::StopReason::Fault);
            continue;
        };
        if inspected.is_stopped {
            continue;
        }
        let Inspected { assets, refused, .. } = inspected;
        lines.write(&HostLine { host: target.label.clone(), refused, assets: assets.clone() })?;
        let _ = events.try_send(Event::Done { host: target.label, assets, refused });
    }
}

/// A host or port that is asked for and that the scope does not name would be a run that looks at nothing.
fn require_named(scope: &Scope, options: &Options) -> Result<(), ScopeError> {
    if let Some(only) = &options.only
        && !scope.hosts().any(|host| is_wanted(host, Some(only)))
    {
        return Err(ScopeError::Outside(only.clone()));
    }
    if let Some(port) = options.port {
        let file = scope.file();
        let is_named = file.ports.contains(&port) || file.hosts.iter().any(|host| host.ports.contains(&port));
        if !is_named {
            return Err(ScopeError::Outside(format!("port {port}")));
        }
    }
    Ok(())
}

/// Whether a host is the one that is asked for.
fn is_wanted(host: Host<'_>, only: Option<&str>) -> bool {
    let Some(only) = only else { return true };
    match host {
        Host::Named(_, name) => name == only || (parse_host(name).is_some() && parse_host(name) == parse_host(only)),
        Host::Address(address) => parse_host(only) == Some(address),
    }
}

/// The folder of a scan.
struct Folder {
    path: PathBuf,
    begun: OffsetDateTime,
}

impl Folder {
    fn open(path: &Path, scope: &Scope, now: OffsetDateTime) -> Result<Self, InspectError> {
        let failed = |act| move |source| InspectError::File { act, path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make"))?;
        let taken = || InspectError::Folder { path: path.to_owned() };
        let file = path.join(RUN_FILE);
        let begun = if file.exists() {
            let held: RunFile = read_json(&file, "file of a run")?;
            if held.scope != scope.digest() {
                return Err(taken());
            }
            held.begun
        } else {
            write_json(&file, &RunFile { scope: scope.digest().to_owned(), begun: now })?;
            now
        };
        let scan = path.join(SCAN_FILE);
        if scan.exists() && Scan::read(&scan)?.stopped.is_none() {
            return Err(taken());
        }
        // what stopped the run before shall not stop this one
        let _ = fs::remove_file(path.join(STOP_FILE));
        Ok(Self { path: path.to_owned(), begun })
    }

    /// Hosts that are done. A last line that is torn was not finished.
    fn done(&self) -> Result<BTreeSet<String>, InspectError> {
        let mut done = BTreeSet::new();
        self.each_line(|line| {
            done.insert(line.host);
        })?;
        Ok(done)
    }

    fn each_line(&self, mut take: impl FnMut(HostLine)) -> Result<(), InspectError> {
        let path = self.path.join(HOSTS_FILE);
        if !path.exists() {
            return Ok(());
        }
        let failed = |source| InspectError::File { act: "read", path: path.clone(), source };
        let reader = BufReader::new(File::open(&path).map_err(failed)?);
        for line in reader.lines() {
            if let Ok(line) = serde_json::from_str(&line.map_err(failed)?) {
                take(line);
            }
        }
        Ok(())
    }

    fn lines(&self) -> Result<Lines, InspectError> {
        let path = self.path.join(HOSTS_FILE);
        let failed = |source| InspectError::File { act: "write", path: path.clone(), source };
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        // behind a torn line a new one begins
        file.write_all(b"\n").map_err(failed)?;
        Ok(Lines { file, path })
    }

    fn finish(&self, scope: &Scope, stop: Stop, probes: Probes) -> Result<Scan, InspectError> {
        let file = scope.file();
        let mut coverage = Coverage::default();
        let mut assets = Vec::new();
        self.each_line(|line| {
            coverage.hosts = coverage.hosts.saturating_add(1);
            coverage.refused = coverage.refused.saturating_add(line.refused);
            assets.extend(line.assets);
        })?;
        coverage.alive = u64::try_from(assets.len()).unwrap_or(u64::MAX);
        let spared = assets.iter().filter(|asset: &&Asset| asset.is_spared).count();
        coverage.spared = u64::try_from(spared).unwrap_or(u64::MAX);
        assets.sort_by(|a, b| b.grade.cmp(&a.grade).then_with(|| a.address.cmp(&b.address)));
        let scan = Scan {
            schema: SCHEMA.to_owned(),
            scope: ScopeSummary {
                owner: file.owner.clone(),
                contact: file.contact.clone(),
                authority: file.authority.clone(),
                digest: scope.digest().to_owned(),
                signer: scope.signer().to_owned(),
            },
            begun: self.begun,
            ended: clock::now(),
            stopped: stop.reason(),
            coverage,
            probes: Some(probes),
            assets,
        };
        write_json(&self.path.join(SCAN_FILE), &scan)?;
        Ok(scan)
    }
}

struct Lines {
    file: File,
    path: PathBuf,
}

impl Lines {
    fn write(&mut self, line: &HostLine) -> Result<(), InspectError> {
        let mut bytes = serde_json::to_vec(line).unwrap_or_default();
        bytes.push(b'\n');
        let failed = |source| InspectError::File { act: "write", path: self.path.clone(), source };
        self.file.write_all(&bytes).map_err(failed)
    }
}

impl Scan {
    /// Reads a scan file.
    ///
    /// # Errors
    /// [`InspectError`], also for another schema.
    pub fn read(path: &Path) -> Result<Self, InspectError> {
        let scan: Self = read_json(path, "scan of this version")?;
        if scan.schema == SCHEMA {
            Ok(scan)
        } else {
            Err(InspectError::Form { path: path.to_owned(), expected: "scan of this version" })
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, InspectError> {
    let bytes = read_bounded(path, limits::SCAN_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|_| InspectError::Form { path: path.to_owned(), expected })
}

/// Writes beside the file and moves it there: who reads it finds the old one or the new one.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), InspectError> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    write_file(path, &bytes)
}

/// The same for any bytes. Only the owner can read what was written.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), InspectError> {
    let failed = |source| InspectError::File { act: "write", path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&partial).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)
}
