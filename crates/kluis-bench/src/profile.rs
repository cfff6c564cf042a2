//! Where the CPU time of our server goes, by stage: samples of `perf`, told apart by the functions on their stacks.
//!
//! May not contain: measuring of speed; a profiled server is slower.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::Result;
use serde::Serialize;

use crate::{
    process::{self, Program, pause},
    reading::{Percentiles, percentiles, real},
};

/// Samples a second; no multiple of what timers use.
const FREQUENCY: &str = "397";

/// One profile.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// The case.
    pub title: String,
    /// How many samples.
    pub samples: u64,
    /// Operations a second while it was recorded.
    pub rate: f64,
    /// CPU milliseconds of the server an operation.
    pub cpu_ms: f64,
    /// Share of each stage, the largest first.
    pub stages: Vec<(String, f64)>,
    /// Share of the most expensive functions.
    pub functions: Vec<(String, f64)>,
    /// Wall time of the stages of a store, in the order in which they come, and of the whole as the client sees it.
    pub waits: Vec<(String, Percentiles)>,
}

/// A recording under way.
pub struct Recording {
    perf: Program,
    file: std::path::PathBuf,
}

impl Recording {
    /// Begins to record a process.
    pub fn begin(server: u32, folder: &Path) -> Result<Self> {
        let file = folder.join("perf.data");
        let mut command = Command::new("perf");
        // stacks are copied and unwound later: our code and the cryptography keep no frame pointers
        command.args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "--call-graph", "dwarf,16384"]);
        command.args(["-p", &server.to_string(), "-o"]).arg(&file);
        let perf = Program::start(&mut command, &folder.join("perf.log"))?;
        pause(Duration::from_millis(500));
        Ok(Self { perf, file })
    }

    /// Ends it and tells the samples apart.
    pub fn end(mut self, title: &str, rate: f64, cpu_ms: f64) -> Result<Profile> {
        self.perf.stop("INT");
        let mut script = Command::new("perf");
        script.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]).arg(&self.file);
        let (text, _) = process::run(&mut script, Duration::from_secs(300))?;
        Ok(sorted(title, rate, cpu_ms, &text))
    }
}

fn sorted(title: &str, rate: f64, cpu_ms: f64, script: &str) -> Profile {
    let (mut stages, mut functions) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    let mut samples = 0_u64;
    for sample in script.split("\n\n") {
        let frames: Vec<Frame<'_>> = sample.lines().skip(1).filter_map(frame).collect();
        let Some(leaf) = frames.first() else { continue };
        samples = samples.saturating_add(1);
        count(&mut stages, stage(&frames));
        count(&mut functions, leaf.short());
    }
    let shares = |counts: Vec<(String, u64)>, most: usize| {
        let mut counts = counts;
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(most);
        counts.into_iter().map(|(name, count)| (name, real(count) / real(samples.max(1)))).collect()
    };
    let stages = stages.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    Profile {
        title: title.to_owned(),
        samples,
        rate,
        cpu_ms,
        stages: shares(stages, usize::MAX),
        functions: shares(functions.into_iter().collect(), 12),
        waits: Vec::new(),
    }
}

/// Wall time by stage, from the log of a node that tells it: `stage="vault" took_us=2100`.
pub fn waits(log: &str) -> Vec<(String, Percentiles)> {
    let mut stages: Vec<(&str, Vec<Duration>)> = Vec::new();
    for line in log.lines() {
        let told = line.split_once("stage=\"").and_then(|(_, rest)| rest.split_once("\" took_us="));
        let Some((stage, rest)) = told else { continue };
        let Some(micros) = rest.split_whitespace().next().and_then(|number| number.parse().ok()) else { continue };
        let took = Duration::from_micros(micros);
        match stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, times)) => times.push(took),
            None => stages.push((stage, vec![took])),
        }
    }
    stages.into_iter().map(|(name, times)| (name.to_owned(), percentiles(&times))).collect()
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

/// A line of a stack: the function, and whether it is the kernel's.
struct Frame<'t> {
    function: &'t str,
    is_kernel: bool,
}

impl Frame<'_> {
    fn short(&self) -> String {
        let name = if self.is_kernel { format!("[kernel] {}", self.function) } else { self.function.to_owned() };
        let name: String = name.replace(['`', '|'], "'").chars().take(70).collect();
        name
    }
}

/// `address function (file)`.
fn frame(line: &str) -> Option<Frame<'_>> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (function, file) = rest.rsplit_once(" (")?;
    Some(Frame { function, is_kernel: file.starts_with("[kernel") || file.starts_with("[guest.kernel") })
}

/// Our modules, and those of the libraries that stand for a stage. The innermost function that is named here decides.
const MODULES: &[(&str, &str)] = &[
    ("sqlite3", "index (SQLite)"),
    ("rusqlite", "index (SQLite)"),
    ("kluis_index", "index (SQLite)"),
    ("kluis_ledger", "ledger"),
    ("rustls", "TLS"),
    ("kluis_dimse", "PDUs and messages"),
    ("kluis_dicom::", "byte gate and attributes"),
    ("kluis_vault", "vault"),
    ("kluis_keys", "keys"),
    ("kluis_dicomweb", "multipart and JSON"),
    ("kluis_archive", "archive"),
    ("kluis_policy", "identity and policy"),
    ("kluis_identity", "identity and policy"),
    ("kluis_scp", "edge"),
    ("kluis_web", "edge"),
    ("hyper", "HTTP"),
    ("httparse", "HTTP"),
    ("axum", "HTTP"),
    ("tokio", "tokio"),
    ("mio::", "tokio"),
];

