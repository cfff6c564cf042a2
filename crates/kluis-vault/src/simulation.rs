//! A disk in memory that fails on command: for tests of the vault and of what stands above it.
//!
//! It keeps two states of every file and of the directory: what a program sees, and what a crash leaves. A sync carries
//! the first into the second; a crash keeps any part of what was not synced, page by page. A failed sync drops the pages
//! for good, as Linux does: a later sync succeeds without them.
//!
//! Every call has a number, over all folders of the disk, so that a test can have the n-th one fail, or the power go at
//! it. Stores that keep their files elsewhere take part in the count ([`Folder::pass`]).

mod folder;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use self::folder::Folder;
use crate::Storage;

const PAGE: usize = 4096;
const SECTOR: usize = 512;
const PATIENCE: Duration = Duration::from_secs(20);
/// The last calls that are remembered for a failing test to print.
const REMEMBERED: usize = 64;
/// In the place of a file for the name of a directory, which ends in `/`.
const DIRECTORY: usize = usize::MAX;

/// A file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// Listing the directory.
    List,
    /// Making a file.
    Create,
    /// Opening a file.
    Open,
    /// Reading from a file, or its length.
    Read,
    /// Writing to a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Cutting or extending a file.
    SetLength,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Syncing the directory.
    SyncDirectory,
    /// A call of a store that keeps its files elsewhere.
    Elsewhere,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails and does nothing.
    Error(io::ErrorKind),
    /// A write or a read takes half of the bytes and says so; nothing else goes wrong.
    Short,
    /// A write takes half of the bytes and then fails.
    Torn(io::ErrorKind),
}

/// The disk. Cheap to clone; clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    disk: Arc<Disk>,
}

#[derive(Default)]
struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: Vec<File>,
    calls: BTreeMap<Call, u64>,
    faults: Vec<(Call, u64, Fault)>,
    /// Calls of all kinds.
    total: u64,
    /// Of all kinds: the call with this number goes wrong.
    planned: Vec<(u64, Fault)>,
    /// At the call with this number the power goes.
    ends_at: Option<u64>,
    fired: u64,
    recent: VecDeque<(u64, Call, String, Option<Fault>)>,
    held: BTreeSet<Call>,
    room: Option<u64>,
    /// Counts crashes: what was mounted before one is dead.
    life: u64,
}

#[derive(Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: BTreeSet<usize>,
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as a program has it until the next crash: then every call fails, as if the program were gone.
    #[must_use]
    pub fn mount(&self) -> Arc<dyn Storage> {
        Arc::new(self.folder(""))
    }

    /// The same of one folder of it.
    #[must_use]
    pub fn folder(&self, name: &str) -> Folder {
        let root = Folder { disk: self.clone(), life: self.disk.state().life, prefix: String::new() };
        root.folder(name)
    }

    /// The call after the next `after` ones, of whatever kind, goes wrong, once.
    pub fn fail_call(&self, after: u64, fault: Fault) {
        let mut state = self.disk.state();
        let at = state.total.saturating_add(after);
        state.planned.push((at, fault));
    }

    /// The power goes at the call after the next `after` ones: a write may be half done, and from then on every call
    /// fails. What is left is known after [`SimulatedDisk::crash`].
    pub fn cut_power(&self, after: u64) {
        let mut state = self.disk.state();
        state.ends_at = Some(state.total.saturating_add(after));
    }

    /// Nothing goes wrong any more that has not gone wrong yet; the room is as large as ever. A power cut that has come
    /// stays.
    pub fn heal(&self) {
        let mut state = self.disk.state();
        state.planned.clear();
        state.faults.clear();
        state.ends_at = state.ends_at.filter(|at| state.total > *at);
        state.room = None;
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        let state = self.disk.state();
        state.ends_at.is_some_and(|at| state.total > at)
    }

    /// Whether nothing is to go wrong from here on.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let state = self.disk.state();
        state.planned.is_empty() && state.faults.is_empty() && state.ends_at.is_none() && state.room.is_none()
    }

    /// Calls of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.disk.state().total
    }

    /// How many calls went wrong.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.disk.state().fired
    }

    /// The last calls, one a line, for a test that fails.
    #[must_use]
    pub fn recent(&self) -> String {
        let state = self.disk.state();
        let lines = state.recent.iter().map(|(number, call, name, fault)| {
            let fault = fault.map(|fault| format!(" {fault:?}")).unwrap_or_default();
            format!("{number} {call:?} {name}{fault}\n")
        });
        lines.collect()
    }

    /// The call after the next `after` ones of its kind goes wrong, once.
    pub fn fail(&self, call: Call, after: u64, fault: Fault) {
        let mut state = self.disk.state();
        let at = state.count(call).saturating_add(after);
        state.faults.push((call, at, fault));
    }

    /// From now on the files may grow by no more than this in all; `None` for no bound.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.disk.state().room = bytes;
    }

    /// How often a call was begun.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.disk.state().count(call)
    }

    /// Holds all calls of a kind until what it returns is dropped.
    #[must_use]
    pub fn hold(&self, call: Call) -> Held {
        self.disk.state().held.insert(call);
        Held { disk: self.clone(), call }
    }

    /// Blocks until a call was begun so often, also when it is held. False where it was not within 20 seconds.
    #[must_use]
    pub fn wait_for(&self, call: Call, count: u64) -> bool {
        let waited =
            self.disk.changed.wait_timeout_while(self.disk.state(), PATIENCE, |state| state.count(call) < count);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.count(call) >= count
    }

    /// The names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk.state().names.keys().filter(|name| !name.ends_with('/')).cloned().collect()
    }

    /// What a file holds; empty where there is none.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.disk.state();
        let file = state.names.get(name).and_then(|file| state.files.get(*file));
        file.map(|file| file.seen.clone()).unwrap_or_default()
    }

    /// Changes a file behind everyone's back, durably.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.disk.state();
        let Some(file) = state.names.get(name).copied() else { return };
        if let Some(file) = state.files.get_mut(file) {
            change(&mut file.seen);
            file.durable.clone_from(&file.seen);
            file.unsynced.clear();
        }
    }

    /// The power goes: of what was not synced some pages, lengths and names survive, as the seed has it. What was
    /// mounted before is dead.
    pub fn crash(&self, seed: u64) {
        let mut dice = Dice(seed);
        let mut state = self.disk.state();
        state.life = state.life.saturating_add(1);
        for file in &mut state.files {
            file.crash(&mut dice);
        }
        let mut survived = BTreeMap::new();
        let all: BTreeSet<_> = state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for name in all {
            let names = if dice.coin() { &state.names } else { &state.durable_names };
            if let Some(file) = names.get(&name) {
                survived.insert(name, *file);
            }
        }
        // what stands in a directory whose own name did not last is gone with it
        let all = survived.clone();
        survived.retain(|name, _| ancestors(name).all(|directory| all.contains_key(directory)));
        state.durable_names.clone_from(&survived);
        state.names = survived;
        state.faults.clear();
        state.planned.clear();
        state.ends_at = None;
        state.held.clear();
        self.disk.changed.notify_all();
    }

    fn begin(&self, call: Call, name: &str) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.disk.state();
        let count = state.calls.entry(call).or_default();
        let at = *count;
        *count = at.saturating_add(1);
        let number = state.total;
        state.total = number.saturating_add(1);
        self.disk.changed.notify_all();
        let mut state = self
            .disk
            .changed
            .wait_while(state, |state| state.held.contains(&call))
            .unwrap_or_else(PoisonError::into_inner);
        let fault = state.fault(call, at, number);
        if state.recent.len() >= REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back((number, call, name.to_owned(), fault));
        state.fired = state.fired.saturating_add(u64::from(fault.is_some()));
        match fault {
            Some(Fault::Error(kind)) if call != Call::Sync => Err(kind.into()),
            Some(Fault::Torn(kind)) if !matches!(call, Call::Write | Call::Sync) => Err(kind.into()),
            fault => Ok((state, fault)),
        }
    }
}

