//! DCMTK: `storescp`, which writes files and knows no index, and `storescu`, the client of the field.

use std::{ffi::OsString, fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Result;

use super::{CALLING, Dicom, Server, kluis};
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