/// What a system call is for; the first that is on the stack decides.
const CALLS: &[(&str, &str)] = &[
    ("tcp_sendmsg", "network, kernel"),
    ("sock_", "network, kernel"),
    ("inet_", "network, kernel"),
    ("net_rx_action", "network, kernel"),
    ("sync_file", "sync, kernel"),
    ("fdatasync", "sync, kernel"),
    ("fsync", "sync, kernel"),
    ("file_write_iter", "file writes, kernel"),
    ("sys_write", "file writes, kernel"),
    ("sys_pwrite", "file writes, kernel"),
    ("sys_fallocate", "file writes, kernel"),
    ("file_read_iter", "file reads, kernel"),
    ("sys_pread", "file reads, kernel"),
    ("page_fault", "memory, kernel"),
    ("sys_mmap", "memory, kernel"),
    ("sys_munmap", "memory, kernel"),
    ("sys_madvise", "memory, kernel"),
    ("sys_brk", "memory, kernel"),
    ("epoll", "wake-ups, kernel"),
    ("futex", "wake-ups, kernel"),
    ("schedule", "wake-ups, kernel"),
];

const COPIES: &[&str] = &["memcpy", "memmove", "memset", "malloc", "calloc", "realloc", "free", "_int_", "cfree"];

fn stage(frames: &[Frame<'_>]) -> &'static str {
    let module = frames.iter().filter(|frame| !frame.is_kernel).find_map(|frame| named(MODULES, frame.function));
    let Some(leaf) = frames.first() else { return "other" };
    if leaf.is_kernel {
        let of_kernel = || frames.iter().filter(|frame| frame.is_kernel);
        let call = of_kernel().find_map(|frame| named(CALLS, frame.function)).unwrap_or("kernel, other");
        // their files are small and synced by themselves: what they cost is theirs
        return match (call, module) {
            ("sync, kernel" | "file writes, kernel" | "file reads, kernel", Some("index (SQLite)")) => {
                "index (SQLite), files in the kernel"
            }
            ("sync, kernel" | "file writes, kernel" | "file reads, kernel", Some("ledger")) => {
                "ledger, files in the kernel"
            }
            _ => call,
        };
    }
    let is_one_of = |words: &[&str]| words.iter().any(|word| leaf.function.contains(word));
    match module {
        Some(stage @ ("index (SQLite)" | "ledger" | "TLS")) => stage,
        // OpenSSL's, which the index alone brings; its assembly hides who called it
        _ if is_one_of(&["aesni_cbc", "shaext"]) => "index (SQLite), cipher of its pages",
        _ if is_one_of(&["blake3"]) => "digest of objects",
        _ if is_one_of(&["aes", "gcm", "ghash"]) => "AES at rest",
        _ if is_one_of(COPIES) => "copies and allocation",
        Some(stage) => stage,
        None => "other",
    }
}

fn named(table: &[(&str, &'static str)], function: &str) -> Option<&'static str> {
    table.iter().find(|(word, _)| function.contains(word)).map(|(_, stage)| *stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
tokio-rt-worker\x20
\t    55d0 aes_gcm_encrypt_avx512 (/x/kluis)
\t    55d1 <rustls::conn::Connection>::write (/x/kluis)

tokio-rt-worker\x20
\t    55d0 aes_gcm_encrypt_avx512 (/x/kluis)
\t    55d1 kluis_vault::cipher::seal (/x/kluis)

writer\x20
\tffff ext4_sync_file ([kernel.kallsyms])
\tffff do_fsync ([kernel.kallsyms])
\t    55d1 sqlite3_step (/x/kluis)

writer\x20
\tffff ext4_sync_file ([kernel.kallsyms])
\t    55d1 kluis_vault::disk::append (/x/kluis)

writer\x20
\t    55d0 sha256_block_data_order_shaext (/x/kluis)

tokio-rt-worker\x20
\t    7f00 __memmove_avx_unaligned_erms (/lib/libc.so.6)
\t    55d1 kluis_dicom::part10::gate (/x/kluis)
";

    #[test]
    fn stages_are_read_from_the_log() {
        let log = "\
2026-11-22T18:00:00Z DEBUG stage stage=\"arrival\" took_us=1000
2026-11-22T18:00:00Z  INFO something else
2026-11-22T18:00:00Z DEBUG stage stage=\"vault\" took_us=5000
2026-11-22T18:00:00Z DEBUG stage stage=\"arrival\" took_us=3000
2026-11-22T18:00:00Z DEBUG stage stage=\"vault\" took_us=";
        let found: Vec<(String, f64, f64)> =
            waits(log).into_iter().map(|(name, times)| (name, times.p50_ms, times.max_ms)).collect();
        assert_eq!(found, [("arrival".to_owned(), 1.0, 3.0), ("vault".to_owned(), 5.0, 5.0)]);
    }

    #[test]
    fn samples_are_told_apart_by_what_called_them() {
        let profile = sorted("x", 1.0, 1.0, SCRIPT);
        assert_eq!(profile.samples, 6);
        let stages: Vec<&str> = profile.stages.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "AES at rest",
            "TLS",
            "copies and allocation",
            "index (SQLite), cipher of its pages",
            "index (SQLite), files in the kernel",
            "sync, kernel",
        ];
        assert_eq!(stages, expected);
        assert_eq!(profile.functions.first(), Some(&("[kernel] ext4_sync_file".to_owned(), 1.0 / 3.0)));
    }
}