/// Calls that are held: dropping it lets them go on.
#[derive(Debug)]
pub struct Held {
    disk: SimulatedDisk,
    call: Call,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.disk.state().held.remove(&self.call);
        self.disk.disk.changed.notify_all();
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self, call: Call) -> u64 {
        self.calls.get(&call).copied().unwrap_or(0)
    }

    /// What goes wrong with this call: the `at`-th of its kind, the `number`-th of all.
    fn fault(&mut self, call: Call, at: u64, number: u64) -> Option<Fault> {
        let gone = io::ErrorKind::BrokenPipe;
        match self.ends_at {
            Some(end) if number > end => return Some(Fault::Error(gone)),
            // half of it may have been done when the power went
            Some(end) if number == end => return Some(Fault::Torn(gone)),
            _ => {}
        }
        if let Some(index) = self.planned.iter().position(|(when, _)| *when == number) {
            return Some(self.planned.swap_remove(index).1);
        }
        let found = self.faults.iter().position(|(of, when, _)| *of == call && *when == at);
        found.map(|index| self.faults.swap_remove(index).2)
    }
}

/// The names of the directories that lead to a name.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    let own = name.strip_suffix('/').unwrap_or(name);
    own.match_indices('/').filter_map(|(at, _)| name.get(..at.saturating_add(1)))
}

impl File {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset.saturating_add(bytes.len());
        self.touch(self.seen.len().min(offset), end);
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        if let Some(place) = self.seen.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
    }

    fn touch(&mut self, from: usize, to: usize) {
        self.unsynced.extend(from / PAGE..to.div_ceil(PAGE));
    }

    fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for page in std::mem::take(&mut self.unsynced) {
            copy_page(page, &self.seen, &mut self.durable);
        }
    }

    fn crash(&mut self, dice: &mut Dice) {
        let (short, long) = (self.durable.len().min(self.seen.len()), self.durable.len().max(self.seen.len()));
        let length = match dice.below(3) {
            0 => self.durable.len(),
            1 => self.seen.len(),
            _ => short.saturating_add(dice.below(long.saturating_sub(short).saturating_add(1))),
        };
        self.durable.resize(length, 0);
        for page in std::mem::take(&mut self.unsynced) {
            match dice.below(4) {
                0 => {}
                // the page was on its way: some sectors are new, the others old
                1 => {
                    let sectors = PAGE / SECTOR;
                    for sector in (0..sectors).map(|sector| page.saturating_mul(sectors).saturating_add(sector)) {
                        if dice.coin() {
                            copy_block(SECTOR, sector, &self.seen, &mut self.durable);
                        }
                    }
                }
                _ => copy_page(page, &self.seen, &mut self.durable),
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

fn copy_page(page: usize, from: &[u8], to: &mut [u8]) {
    copy_block(PAGE, page, from, to);
}

fn copy_block(length: usize, index: usize, from: &[u8], to: &mut [u8]) {
    let start = index.saturating_mul(length);
    let end = start.saturating_add(length).min(from.len()).min(to.len());
    if let (Some(from), Some(to)) = (from.get(start..end), to.get_mut(start..end)) {
        to.copy_from_slice(from);
    }
}

/// SplitMix64: the same crash for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = (bound as u64).max(1);
        usize::try_from(self.roll() % bound).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.roll().is_multiple_of(2)
    }
}
