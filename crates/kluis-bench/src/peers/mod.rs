//! The systems that are measured, each in processes of its own with a fresh folder, on the loopback interface.
//!
//! May not contain: what is asked of them.

pub mod dcmtk;
pub mod kluis;
pub mod nginx;
pub mod orthanc;

use std::{net::SocketAddr, path::Path};

use anyhow::Result;

use crate::stream::Tls;

/// A `storescp` to which others send.
#[derive(Debug, Clone, Copy)]
pub struct Sink<'s> {
    /// With what it shows itself where it is sent to over TLS: folder with `ca.pem`, `SINK.cert.pem` and `SINK.key.pem`.
    pub identity: Option<&'s Path>,
}

impl Sink<'_> {
    /// Its AE title.
    pub const TITLE: &'static str = "SINK";
}

/// A system under load.
pub trait Server {
    /// The process whose CPU time and memory count, with its children.
    fn process(&self) -> u32;

    /// Where it tells what it does.
    fn log(&self) -> Option<&Path> {
        None
    }

    /// Where it takes C-STORE.
    fn dicom(&self) -> Option<Dicom<'_>> {
        None
    }

    /// How it sends to the sink.
    fn sink(&self) -> Sink<'_> {
        Sink { identity: None }
    }

    /// Where it takes STOW-RS and answers WADO-RS.
    fn web(&self) -> Option<Web<'_>> {
        None
    }
}

/// A door for associations.
#[derive(Debug, Clone, Copy)]
pub struct Dicom<'s> {
    /// Where.
    pub address: SocketAddr,
    /// Called AE title.
    pub called: &'s str,
    /// For our client: how it shows itself, where the door has TLS.
    pub tls: Option<&'s Tls>,
    /// For a foreign client: the folder with `ca.pem`, `BENCH.cert.pem` and `BENCH.key.pem`.
    pub identity: Option<&'s Path>,
}

/// A door for DICOMweb over HTTP/1.1.
#[derive(Debug, Clone, Copy)]
pub struct Web<'s> {
    /// Where.
    pub address: SocketAddr,
    /// Whom the client trusts, where the door has TLS.
    pub tls: Option<&'s Tls>,
    /// Header lines that each request carries, each with its line end.
    pub headers: &'s str,
}

/// AE title of the load clients.
pub const CALLING: &str = "BENCH";

/// How one of the systems is started; `folder` is fresh and empty.
pub struct System<'s> {
    /// As the tables name it.
    pub name: &'static str,
    /// Starts it.
    pub start: Start<'s>,
}

/// Starts a system in a folder.
pub type Start<'s> = Box<dyn Fn(&Path) -> Result<Box<dyn Server>> + 's>;
