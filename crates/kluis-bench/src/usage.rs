//! What the kernel says about processes and about the machine: CPU time, memory, who else is busy (proc(5)).
//!
//! May not contain: anything that costs more than a few files of `/proc` five times a second.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::process::pause;

/// Ticks of `/proc` a second; Linux gives it to programs as 100 on every architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was used between [`Watch::begin`] and [`Watch::end`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU seconds of the server and its children.
    pub server_cpu_s: f64,
    /// CPU seconds of the load clients, foreign ones included.
    pub client_cpu_s: f64,
    /// Cores that everybody else kept busy.
    pub other_cores: f64,
    /// Highest proportional set size of the server and its children, in MB.
    pub peak_pss_mb: f64,
}

/// Looks on while something is measured.
pub struct Watch {
    server: Option<u32>,
    begun: Instant,
    server_before: f64,
    client_before: f64,
    machine_before: f64,
    is_over: Arc<AtomicBool>,
    looker: Option<JoinHandle<f64>>,
}

impl Watch {
    /// Begins to watch the machine, and `server` with its children where there is one.
    pub fn begin(server: Option<u32>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let looker = server.map(|root| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut peak = 0.0_f64;
                while !is_over.load(Ordering::Relaxed) {
                    peak = peak.max(pss_mb(root));
                    std::thread::park_timeout(LOOK_EVERY);
                }
                peak.max(pss_mb(root))
            })
        });
        Self {
            server,
            begun: Instant::now(),
            server_before: server.map_or(0.0, tree_cpu_s),
            client_before: own_cpu_s(),
            machine_before: machine_busy_s(),
            is_over,
            looker,
        }
    }

    /// Ends the watch.
    pub fn end(mut self) -> Usage {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let machine = machine_busy_s() - self.machine_before;
        let server_cpu_s = self.server.map_or(0.0, tree_cpu_s) - self.server_before;
        let client_cpu_s = own_cpu_s() - self.client_before;
        self.is_over.store(true, Ordering::Relaxed);
        let peak_pss_mb = self.looker.take().map_or(0.0, |looker| {
            looker.thread().unpark();
            looker.join().unwrap_or_default()
        });
        let other_cores = ((machine - server_cpu_s - client_cpu_s) / seconds).max(0.0);
        Usage { server_cpu_s, client_cpu_s, other_cores, peak_pss_mb }
    }
}

/// Waits until the machine is quieter than `cores`, at most so long. Returns how long it waited.
pub fn wait_for_quiet(cores: f64, longest: Duration) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < longest {
        let (before, look) = (machine_busy_s(), Instant::now());
        pause(Duration::from_millis(250));
        if (machine_busy_s() - before) / look.elapsed().as_secs_f64() < cores {
            break;
        }
    }
    begun.elapsed()
}

/// User and system time of this process, and of the children that it has waited for.
fn own_cpu_s() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| stat.own_s + stat.waited_s)
}

/// User and system time of a process, its living descendants, and those that were waited for.
pub fn tree_cpu_s(root: u32) -> f64 {
    tree(root).iter().filter_map(|id| stat(*id)).map(|stat| stat.own_s + stat.waited_s).sum()
}

fn pss_mb(root: u32) -> f64 {
    let kilobytes = tree(root).into_iter().filter_map(|id| {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    kilobytes.sum::<f64>() * 1024.0 / 1e6
}

/// A process and all that descend from it.
fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for id in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(stat) = stat(id) {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        found.extend(children.get(&id).into_iter().flatten());
        next = next.saturating_add(1);
    }
    found
}

struct Stat {
    parent: u32,
    own_s: f64,
    waited_s: f64,
}

fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // the name stands in brackets and may hold anything
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND;
    let parent = fields.get(1)?.parse().ok()?;
    Some(Stat { parent, own_s: seconds(11) + seconds(12), waited_s: seconds(13) + seconds(14) })
}

/// Time that all cores together were not idle since the machine started.
fn machine_busy_s() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // user, nice, system, (idle, waiting for IO,) interrupts, soft interrupts; stolen time is busy as well
    [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_is_seen() {
        let watch = Watch::begin(Some(std::process::id()));
        let begun = Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(200) {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        let usage = watch.end();
        assert!(std::hint::black_box(sum) != 1 && usage.client_cpu_s > 0.02, "{usage:?}");
        assert!(usage.server_cpu_s >= usage.client_cpu_s - 0.02, "{usage:?}");
        assert!(usage.peak_pss_mb > 0.5, "{usage:?}");
    }
}
