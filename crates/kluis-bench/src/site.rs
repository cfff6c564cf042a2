//! Where and how it is measured: the folder, the programs, rounds, quiet.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{
    peers::{Server, System, dcmtk::StoreScp, kluis::Kluis, nginx::Nginx, orthanc::Orthanc},
    usage,
};

/// Name of our system in all tables.
pub const KLUIS: &str = "Kluis";
/// Name of the build without encryption and ledger.
pub const KLUIS_BARE: &str = "Kluis (bare)";
/// Orthanc as the bounds take it.
pub const ORTHANC: &str = "Orthanc (TCP_NODELAY=1)";
/// Orthanc as its package starts it.
pub const ORTHANC_PLAIN: &str = "Orthanc (plain)";
/// DCMTK's archive.
pub const DCMQRSCP: &str = "dcmqrscp (TCP_NODELAY=1)";
/// nginx with prepared answers.
pub const NGINX: &str = "nginx";
/// Seals soon, so that the cases about sealed series need not wait for minutes.
const SEALING: &str = "[seal]\nquiet_s = 1\n";
/// What a node tells by itself.
pub const QUIETLY: &str = "info";
/// Tells how long the stages of each store took.
const BY_STAGE: &str = "info,kluis_archive::stages=debug";
/// Folders of runs begin so, and end with the process.
const RUN: &str = "run-";
/// A machine on which others use more than this is not quiet.
const QUIET_CORES: f64 = 0.3;

/// The set-up of a whole run.
#[derive(Debug)]
pub struct Site {
    /// How often each is measured.
    pub rounds: usize,
    /// Length of runs that are measured by time.
    pub seconds: u64,
    folder: PathBuf,
    results: PathBuf,
    kluis: PathBuf,
    bare: Option<PathBuf>,
    is_quick: bool,
    quiet_left: Cell<Duration>,
    runs: Cell<u64>,
    kept: RefCell<Vec<PathBuf>>,
}

/// What the command line says about it.
#[derive(Debug)]
pub struct Plan {
    /// Folder on the disk that is measured.
    pub folder: PathBuf,
    /// Our program.
    pub kluis: PathBuf,
    /// The same without encryption and ledger.
    pub bare: Option<PathBuf>,
    /// Rounds.
    pub rounds: usize,
    /// Less of everything.
    pub is_quick: bool,
    /// How long the whole run may wait for a quiet machine.
    pub quiet_wait: Duration,
}

