//! One run: lives of the archive, each with some work and something that goes wrong.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
    time::Duration,
};

use kluis_archive::{Archive, Expected, Incoming, StoreError, StoreStream, Stored, VerifyOptions, act};
use kluis_dicom::part10::Source;
use kluis_policy::{Principal, Transport};
use kluis_testkit::random::Random;
use kluis_vault::simulation::Fault;
use tokio::task::JoinHandle;

use crate::{
    check::{self, ORIGIN},
    machine::{Machine, Running, chain, close, settle},
    model::{Model, Told, VERSIONS, items},
    stores::Gate,
};

/// Lives in one run at most.
const LIVES: usize = 4;

/// Steps in one life at most.
const STEPS: usize = 14;

/// What was done, for whoever has to find out what went wrong. Holds numbers, never a value of an object.
pub type Trace = Arc<Mutex<Vec<String>>>;

pub struct Run {
    pub machine: Machine,
    pub model: Model,
    pub running: Option<Running>,
    dice: Random,
    trace: Trace,
    /// Room on the disk was taken away in this life.
    is_tight: bool,
}

/// One who stores while others do.
struct Sender {
    item: usize,
    version: usize,
    task: JoinHandle<Result<Stored, StoreError>>,
    gate: Gate,
    /// Others with the same object.
    behind: Vec<(usize, JoinHandle<Result<Stored, StoreError>>)>,
}

/// One run from its seed.
pub async fn seeded(seed: u64, trace: Trace) {
    let mut run = Run::new(seed, trace);
    let lives = 1 + run.dice.below(LIVES);
    for _ in 0..lives {
        run.restart(true).await;
        run.plan();
        for _ in 0..3 + run.dice.below(STEPS - 3) {
            if run.machine.disk.is_dead() {
                break;
            }
            run.step().await;
        }
        run.end_life().await;
    }
    run.machine.disk.heal();
    run.restart(false).await;
    run.check().await;
    if run.dice.below(3) == 0 {
        run.note("rebuild");
        run.archive().rebuild_index().await.unwrap();
        run.check().await;
    }
}

impl Run {
    pub fn new(seed: u64, trace: Trace) -> Self {
        let dice = Random::new(seed, "run");
        Self { machine: Machine::new(seed), model: Model::default(), running: None, dice, trace, is_tight: false }
    }

    fn note(&self, what: impl AsRef<str>) {
        let calls = self.machine.disk.total();
        self.trace.lock().unwrap().push(format!("{calls:>6} {}", what.as_ref()));
    }

    pub fn archive(&self) -> Archive {
        self.running.as_ref().unwrap().archive.clone()
    }

    pub async fn check(&mut self) {
        self.note("check");
        check::everything(&self.machine, self.running.as_ref().unwrap(), &mut self.model).await;
    }

    /// What goes wrong in this life, and when.
    fn plan(&mut self) {
        let disk = &self.machine.disk;
        self.is_tight = false;
        let (after, seed) = (self.dice.below(400) as u64, self.dice.bits());
        match self.dice.below(10) {
            0..4 => {
                disk.cut_power(after);
                self.note(format!("the power will go at {after}"));
            }
            4..8 => {
                let fault = fault(seed);
                disk.fail_call(after, fault);
                self.note(format!("{after} will fail with {fault:?}"));
            }
            8 => {
                self.is_tight = true;
                disk.limit_room(Some(seed % 200_000));
                self.note(format!("room for {}", seed % 200_000));
            }
            _ => {}
        }
    }

    /// Starts the archive. `may_fail`: the start itself may be disturbed, and is tried again then.
    pub async fn restart(&mut self, may_fail: bool) {
        for attempt in 0.. {
            assert!(attempt < 10, "the archive does not start");
            let fired = self.machine.disk.fired();
            if may_fail && attempt < 4 && self.dice.below(3) == 0 {
                let after = self.dice.below(120) as u64;
                if self.dice.below(2) == 0 {
                    self.machine.disk.cut_power(after);
                } else {
                    self.machine.disk.fail_call(after, fault(self.dice.bits()));
                }
            }
            let started = self.machine.start().await;
            let has_failed = self.machine.disk.fired() > fired;
            let is_dead = self.machine.disk.is_dead();
            self.machine.disk.heal();
            match started {
                Ok(running) if !is_dead => {
                    self.note("started");
                    self.running = Some(running);
                    return;
                }
                Ok(running) => {
                    let loss = self.machine.crash(Some(running), &mut self.dice).await;
                    self.note(format!("the power went at the end of the start; index: {loss}"));
                }
                Err(error) => {
                    assert!(has_failed, "the archive does not start: {error}");
                    self.note(format!("did not start: {error}"));
                    if is_dead {
                        let loss = self.machine.crash(None, &mut self.dice).await;
                        self.note(format!("the power went while starting; index: {loss}"));
                    }
                }
            }
        }
    }

