//! Orthanc with its DICOMweb plugin, in its defaults: only ports, names, and the folder are set.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Dicom, Server, Sink, Web};
use crate::process::{self, Program};

const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// A running Orthanc.
#[derive(Debug)]
pub struct Orthanc {
    program: Program,
    dicom: SocketAddr,
    http: SocketAddr,
}

impl Orthanc {
    /// Starts it; `is_prompt` sets TCP_NODELAY=1 in its environment, which DCMTK heeds.
    pub fn start(folder: &Path, is_prompt: bool) -> Result<Self> {
        Self::start_with(folder, is_prompt, None)
    }

    /// The same; with a sink, C-GET and C-MOVE are open to all and the sink is known.
    pub fn start_with(folder: &Path, is_prompt: bool, sink: Option<SocketAddr>) -> Result<Self> {
        let (dicom, http) = (process::loopback(process::free_port()?), process::loopback(process::free_port()?));
        let storage = folder.join("storage");
        let mut config = json!({
            "Name": "bench",
            "DicomAet": "ORTHANC",
            "DicomPort": dicom.port(),
            "HttpPort": http.port(),
            "RemoteAccessAllowed": false,
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [PLUGIN],
        });
        if let (Some(sink), Some(config)) = (sink, config.as_object_mut()) {
            config.insert("DicomAlwaysAllowGet".to_owned(), true.into());
            config.insert("DicomAlwaysAllowMove".to_owned(), true.into());
            let modality = json!([Sink::TITLE, sink.ip().to_string(), sink.port()]);
            config.insert("DicomModalities".to_owned(), json!({ "sink": modality }));
        }
        let file = folder.join("orthanc.json");
        fs::write(&file, serde_json::to_string_pretty(&config)?)?;
        let mut command = Command::new("Orthanc");
        command.arg(&file).env_remove("TCP_NODELAY");
        if is_prompt {
            command.env("TCP_NODELAY", "1");
        }
        let mut program = Program::start(&mut command, &folder.join("orthanc.log"))?;
        program
            .wait_until(|| (process::is_open(http) && process::is_open(dicom)).then_some(()))
            .context("Orthanc does not start")?;
        Ok(Self { program, dicom, http })
    }
}

impl Server for Orthanc {
    fn process(&self) -> u32 {
        self.program.id()
    }

    fn dicom(&self) -> Option<Dicom<'_>> {
        Some(Dicom { address: self.dicom, called: "ORTHANC", tls: None, identity: None })
    }

    fn web(&self) -> Option<Web<'_>> {
        Some(Web { address: self.http, tls: None, headers: "" })
    }
}
