//! Who asks. There is no anonymous principal: without proof there is none at all.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a person or a service may do, as shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads and searches all studies.
    Radiologist,
    /// Stores by STOW-RS, and nothing else.
    Uploader,
    /// Reads the trail and the ledger; no images.
    Auditor,
    /// Reads and searches the studies that name this person as referring physician.
    Referrer,
    /// Keeps the modality worklist, and nothing else: the account of a RIS.
    Scheduler,
}

/// The word is none of the shipped roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown role; use one of admin, radiologist, uploader, auditor, referrer, scheduler")]
pub struct ParseRoleError;

impl Role {
    /// All roles, in the order in which they are documented.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::Radiologist, Self::Uploader, Self::Auditor, Self::Referrer, Self::Scheduler];

    /// The word a person types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Radiologist => "radiologist",
            Self::Uploader => "uploader",
            Self::Auditor => "auditor",
            Self::Referrer => "referrer",
            Self::Scheduler => "scheduler",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or(ParseRoleError)
    }
}

/// One right of an enrolled device. C-ECHO needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceRight {
    /// C-STORE.
    Store,
    /// C-FIND.
    Find,
    /// C-MOVE.
    Move,
    /// C-GET.
    Get,
    /// Storage commitment.
    Commit,
    /// Modality worklist.
    Worklist,
}

/// The word is none of the rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown right; use a list of store, find, move, get, commit, worklist")]
pub struct ParseRightError;

impl DeviceRight {
    /// All rights.
    pub const ALL: [Self; 6] = [Self::Store, Self::Find, Self::Move, Self::Get, Self::Commit, Self::Worklist];

    /// The word a person types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Find => "find",
            Self::Move => "move",
            Self::Get => "get",
            Self::Commit => "commit",
            Self::Worklist => "worklist",
        }
    }
}

/// The rights of one device. A new device may C-ECHO and C-STORE, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceRights(Vec<DeviceRight>);

impl Default for DeviceRights {
    fn default() -> Self {
        Self(vec![DeviceRight::Store])
    }
}

impl DeviceRights {
    /// Whether the right is among them.
    #[must_use]
    pub fn has(&self, right: DeviceRight) -> bool {
        self.0.contains(&right)
    }
}

impl fmt::Display for DeviceRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|right| right.as_str()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for DeviceRights {
    type Err = ParseRightError;

    /// A comma-separated list such as `store,find`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut rights = Vec::new();
        for word in s.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let right = DeviceRight::ALL.into_iter().find(|right| right.as_str() == word).ok_or(ParseRightError)?;
            if !rights.contains(&right) {
                rights.push(right);
            }
        }
        Ok(Self(rights))
    }
}

/// How the bytes travelled; written into the ledger leaf of every object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// DICOM over mutually authenticated TLS.
    DimseTls,
    /// HTTPS.
    Https,
    /// Read from a medium by the owner of the node.
    Local,
}

impl Transport {
    /// The word for it in ledger leaves and proofs; the same as its serialized form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DimseTls => "dimse-tls",
            Self::Https => "https",
            Self::Local => "local",
        }
    }
}

/// Who asks, after proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// An enrolled device, proved by its certificate. The AE title is a label bound to it.
    Device {
        /// The label (PS3.8 7.1.1.4).
        ae: String,
        /// SHA-256 of the certificate's public key info, hex.
        key_fingerprint: String,
        /// What it may do.
        rights: DeviceRights,
    },
    /// A person with a browser session.
    Person {
        /// The name under which the person was added.
        name: String,
        /// The role.
        role: Role,
        /// For [`Role::Referrer`]: the Referring Physician's Name of the person's own studies.
        referring: Option<String>,
    },
    /// A program with a bearer token.
    Service {
        /// The name under which the token was made.
        name: String,
        /// The role.
        role: Role,
        /// For [`Role::Referrer`]: the Referring Physician's Name of the service's own studies.
        referring: Option<String>,
    },
    /// The owner of the data directory, at the control socket or in a command without a node.
    Operator,
}

impl Principal {
    /// The role of a person or a service.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Person { role, .. } | Self::Service { role, .. } => Some(*role),
            Self::Device { .. } | Self::Operator => None,
        }
    }

    /// A stable word for logs and the audit trail: kind and name. Names of staff and devices only, never of patients.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Device { ae, .. } => format!("device:{ae}"),
            Self::Person { name, .. } => format!("person:{name}"),
            Self::Service { name, .. } => format!("service:{name}"),
            Self::Operator => "operator".to_owned(),
        }
    }
}