    async fn end_life(&mut self) {
        let running = self.running.take();
        let is_dead = self.machine.disk.is_dead();
        if is_dead || self.dice.below(3) > 0 {
            self.running = running;
            self.crash().await;
        } else {
            let closed = close(running.unwrap()).await;
            self.note(format!("closed: {closed:?}"));
        }
        self.machine.disk.heal();
    }

    /// Whether a step may fail: something went wrong in this life.
    fn is_excused(&self) -> bool {
        let fired = self.running.as_ref().map_or(0, |running| running.fired);
        self.is_tight || self.machine.disk.fired() > fired
    }

    pub async fn step(&mut self) {
        match self.dice.below(20) {
            0..9 => {
                let (item, version) = self.draw();
                self.send(item, version).await;
            }
            9..12 => self.send_at_once().await,
            12 => self.give_up().await,
            13 | 14 => self.seal().await,
            15 | 16 => self.settle_now().await,
            17 => {
                self.machine.clock.pass(Duration::from_secs(self.dice.below(100) as u64));
                let purged = self.archive().purge_directory().await;
                assert!(purged.is_ok());
            }
            18 => self.look().await,
            _ => self.rebuild_or_verify().await,
        }
    }

    fn excuse(&self, has_failed: bool, what: &str) {
        assert!(!has_failed || self.is_excused(), "{what} failed, and nothing had gone wrong");
    }

    fn draw(&mut self) -> (usize, usize) {
        // the first version most of the time, so that there are duplicates
        let version = [0, 0, 0, 1, 1, 2][self.dice.below(6)];
        (self.dice.below(items().len()), version % VERSIONS)
    }

    pub async fn settle_now(&mut self) {
        let settled = self.archive().settle().await;
        self.note(format!("settle: {}", outcome(&settled)));
        self.excuse(settled.is_err(), "settle");
    }

    pub async fn look(&mut self) {
        let is_strict = !self.is_excused();
        let archive = self.archive();
        let seen = check::visible(&archive, &mut self.model, is_strict).await;
        self.note(format!("look: {seen:?}"));
        self.excuse(seen.is_err(), "look");
    }

    /// The power goes now, where it has not gone yet.
    pub async fn crash(&mut self) {
        let running = self.running.take();
        let loss = self.machine.crash(running, &mut self.dice).await;
        self.note(format!("crash; index: {loss}"));
        self.machine.disk.heal();
    }

    pub async fn seal(&mut self) {
        self.machine.clock.pass(Duration::from_secs(120));
        let sealed = self.archive().seal_quiet().await;
        self.note(format!("seal: {}", outcome(&sealed)));
        self.excuse(sealed.is_err(), "seal");
    }

    async fn rebuild_or_verify(&mut self) {
        // a verification reads many things at once: what is made to fail by its number would be another each time
        if self.dice.below(2) == 0 || !self.machine.disk.is_calm() {
            let rebuilt = self.archive().rebuild_index().await;
            self.note(format!("rebuild: {}", outcome(&rebuilt)));
            self.excuse(rebuilt.is_err(), "rebuild");
            return;
        }
        let admitted = self.archive().admit(&Principal::Operator, ORIGIN, act::VerifyArchive).await;
        let Ok(permit) = admitted else {
            self.note("verify: not admitted");
            return self.excuse(true, "verify");
        };
        let report = self.archive().verify(permit, VerifyOptions { full: true, since: Vec::new() }).await;
        self.note(format!("verify: {}", outcome(&report)));
        self.excuse(report.is_err(), "verify");
        if let Ok(report) = report
            && !self.is_excused()
        {
            assert!(report.findings.is_empty(), "a false alarm: {:?}", report.findings);
        }
    }

    /// Opens a stream and writes the whole object into it.
    async fn begin(&mut self, item: usize, version: usize) -> Result<StoreStream, Told> {
        let is_named = self.dice.below(2) == 0;
        let study = is_named.then(|| items()[item].study.parse().unwrap());
        let archive = self.archive();
        let Ok(permit) = archive.admit(&Principal::Operator, ORIGIN, act::Store { study }).await else {
            return Err(Told::Failed);
        };
        // as C-STORE does, which is looked up before the object has come
        let sop_instance = (self.dice.below(2) == 0).then(|| items()[item].sop_instance.parse().unwrap());
        let expected = Expected { sop_instance, ..Expected::default() };
        let incoming = Incoming { source: Source::File, expected, transport: Transport::Local };
        let mut stream = archive.begin_store(permit, incoming);
        let piece = 200 + self.dice.below(100_000);
        for slice in items()[item].files[version].chunks(piece) {
            if stream.write(slice).await.is_err() {
                return Err(Told::Failed);
            }
        }
        Ok(stream)
    }

    pub async fn send(&mut self, item: usize, version: usize) -> Told {
        let told = match self.begin(item, version).await {
            Ok(stream) => {
                self.model.offer(item, version);
                told(stream.finish().await)
            }
            Err(told) => (told, "while it was written".to_owned()),
        };
        self.judge(item, version, &told);
        told.0
    }

