//! What this process and the directory have used so far.

use std::{fs, path::Path, time::Duration};

/// Sizes of a data directory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// `index.db`.
    pub index: u64,
    /// Its write-ahead log.
    pub index_log: u64,
    /// `keys.db`.
    pub keys: u64,
    /// All packs.
    pub packs: u64,
    /// Both logs.
    pub ledger: u64,
}

/// What lies in the directory.
#[must_use]
pub fn sizes(dir: &Path) -> Sizes {
    Sizes {
        index: bytes(&dir.join("index/index.db")),
        index_log: bytes(&dir.join("index/index.db-wal")),
        keys: bytes(&dir.join("keys/keys.db")),
        packs: bytes(&dir.join("packs")),
        ledger: bytes(&dir.join("ledger")),
    }
}

/// Bytes of a file, or of the files below a folder; 0 where there is nothing.
fn bytes(path: &Path) -> u64 {
    let mut sum = 0;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => {
                left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
            Ok(data) => sum += data.len(),
            Err(_) => {}
        }
    }
    sum
}

/// Resident memory of a process now and at its peak, in bytes.
#[must_use]
pub fn memory(process: &str) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    (kib("VmRSS:") << 10, kib("VmHWM:") << 10)
}

/// Processor time of this process. The kernel counts in hundredths of a second.
#[must_use]
pub fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name of the program, in brackets, may hold spaces
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// The value below which this share of the sorted values lies.
#[must_use]
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Bytes that this process has sent to disk or will.
#[must_use]
pub fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
