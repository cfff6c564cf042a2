//! A real node in its own process on free ports, and the tools to talk to it.

pub mod dicomweb;
pub mod dimse;
pub mod sender;
pub mod tools;
pub mod worklist;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// How long a node may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running node with a data directory of its own; ended when dropped.
pub struct Server {
    folder: TempDir,
    child: Option<Child>,
    pub https: String,
    pub dicom_tls: String,
    options: Vec<String>,
}

/// What `kluis init` printed.
pub fn init(data: &Path, options: &[&str]) -> Result<Value> {
    let output = kluis(data, &[&["init", "--json"], options].concat())?;
    json(&output)
}

/// The build under test, or another one that `KLUIS_PROGRAM` names.
pub fn program() -> PathBuf {
    std::env::var_os("KLUIS_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_kluis").into(), PathBuf::from)
}

/// Runs the command and waits for it.
pub fn kluis(data: &Path, arguments: &[&str]) -> Result<Output> {
    Command::new(program())
        .args(arguments)
        .env("KLUIS_DATA", data)
        .stdin(Stdio::null())
        .output()
        .context("cannot run kluis")
}

/// The JSON document that a command printed; its error where it failed.
pub fn json(output: &Output) -> Result<Value> {
    if !output.status.success() {
        bail!(
            "exit {:?}: {}{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&output.stdout)))
}

impl Server {
    /// Makes a vault and serves it.
    pub fn start() -> Result<Self> {
        Self::start_with(&[], &[])
    }

    /// The same with options for `init` and `serve`.
    pub fn start_with(init_options: &[&str], serve_options: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        init(&folder.path().join("data"), init_options)?;
        Self::serve(folder, serve_options)
    }

    /// The same with further lines in `kluis.toml`.
    pub fn start_with_config(config: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let data = folder.path().join("data");
        init(&data, &[])?;
        std::fs::write(data.join("kluis.toml"), config)?;
        Self::serve(folder, &[])
    }

    /// The same with its folder in this place.
    pub fn start_in(place: &Path, config: &str) -> Result<Self> {
        let folder = TempDir::new_in(place)?;
        let data = folder.path().join("data");
        init(&data, &[])?;
        std::fs::write(data.join("kluis.toml"), config)?;
        Self::serve(folder, &[])
    }

    fn serve(folder: TempDir, options: &[&str]) -> Result<Self> {
        let mut server = Self {
            folder,
            child: None,
            https: String::new(),
            dicom_tls: String::new(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        server.restart()?;
        Ok(server)
    }

    /// Starts the node again after [`Server::kill`] or [`Server::stop`].
    pub fn restart(&mut self) -> Result<()> {
        let addresses = self.data().join("run").join("addresses.json");
        let _ = std::fs::remove_file(&addresses);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut child = Command::new(program())
            .args(["serve", "--https", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0"])
            .args(&self.options)
            .env("KLUIS_DATA", self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let begun = Instant::now();
        let document = loop {
            if let Ok(text) = std::fs::read_to_string(&addresses) {
                break serde_json::from_str::<Value>(&text)?;
            }
            if let Some(status) = child.try_wait()? {
                bail!("the node ended with {status}: {}", std::fs::read_to_string(self.log())?);
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                bail!("the node did not begin: {}", std::fs::read_to_string(self.log())?);
            }
            pause();
        };
        self.https = format!("https://{}", document["https"].as_str().context("no https address")?);
        self.dicom_tls = document["dicom_tls"].as_str().context("no dicom_tls address")?.to_owned();
        self.child = Some(child);
        Ok(())
    }

    /// Starts the node and kills it so long afterwards, wherever it is then.
    pub async fn start_and_kill(&self, after: Duration) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut child = Command::new(program())
            .args(["serve", "--https", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0"])
            .args(&self.options)
            .env("KLUIS_DATA", self.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        tokio::time::sleep(after).await;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> Result<i32> {
        let Some(mut child) = self.child.take() else { bail!("the node is not running") };
        Command::new("kill").arg(child.id().to_string()).status()?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait()? {
                return status.code().context("ended by a signal");
            }
            pause();
        }
        child.kill()?;
        bail!("the node did not end on SIGTERM")
    }

    /// Identifier of the process.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the node is not running")?.id())
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for files of the test, outside the data directory.
    pub fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// What the node printed.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    /// The certificate authority.
    pub fn ca(&self) -> PathBuf {
        self.data().join("ca.pem")
    }

    /// Runs a command beside the node and reads its JSON document.
    pub fn command(&self, arguments: &[&str]) -> Result<Value> {
        json(&kluis(&self.data(), &[arguments, &["--json"]].concat())?)
    }

    /// A bearer token of the role.
    pub fn token(&self, role: &str) -> Result<String> {
        let name = format!("{role}-{}", std::process::id());
        let document = self.command(&["token", "create", &name, "--role", role])?;
        Ok(document["token"].as_str().context("no token")?.to_owned())
    }

    /// Enrols a device; the folder with its files.
    pub fn device(&self, ae: &str, allow: &str) -> Result<PathBuf> {
        let out = self.folder.path().join(ae);
        let path = out.to_str().context("path")?;
        self.command(&["device", "add", ae, "--allow", allow, "--out", path])?;
        Ok(out)
    }

    /// Enrols a device that listens here; the folder with its files.
    pub fn listening_device(&self, ae: &str, allow: &str, address: &str) -> Result<PathBuf> {
        let out = self.folder.path().join(ae);
        let path = out.to_str().context("path")?;
        self.command(&["device", "add", ae, "--allow", allow, "--address", address, "--out", path])?;
        Ok(out)
    }

    /// HTTP client that trusts the node, and none that a proxy of the machine may name.
    pub fn http(&self) -> Result<reqwest::Client> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(&std::fs::read(self.ca())?)?;
        Ok(reqwest::Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A port of the loopback that nobody listens on just now, below those that the system gives to connections it opens:
/// such a one might be in use again before the peer that is told the port listens on it.
pub fn free_port() -> Result<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // tests run as processes of their own at the same time
    let first = std::process::id().wrapping_mul(61);
    (0..PORTS.len())
        .map(|_| first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start) + PORTS.start)
        .filter_map(|port| u16::try_from(port).ok())
        .find(is_free)
        .context("no free port")
}

/// A short wait between two looks at something that another process does.
#[allow(clippy::disallowed_methods, reason = "polls another process")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
