//! Every act that the product can perform, one variant each.
//!
//! A new act begins here: the compiler then asks for its row in the permission table ([`crate::decide`]), and the
//! refusal tests ask for its row in the tables of routes and SOP classes.

use kluis_dicom::{AeTitle, Uid};

/// A level of the query/retrieve information model (PS3.4 C.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Studies.
    Study,
    /// Series.
    Series,
    /// Instances.
    Instance,
}

/// One of the two append-only logs of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogName {
    /// One leaf per accepted version of an object.
    Objects,
    /// One leaf per audit event.
    Audit,
}

/// A study, or a part of one, named by its UIDs (PS3.18 10.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Study Instance UID.
    pub study: Uid,
    /// Series Instance UID.
    pub series: Option<Uid>,
    /// SOP Instance UID.
    pub instance: Option<Uid>,
}

impl Target {
    /// The whole study.
    #[must_use]
    pub fn study(study: Uid) -> Self {
        Self { study, series: None, instance: None }
    }

    /// One series.
    #[must_use]
    pub fn series(study: Uid, series: Uid) -> Self {
        Self { study, series: Some(series), instance: None }
    }

    /// One instance.
    #[must_use]
    pub fn instance(study: Uid, series: Uid, instance: Uid) -> Self {
        Self { study, series: Some(series), instance: Some(instance) }
    }
}

/// The way by which a request came in; every operation has refusal tests for each door it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// DICOM over TLS.
    Dimse,
    /// HTTPS.
    Web,
    /// The control socket of the node, or a command run without a node: the owner of the data directory.
    Control,
}

/// Every act that the product can perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Verification service (C-ECHO, PS3.4 Annex A).
    Echo,
    /// Store one instance (C-STORE, STOW-RS, import). The study is known only when the object has been read.
    Store {
        /// The study that the request names, where it names one.
        study: Option<Uid>,
    },
    /// Search (QIDO-RS, console list, later C-FIND).
    Search {
        /// What is listed.
        level: Level,
    },
    /// Retrieve objects, frames, bulk data or metadata: pictures and their attributes disclose alike.
    Retrieve {
        /// What is fetched.
        target: Target,
    },
    /// Have objects sent to a third (C-MOVE).
    Move {
        /// What is sent.
        target: Target,
        /// To which enrolled device.
        destination: AeTitle,
    },
    /// Ask whether objects are kept and whole (storage commitment, PS3.4 Annex J).
    Commit,
    /// Search or list the modality worklist (PS3.4 Annex K, the entries over REST).
    SearchWorklist,
    /// Add, replace or remove entries of the worklist.
    ManageWorklist,
    /// Make or change a performed procedure step (PS3.4 Annex F). The study is known only when the request has been read.
    PerformStep,
    /// Read the files of a log.
    ReadLedger {
        /// Which log.
        log: LogName,
    },
    /// See the console pages that hold no patient data of their own.
    ViewConsole,
    /// See the page from which files are stored; storing is an act of its own.
    ViewUpload,
    /// Load the program files of the viewer.
    ViewViewer,
    /// Read metrics.
    ReadMetrics,
    /// Read the description of the API.
    ReadApiDescription,
    /// End one's own session.
    SignOut,
    /// Enrol, list, show or remove devices.
    ManageDevices,
    /// Add, list or remove users and print their enrolment links.
    ManageUsers,
    /// Create, list or revoke tokens.
    ManageTokens,
    /// Hold vault, index and ledger against each other.
    VerifyArchive,
    /// Write a whole study to a medium, with proofs where wanted: these give away the commitment key of the study.
    Export {
        /// The study.
        study: Uid,
    },
}

impl Operation {
    /// The word for this act in the audit trail and in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Store { .. } => "store",
            Self::Search { level: Level::Study } => "search-studies",
            Self::Search { level: Level::Series } => "search-series",
            Self::Search { level: Level::Instance } => "search-instances",
            Self::Retrieve { .. } => "retrieve",
            Self::Move { .. } => "move",
            Self::Commit => "commit",
            Self::SearchWorklist => "search-worklist",
            Self::ManageWorklist => "manage-worklist",
            Self::PerformStep => "perform-step",
            Self::ReadLedger { log: LogName::Objects } => "read-objects-log",
            Self::ReadLedger { log: LogName::Audit } => "read-audit-log",
            Self::ViewConsole => "view-console",
            Self::ViewUpload => "view-upload",
            Self::ViewViewer => "view-viewer",
            Self::ReadMetrics => "read-metrics",
            Self::ReadApiDescription => "read-api-description",
            Self::SignOut => "sign-out",
            Self::ManageDevices => "manage-devices",
            Self::ManageUsers => "manage-users",
            Self::ManageTokens => "manage-tokens",
            Self::VerifyArchive => "verify-archive",
            Self::Export { .. } => "export",
        }
    }

    /// The study that the act is about, where the request names one.
    #[must_use]
    pub fn study(&self) -> Option<&Uid> {
        match self {
            Self::Store { study } => study.as_ref(),
            Self::Retrieve { target } | Self::Move { target, .. } => Some(&target.study),
            Self::Export { study } => Some(study),
            _ => None,
        }
    }

    /// The device to which the act sends objects, where that is another than who asks.
    #[must_use]
    pub fn destination(&self) -> Option<&AeTitle> {
        match self {
            Self::Move { destination, .. } => Some(destination),
            _ => None,
        }
    }
}
