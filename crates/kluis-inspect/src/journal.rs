//! The log of probes: each connection is a leaf of a tamper-evident log before it is made, and what came of it another.
//!
//! The log stands in the folder of the scan in the form of `kluis-ledger`, so that the same verifiers read it. Leaves hold
//! addresses, check names and outcomes; what a peer said is not in them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kluis_ledger::{Checkpoint, Log};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    InspectError,
    scope::{Scope, SigningKey, write_secret},
};

/// Folder of the log, its key and its verifier key, in the folder of the scan.
const FOLDER: &str = "probes";
const KEY: &str = "probes.key";
const VERIFIER_KEY: &str = "probes.vkey";
/// Name of the log.
const ORIGIN: &str = "kluis-inspect/probes";

/// The log of one scan.
pub struct Journal {
    log: Log,
    scope: String,
}

/// One leaf.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Leaf<'l> {
    /// A run begins.
    Begin {
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
        scope: &'l str,
        signer: &'l str,
        inspector: &'static str,
    },
    /// A connection is about to be made.
    Probe {
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
        scope: &'l str,
        to: SocketAddr,
        check: &'l str,
    },
    /// What came of a connection.
    Answer {
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
        probe: u64,
        outcome: &'l str,
    },
    /// A connection that was not made.
    Refusal {
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
        scope: &'l str,
        to: SocketAddr,
        check: &'l str,
        reason: &'l str,
    },
    /// A run ends.
    End {
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
        scope: &'l str,
        outcome: &'l str,
    },
}

impl Journal {
    /// Opens or makes the log in the folder of the scan.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn open(folder: &Path, scope: &Scope) -> Result<Self, InspectError> {
        let key = folder.join(KEY);
        let signer = if key.exists() {
            SigningKey::read(&key)?
        } else {
            let (signer, text) = SigningKey::generate(ORIGIN)?;
            write_secret(&key, &text)?;
            signer
        };
        let log = Log::open(&folder.join(FOLDER), &folder.join(VERIFIER_KEY), ORIGIN, Box::new(signer))?;
        Ok(Self { log, scope: scope.digest().to_owned() })
    }

    /// Where the verifier key of the log stands.
    #[must_use]
    pub fn verifier_key_path(folder: &Path) -> PathBuf {
        folder.join(VERIFIER_KEY)
    }

    pub(crate) fn begin(&self, time: OffsetDateTime, signer: &str) -> Result<(), InspectError> {
        let inspector = concat!("kluis-inspect ", env!("CARGO_PKG_VERSION"));
        self.append(&Leaf::Begin { time, scope: &self.scope, signer, inspector }).map(drop)
    }

    pub(crate) fn probe(&self, time: OffsetDateTime, to: SocketAddr, check: &str) -> Result<u64, InspectError> {
        self.append(&Leaf::Probe { time, scope: &self.scope, to, check })
    }

    pub(crate) fn answer(&self, time: OffsetDateTime, probe: u64, outcome: &str) -> Result<(), InspectError> {
        self.append(&Leaf::Answer { time, probe, outcome }).map(drop)
    }

    pub(crate) fn refusal(
        &self,
        time: OffsetDateTime,
        to: SocketAddr,
        check: &str,
        reason: &str,
    ) -> Result<(), InspectError> {
        self.append(&Leaf::Refusal { time, scope: &self.scope, to, check, reason }).map(drop)
    }

    pub(crate) fn end(&self, time: OffsetDateTime, outcome: &str) -> Result<(), InspectError> {
        self.append(&Leaf::End { time, scope: &self.scope, outcome }).map(drop)
    }

    /// Makes durable and signs what was logged so far. Blocks.
    ///
    /// # Errors
    /// [`InspectError::Ledger`].
    pub fn checkpoint(&self) -> Result<Checkpoint, InspectError> {
        Ok(self.log.checkpoint()?)
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// One leaf.
    ///
    /// # Errors
    /// [`InspectError::Ledger`].
    pub fn leaf(&self, index: u64) -> Result<Vec<u8>, InspectError> {
        Ok(self.log.entry(index)?)
    }

    fn append(&self, leaf: &Leaf<'_>) -> Result<u64, InspectError> {
        // every field has a form of JSON: an error cannot come
        let entry = serde_json::to_vec(leaf).unwrap_or_default();
        Ok(self.log.append(&[entry])?.start)
    }
}
