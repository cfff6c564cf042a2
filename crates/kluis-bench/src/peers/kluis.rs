//! Kluis as it is shipped: TLS, client certificates, encryption, durable acknowledgement, ledger.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{CALLING, Dicom, Server, Sink, Web};
use crate::{
    process::{self, Program},
    stream::Tls,
};

/// A running node.
#[derive(Debug)]
pub struct Kluis {
    program: Program,
    dicom: SocketAddr,
    https: SocketAddr,
    identity: PathBuf,
    device: Tls,
    person: Tls,
    headers: String,
    log: PathBuf,
}

impl Kluis {
    /// Makes a vault in the folder and serves it. `config` is put into its `kluis.toml`; `log` says what it tells.
    pub fn start(binary: &Path, folder: &Path, config: &str, log: &str) -> Result<Self> {
        Self::start_with(binary, folder, config, log, "store", None)
    }

    /// The same with these rights for the client, and a device that listens at `sink`.
    pub fn start_with(
        binary: &Path,
        folder: &Path,
        config: &str,
        log: &str,
        rights: &str,
        sink: Option<SocketAddr>,
    ) -> Result<Self> {
        let data = folder.join("data");
        command(binary, &data, &["init"])?;
        if !config.is_empty() {
            fs::write(data.join("kluis.toml"), config)?;
        }
        let mut serve = Command::new(binary);
        serve
            .args(["serve", "--https", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0"])
            .env("KLUIS_DATA", &data)
            .env("KLUIS_LOG", log);
        let log = folder.join("kluis.log");
        let mut program = Program::start(&mut serve, &log)?;
        let addresses = program.wait_until(|| {
            let text = fs::read_to_string(data.join("run/addresses.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        })?;
        let address = |name: &str| -> Result<SocketAddr> {
            Ok(addresses.get(name).and_then(Value::as_str).context("no address")?.parse()?)
        };
        let identity = folder.join("device");
        let out = identity.to_str().context("folder")?;
        command(binary, &data, &["device", "add", CALLING, "--allow", rights, "--out", out])?;
        if let Some(sink) = sink {
            let sink = sink.to_string();
            command(binary, &data, &["device", "add", Sink::TITLE, "--address", &sink, "--out", out])?;
        }
        let token = command(binary, &data, &["token", "create", "bench", "--role", "admin"])?;
        let token = token.get("token").and_then(Value::as_str).context("no token")?;
        let authority = identity.join("ca.pem");
        let (certificate, key) = files(&identity);
        Ok(Self {
            program,
            dicom: address("dicom_tls")?,
            https: address("https")?,
            device: Tls::new(&authority, Some((&certificate, &key)))?,
            person: Tls::new(&authority, None)?.for_http(),
            headers: format!("Authorization: Bearer {token}\r\n"),
            identity,
            log,
        })
    }
}

impl Server for Kluis {
    fn process(&self) -> u32 {
        self.program.id()
    }

    fn log(&self) -> Option<&Path> {
        Some(&self.log)
    }

    fn dicom(&self) -> Option<Dicom<'_>> {
        Some(Dicom { address: self.dicom, called: "KLUIS", tls: Some(&self.device), identity: Some(&self.identity) })
    }

    fn sink(&self) -> Sink<'_> {
        Sink { identity: Some(&self.identity) }
    }

    fn web(&self) -> Option<Web<'_>> {
        Some(Web { address: self.https, tls: Some(&self.person), headers: &self.headers })
    }
}

/// Certificate and key of the device of the load clients.
pub fn files(identity: &Path) -> (PathBuf, PathBuf) {
    (identity.join(format!("{CALLING}.cert.pem")), identity.join(format!("{CALLING}.key.pem")))
}

fn command(binary: &Path, data: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(binary);
    command.args(arguments).arg("--json").env("KLUIS_DATA", data).env_remove("KLUIS_LOG");
    let (out, _) = process::run(&mut command, Duration::from_secs(60))?;
    serde_json::from_str(&out).with_context(|| format!("`kluis {}` printed no JSON", arguments.join(" ")))
}
