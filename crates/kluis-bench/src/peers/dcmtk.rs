//! DCMTK: `storescp`, which writes files and knows no index, and `storescu`, the client of the field.

use std::{ffi::OsString, fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Result;

use super::{CALLING, Dicom, Server, Sink, kluis};
use crate::process::{self, Program};

/// A running `storescp`.
#[derive(Debug)]
pub struct StoreScp {
    program: Program,
    address: SocketAddr,
}

impl StoreScp {
    /// Starts it with a process for each association; `is_prompt` sets TCP_NODELAY=1 in its environment.
    pub fn start(folder: &Path, is_prompt: bool) -> Result<Self> {
        let address = process::loopback(process::free_port()?);
        let out = folder.join("files");
        fs::create_dir_all(&out)?;
        let mut command = Command::new("storescp");
        command.args(["--fork", "-aet", "STORESCP", "-od"]).arg(&out).arg(address.port().to_string());
        command.env_remove("TCP_NODELAY");
        if is_prompt {
            command.env("TCP_NODELAY", "1");
        }
        let mut program = Program::start(&mut command, &folder.join("storescp.log"))?;
        program.wait_until(|| process::is_open(address).then_some(()))?;
        Ok(Self { program, address })
    }
}

impl StoreScp {
    /// Starts one that others send to, at this address.
    pub fn listen(folder: &Path, address: SocketAddr, sink: Sink<'_>) -> Result<Self> {
        let out = folder.join("files");
        fs::create_dir_all(&out)?;
        let mut command = Command::new("storescp");
        command.args(["--fork", "-aet", Sink::TITLE]).env("TCP_NODELAY", "1");
        if let Some(identity) = sink.identity {
            let file = |kind: &str| identity.join(format!("{}.{kind}.pem", Sink::TITLE));
            command.arg("+tls").arg(file("key")).arg(file("cert")).arg("+cf").arg(identity.join("ca.pem"));
        }
        command.arg("-od").arg(&out).arg(address.port().to_string());
        let mut program = Program::start(&mut command, &folder.join("sink.log"))?;
        program.wait_until(|| process::is_open(address).then_some(()))?;
        Ok(Self { program, address })
    }
}

/// A running `dcmqrscp`.
#[derive(Debug)]
pub struct DcmQrScp {
    program: Program,
    address: SocketAddr,
}

impl DcmQrScp {
    /// Starts it with one storage area and the sink among its hosts, and TCP_NODELAY=1.
    pub fn start(folder: &Path, sink: SocketAddr) -> Result<Self> {
        let address = process::loopback(process::free_port()?);
        let area = folder.join("area");
        fs::create_dir_all(&area)?;
        let lines = format!(
            "NetworkTCPPort = {}\nMaxPDUSize = 131072\nMaxAssociations = 16\nHostTable BEGIN\nsink = ({}, 127.0.0.1, \
             {})\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nQRSCP {} RW (1000, 8192mb) \
             ANY\nAETable END\n",
            address.port(),
            Sink::TITLE,
            sink.port(),
            area.display()
        );
        let config = folder.join("dcmqrscp.cfg");
        fs::write(&config, lines)?;
        let mut command = Command::new("dcmqrscp");
        command.arg("-c").arg(&config).env("TCP_NODELAY", "1");
        let mut program = Program::start(&mut command, &folder.join("dcmqrscp.log"))?;
        program.wait_until(|| process::is_open(address).then_some(()))?;
        Ok(Self { program, address })
    }
}

impl Server for DcmQrScp {
    fn process(&self) -> u32 {
        self.program.id()
    }

    fn dicom(&self) -> Option<Dicom<'_>> {
        Some(Dicom { address: self.address, called: "QRSCP", tls: None, identity: None })
    }
}

impl Server for StoreScp {
    fn process(&self) -> u32 {
        self.program.id()
    }

    fn dicom(&self) -> Option<Dicom<'_>> {
        Some(Dicom { address: self.address, called: "STORESCP", tls: None, identity: None })
    }
}

/// Sends every file of a folder by an untouched `storescu` over one association; how long the program ran.
pub fn storescu(to: Dicom<'_>, files: &Path, longest: Duration) -> Result<Duration> {
    let mut arguments: Vec<OsString> = vec!["-aet".into(), CALLING.into(), "-aec".into(), to.called.into()];
    if let Some(identity) = to.identity {
        let (certificate, key) = kluis::files(identity);
        arguments.extend(["+tls".into(), key.into(), certificate.into()]);
        arguments.extend(["+cf".into(), identity.join("ca.pem").into()]);
    }
    arguments.extend([to.address.ip().to_string().into(), to.address.port().to_string().into()]);
    arguments.extend(["+sd".into(), files.into()]);
    let mut command = Command::new("storescu");
    command.args(arguments).env_remove("TCP_NODELAY").env_remove("DCMDICTPATH");
    Ok(process::run(&mut command, longest)?.1)
}