impl Site {
    /// Prepares the folder.
    pub fn new(plan: Plan) -> Result<Self> {
        std::fs::create_dir_all(&plan.folder).context("the folder cannot be made")?;
        let results = plan.folder.canonicalize()?;
        clean(&results);
        let folder = results.join(format!("{RUN}{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        if !plan.kluis.is_file() {
            bail!("{} is missing", plan.kluis.display());
        }
        Ok(Self {
            rounds: plan.rounds,
            seconds: if plan.is_quick { 1 } else { 3 },
            folder,
            results,
            kluis: plan.kluis,
            bare: plan.bare.filter(|path| path.is_file()),
            is_quick: plan.is_quick,
            quiet_left: Cell::new(plan.quiet_wait),
            // UIDs of this run; equal in every run, as the folders are fresh
            runs: Cell::new(1),
            kept: RefCell::default(),
        })
    }

    /// A fresh folder on the disk that is measured.
    pub fn folder(&self, name: &str) -> Result<TempDir> {
        let start: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        Ok(tempfile::Builder::new().prefix(&format!("{start}-")).tempdir_in(&self.folder)?)
    }

    /// Removes a folder, or keeps it where something failed in it: the first two.
    pub fn keep_or_drop(&self, folder: TempDir, has_failed: bool) {
        let mut kept = self.kept.borrow_mut();
        if has_failed && kept.len() < 2 {
            let path = folder.keep();
            eprintln!("kept for a look: {}", path.display());
            kept.push(path);
        }
    }

    /// Where results are kept, beside the folders of runs.
    pub fn place(&self) -> &Path {
        &self.results
    }

    /// The program that is measured.
    pub fn program(&self) -> &Path {
        &self.kluis
    }

    /// Associations, connections or jobs at once.
    pub fn parallel(&self) -> [usize; 3] {
        [1, 4, 8]
    }

    /// Fewer where it has to be quick.
    pub fn fewer(&self, count: usize) -> usize {
        if self.is_quick { count.div_ceil(4) } else { count }
    }

    /// A number that no other run has, for its UIDs.
    pub fn next_run(&self) -> u64 {
        self.runs.set(self.runs.get().wrapping_add(1));
        self.runs.get()
    }

    /// Waits until nothing is on its way to the disk and others are quiet, within what may be waited in all.
    pub fn settle(&self) {
        self.sync();
        let left = self.quiet_left.get();
        let waited = usage::wait_for_quiet(QUIET_CORES, left.min(Duration::from_secs(10)));
        self.quiet_left.set(left.saturating_sub(waited));
    }

    /// Writes out what the file system of the folder holds back.
    pub fn sync(&self) {
        // only for steadier figures: a machine without `sync -f` measures as well
        let _ = Command::new("sync").arg("-f").arg(&self.folder).status();
    }

    /// Kluis with everything on.
    pub fn kluis(&self) -> System<'_> {
        let binary = &self.kluis;
        System { name: KLUIS, start: Box::new(move |folder| boxed(Kluis::start(binary, folder, "", QUIETLY)?)) }
    }

    /// The same, telling in its log how long the stages of each store took.
    pub fn kluis_by_stage(&self) -> System<'_> {
        let binary = &self.kluis;
        System { name: KLUIS, start: Box::new(move |folder| boxed(Kluis::start(binary, folder, "", BY_STAGE)?)) }
    }

    /// The same, sealing series after a second.
    pub fn kluis_sealing(&self) -> System<'_> {
        let binary = &self.kluis;
        System { name: KLUIS, start: Box::new(move |folder| boxed(Kluis::start(binary, folder, SEALING, QUIETLY)?)) }
    }

    /// nginx; its files are put there by the case.
    pub fn nginx(&self) -> System<'_> {
        System { name: NGINX, start: Box::new(|folder| boxed(Nginx::start(folder)?)) }
    }

    /// Kluis without encryption and ledger, where it was built.
    pub fn kluis_bare(&self) -> Option<System<'_>> {
        let binary = self.bare.as_ref()?;
        Some(System {
            name: KLUIS_BARE,
            start: Box::new(move |folder| boxed(Kluis::start(binary, folder, "", QUIETLY)?)),
        })
    }

    /// Orthanc in its defaults, with or without TCP_NODELAY=1.
    pub fn orthanc(&self, is_prompt: bool) -> System<'_> {
        let name = if is_prompt { ORTHANC } else { ORTHANC_PLAIN };
        System { name, start: Box::new(move |folder| boxed(Orthanc::start(folder, is_prompt)?)) }
    }

    /// DCMTK's receiver of files, with or without TCP_NODELAY=1.
    pub fn storescp(&self, is_prompt: bool) -> System<'_> {
        let name = if is_prompt { "storescp (TCP_NODELAY=1)" } else { "storescp (plain)" };
        System { name, start: Box::new(move |folder| boxed(StoreScp::start(folder, is_prompt)?)) }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // not where something is kept for a look
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Removes what runs left behind that were broken off, or kept for a look.
fn clean(results: &Path) {
    for entry in std::fs::read_dir(results).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_over = name.strip_prefix(RUN).is_some_and(|id| !Path::new("/proc").join(id).exists());
        if is_over {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn boxed(server: impl Server + 'static) -> Result<Box<dyn Server>> {
    Ok(Box::new(server))
}