    /// What was said counts where the power was still there when it was said.
    fn judge(&mut self, item: usize, version: usize, (told, detail): &(Told, String)) {
        let is_dead = self.machine.disk.is_dead();
        self.note(format!(
            "store {item} version {version}: {told:?} {detail}{}",
            if is_dead { ", too late" } else { "" }
        ));
        self.excuse(*told == Told::Failed, "a store");
        if !is_dead {
            self.model.told(item, version, *told);
        }
    }

    /// Several senders, each with its object in the packs before the first is let on; some go away. One that brings what
    /// another one is bringing waits for that one.
    async fn send_at_once(&mut self) {
        let mut waiting: Vec<Sender> = Vec::new();
        let (first, _) = self.draw();
        for _ in 0..2 + self.dice.below(3) {
            let (mut item, version) = self.draw();
            if self.dice.below(2) == 0 {
                item = first;
            }
            let Ok(stream) = self.begin(item, version).await else {
                self.excuse(true, "a store");
                continue;
            };
            self.model.offer(item, version);
            if let Some(sender) = waiting.iter_mut().find(|sender| sender.item == item) {
                let task = tokio::spawn(stream.finish());
                // it comes as far as it can
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                sender.behind.push((version, task));
                continue;
            }
            let gate = self.running.as_ref().unwrap().vault.hold_last();
            let mut task = tokio::spawn(stream.finish());
            tokio::select! {
                biased;
                done = &mut task => self.judge(item, version, &told(done.unwrap())),
                () = gate.reached() => {
                    self.note(format!("object {item} version {version} is in the packs"));
                    waiting.push(Sender { item, version, task, gate, behind: Vec::new() });
                }
            }
        }
        while !waiting.is_empty() {
            let sender = waiting.swap_remove(self.dice.below(waiting.len()));
            let (item, version) = (sender.item, sender.version);
            if self.dice.below(5) == 0 && sender.behind.is_empty() {
                sender.task.abort();
                assert!(sender.task.await.unwrap_err().is_cancelled());
                sender.gate.open();
                // its object is carried through; what became of it nobody was told
                let others = waiting.iter().map(|sender| 2 + 2 * sender.behind.len()).sum();
                self.quiet(others).await;
                self.note(format!("store {item} version {version}: gone"));
                continue;
            }
            sender.gate.open();
            self.judge(item, version, &told(sender.task.await.unwrap()));
            for (version, task) in sender.behind {
                self.judge(item, version, &told(task.await.unwrap()));
            }
        }
    }

    /// Waits until nothing runs but the archive's own task and so many others.
    async fn quiet(&self, others: usize) {
        let metrics = tokio::runtime::Handle::current().metrics();
        settle(|| metrics.num_alive_tasks() <= 1 + others).await;
    }

    async fn give_up(&mut self) {
        let (item, version) = self.draw();
        let Ok(permit) = self.archive().admit(&Principal::Operator, ORIGIN, act::Store { study: None }).await else {
            return self.excuse(true, "a store");
        };
        let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
        let mut stream = self.archive().begin_store(permit, incoming);
        let file = &items()[item].files[version];
        let length = self.dice.below(file.len());
        let written = stream.write(&file[..length]).await;
        self.excuse(written.is_err(), "a store");
        // what ends between two elements of its header cannot be told from an object without pixels
        let is_half = file.len() - length < items()[item].pixel_bytes;
        match self.dice.below(if is_half { 3 } else { 2 }) {
            0 => stream.give_up(),
            1 => drop(stream),
            // a half object that is said to be whole
            _ => assert!(stream.finish().await.is_err(), "{length} of {} bytes were taken for all", file.len()),
        }
        self.note(format!("gave up {item} after {length} bytes"));
    }
}

fn told(result: Result<Stored, StoreError>) -> (Told, String) {
    match result {
        Ok(stored) if stored.is_duplicate => (Told::Duplicate, String::new()),
        Ok(_) => (Told::New, String::new()),
        Err(StoreError::Conflict { .. }) => (Told::Conflict, String::new()),
        Err(StoreError::StorageFull) => (Told::Failed, "full".to_owned()),
        Err(StoreError::Unavailable(error)) => (Told::Failed, chain(&*error)),
        Err(other) => panic!("a whole object was refused: {other}"),
    }
}

fn outcome<T, E: std::error::Error>(result: &Result<T, E>) -> String {
    result.as_ref().map_or_else(|error| chain(error), |_| "done".to_owned())
}

fn fault(seed: u64) -> Fault {
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::TimedOut];
    let kind = kinds[usize::try_from(seed % 3).unwrap()];
    match seed / 3 % 4 {
        0 | 1 => Fault::Error(kind),
        2 => Fault::Torn(kind),
        _ => Fault::Short,
    }
}
