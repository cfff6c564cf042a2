//! The acts that the gate admits, one type each, so that a permit for one act is of no use for another.
//!
//! Each act is a variant of [`Operation`], which the permission table of `kluis-policy` decides on.

use kluis_dicom::{AeTitle, Uid};
use kluis_policy::{Level, LogName, Operation, Target};

/// An act about what a study holds.
pub trait Targeted: Act {
    /// What is fetched.
    fn target(&self) -> &Target;
}

/// Something that a principal asks to do.
pub trait Act: Clone + Send + Sync + 'static {
    /// The row of the permission table.
    fn operation(&self) -> Operation;

    /// Whether the audit entry must be durable before the act begins: true for whatever discloses.
    fn discloses(&self) -> bool {
        false
    }
}

/// Verification (C-ECHO).
#[derive(Debug, Clone)]
pub struct Echo;

/// Store one instance.
#[derive(Debug, Clone)]
pub struct Store {
    /// The study that the request names, where it names one.
    pub study: Option<Uid>,
}

/// Search at a level.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is listed.
    pub level: Level,
}

/// Retrieve objects, frames, bulk data or metadata.
#[derive(Debug, Clone)]
pub struct Retrieve {
    /// What is fetched.
    pub target: Target,
}

/// Have objects sent to an enrolled device (C-MOVE).
#[derive(Debug, Clone)]
pub struct Move {
    /// What is sent.
    pub target: Target,
    /// To which device.
    pub destination: AeTitle,
}

/// Write a whole study to a medium.
#[derive(Debug, Clone)]
pub struct Export {
    /// The study.
    pub study: Uid,
}

/// Ask, or be told, whether objects are kept and whole (storage commitment).
#[derive(Debug, Clone)]
pub struct Commit;

/// Search or list the modality worklist.
#[derive(Debug, Clone)]
pub struct SearchWorklist;

/// Add, replace or remove entries of the worklist.
#[derive(Debug, Clone)]
pub struct ManageWorklist;

/// Make or change a performed procedure step.
#[derive(Debug, Clone)]
pub struct PerformStep;

/// Read the files of a log.
#[derive(Debug, Clone)]
pub struct ReadLedger {
    /// Which log.
    pub log: LogName,
}

/// See console pages without patient data.
#[derive(Debug, Clone)]
pub struct ViewConsole;

/// See the page from which files are stored.
#[derive(Debug, Clone)]
pub struct ViewUpload;

/// Load the program files of the viewer.
#[derive(Debug, Clone)]
pub struct ViewViewer;

/// Read metrics.
#[derive(Debug, Clone)]
pub struct ReadMetrics;

/// Read the description of the API.
#[derive(Debug, Clone)]
pub struct ReadApiDescription;

/// End one's own session.
#[derive(Debug, Clone)]
pub struct SignOut;

/// Enrol, list, show or remove devices.
#[derive(Debug, Clone)]
pub struct ManageDevices;

/// Add, list or remove users.
#[derive(Debug, Clone)]
pub struct ManageUsers;

/// Create, list or revoke tokens.
#[derive(Debug, Clone)]
pub struct ManageTokens;

/// Hold vault, index and ledger against each other.
#[derive(Debug, Clone)]
pub struct VerifyArchive;

macro_rules! plain_acts {
    ($($act:ident),+ $(,)?) => {
        $(impl Act for $act {
            fn operation(&self) -> Operation {
                Operation::$act
            }
        })+
    };
}

plain_acts!(
    Echo,
    ViewConsole,
    ViewUpload,
    ViewViewer,
    ReadMetrics,
    ReadApiDescription,
    SignOut,
    ManageDevices,
    ManageUsers,
    ManageTokens,
    VerifyArchive,
    ManageWorklist,
    PerformStep,
);

impl Act for Store {
    fn operation(&self) -> Operation {
        Operation::Store { study: self.study.clone() }
    }
}

impl Act for Search {
    fn operation(&self) -> Operation {
        Operation::Search { level: self.level }
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Act for SearchWorklist {
    fn operation(&self) -> Operation {
        Operation::SearchWorklist
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Act for Retrieve {
    fn operation(&self) -> Operation {
        Operation::Retrieve { target: self.target.clone() }
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Targeted for Retrieve {
    fn target(&self) -> &Target {
        &self.target
    }
}

impl Act for Move {
    fn operation(&self) -> Operation {
        Operation::Move { target: self.target.clone(), destination: self.destination.clone() }
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Targeted for Move {
    fn target(&self) -> &Target {
        &self.target
    }
}

impl Act for Export {
    fn operation(&self) -> Operation {
        Operation::Export { study: self.study.clone() }
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Act for Commit {
    fn operation(&self) -> Operation {
        Operation::Commit
    }

    fn discloses(&self) -> bool {
        true
    }
}

impl Act for ReadLedger {
    fn operation(&self) -> Operation {
        Operation::ReadLedger { log: self.log }
    }

    fn discloses(&self) -> bool {
        true
    }
}
