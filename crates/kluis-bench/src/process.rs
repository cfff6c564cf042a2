//! Programs under measurement: started with a log of their own, waited for, ended.
//!
//! May not contain: what they are asked.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a program may take to begin or to end.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Ports of servers that cannot choose one themselves.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A running program; ended when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it prints goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, name, log: log.to_owned() })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` gives something; fails where the program ends before, or takes too long.
    pub fn wait_until<T>(&mut self, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(got) = ready() {
                return Ok(got);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} is not ready after {PATIENCE:?}: {}", self.name, self.last_words());
            }
            pause(Duration::from_millis(20));
        }
    }

    /// Asks it to end by a signal (`TERM`, `INT`) and waits; ends it by force where it does not.
    pub fn stop(&mut self, signal: &str) {
        let _ = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop("TERM");
        }
    }
}

/// Runs a program to its end, at most `longest`; what it printed, and how long it ran.
pub fn run(command: &mut Command, longest: Duration) -> Result<(String, Duration)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    let outputs = [drain(child.stdout.take()), drain(child.stderr.take())];
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > longest {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{name} was ended after {longest:?}");
        }
        pause(Duration::from_millis(1));
    };
    let took = begun.elapsed();
    let [out, err] = outputs.map(|reader| reader.join().unwrap_or_default());
    if !status.success() {
        let words: String = format!("{out}{err}").chars().take(600).collect();
        bail!("{name} ended with {status}: {words}");
    }
    Ok((out, took))
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A TCP port that is free now, and that no connection is given as its own: below the range of which the kernel gives those,
/// for a program that starts a second later would find it taken. Never the same twice.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id().checked_rem(8_000).unwrap_or_default())?;
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + start.wrapping_add(step).checked_rem(PORTS).unwrap_or_default();
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no TCP port is free")
}

/// The port on the loopback interface.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Whether somebody listens there.
pub fn is_open(address: SocketAddr) -> bool {
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// A short wait between two looks at what another process does.
pub fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
