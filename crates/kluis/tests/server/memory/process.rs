//! What the operating system says of the node's memory and of its reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};

use crate::support::{Server, pause};

/// Figures of one phase.
#[derive(Debug)]
pub struct Peak {
    /// The most that was resident, with the pages of the program itself, in bytes.
    pub resident: u64,
    /// The most that was allocated and touched, in bytes.
    pub anonymous: u64,
}

/// Watches the node from now on.
pub struct Watch {
    pid: u32,
    is_over: Arc<AtomicBool>,
    anonymous: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub fn begin(server: &Server) -> Result<Self> {
        let pid = server.pid()?;
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let (is_over, anonymous) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (over, most) = (Arc::clone(&is_over), Arc::clone(&anonymous));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(status(pid, "RssAnon:").unwrap_or(0), Ordering::Relaxed);
                pause();
            }
        });
        Ok(Self { pid, is_over, anonymous, thread })
    }

    pub fn end(self) -> Result<Peak> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the watch ended early")?;
        Ok(Peak { resident: status(self.pid, "VmHWM:")?, anonymous: self.anonymous.load(Ordering::Relaxed) })
    }
}

/// What is resident now.
pub fn resident(server: &Server) -> Result<u64> {
    status(server.pid()?, "VmRSS:")
}

/// Bytes that the node has read by system calls, from files and other things.
pub fn bytes_read(server: &Server) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/io", server.pid()?))?;
    let line = text.lines().find_map(|line| line.strip_prefix("rchar:")).context("no rchar")?;
    Ok(line.trim().parse()?)
}

fn status(pid: u32, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kib: u64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kib << 10)
}
