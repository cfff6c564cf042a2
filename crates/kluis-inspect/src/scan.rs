//! What a scan found: assets, their services and findings. Its JSON form has a version and is what every report is made
//! from.
//!
//! May not hold: what a peer said of a patient; names of files; bodies; data sets. The few words that a peer says of itself
//! (implementation, server) are cut and cleaned by [`words_of_peer`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{rule::Rule, stop::StopReason};

/// The form of [`Scan`]. A reader refuses another one.
pub const SCHEMA: &str = "kluis-inspect/scan/1";

/// How far a stranger gets. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub enum Level {
    /// Closed.
    #[default]
    E0,
    /// Speaks DICOM or HTTP, and refuses.
    E1,
    /// Associates with, or answers, anybody.
    E2,
    /// Anybody may ask which records there are.
    E3,
    /// Anybody may count the records.
    E4,
    /// Anybody may retrieve or write.
    E5,
}

/// On what a statement rests. Ordered by weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Somebody else says so; nothing was sent.
    Imported,
    /// It follows from what else is known.
    #[default]
    Inferred,
    /// The peer agreed to it, and it was not done.
    Negotiated,
    /// It was done, with a key that nothing matches.
    Proved,
}

/// How bad. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// To know.
    Info,
    /// Minor.
    Low,
    /// To be mended.
    Medium,
    /// To be mended now.
    High,
    /// To be switched off now.
    Critical,
}

/// From A, nothing to do, to F, open to the world. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grade {
    /// Refuses strangers, encrypted.
    A,
    /// Minor findings.
    B,
    /// In clear, or held by an AE title alone.
    C,
    /// Open within, or in clear to the world.
    D,
    /// Open to the world.
    F,
}

/// Who can reach an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// The owner's own network.
    Internal,
    /// Everybody.
    Public,
}

/// How many records, and never exactly how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Bucket {
    /// None.
    #[serde(rename = "0")]
    None,
    /// 1 to 99.
    #[serde(rename = "1-99")]
    Tens,
    /// 100 to 9,999.
    #[serde(rename = "100-9999")]
    Thousands,
    /// 10,000 to 999,999.
    #[serde(rename = "10k-1M")]
    Many,
    /// A million or more.
    #[serde(rename = ">1M")]
    Millions,
}

impl Bucket {
    /// The bucket of a number.
    #[must_use]
    pub fn of(count: u64) -> Self {
        match count {
            0 => Self::None,
            1..=99 => Self::Tens,
            100..=9_999 => Self::Thousands,
            10_000..=999_999 => Self::Many,
            _ => Self::Millions,
        }
    }
}

/// One scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scan {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scope it was made under.
    pub scope: ScopeSummary,
    /// When it began; the first run, where it was resumed.
    #[serde(with = "time::serde::rfc3339")]
    pub begun: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub ended: OffsetDateTime,
    /// Why it ended early; none where everything was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// What was looked at.
    pub coverage: Coverage,
    /// The log of probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Everything that answered.
    pub assets: Vec<Asset>,
}

/// The scope, as a reader of the scan must know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScopeSummary {
    /// Whose estate.
    pub owner: String,
    /// Whom to call.
    pub contact: String,
    /// By what right.
    pub authority: String,
    /// SHA-256 of the scope file.
    pub digest: String,
    /// Verifier key of whoever signed it.
    pub signer: String,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Hosts that were looked at.
    pub hosts: u64,
    /// Of them, those where something listens.
    pub alive: u64,
    /// Hosts that were refused: names that lead out of the scope, public ones that are not controlled.
    pub refused: u64,
    /// Hosts that were left alone because they became slow.
    pub spared: u64,
}

/// The head of the log of probes when the scan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// How many leaves.
    pub size: u64,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The verifier key.
    pub key: String,
}

/// A thing at an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asset {
    /// Stays the same between scans: see [`crate::identity`].
    pub id: String,
    /// IP address.
    pub address: String,
    /// The name by which the scope knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Who can reach it.
    pub exposure: Exposure,
    /// Its worst.
    pub grade: Grade,
    /// Highest level of its services.
    pub level: Level,
    /// What listens.
    pub services: Vec<Service>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Signs that it is no real archive; it is then left out of sums.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_decoy: bool,
    /// It was left alone before the end, because it became slow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_spared: bool,
    /// Where other tools say so: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What listens at a port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    /// TCP port.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// How far a stranger gets.
    pub level: Level,
    /// On what the level rests.
    pub proof: Proof,
    /// How far a stranger gets without writing anything.
    pub read_level: Level,
    /// TLS, where it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What product it is.
    pub product: Product,
    /// The DICOM side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dicom: Option<Dicom>,
    /// The web side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Web>,
    /// How many studies, where counting was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub studies: Option<Bucket>,
    /// How many images, where counting was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Bucket>,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// DICOM upper layer.
    Dicom,
    /// HTTP.
    Http,
    /// TLS, and no telling what within.
    Tls,
    /// Something else.
    Other,
}

/// TLS of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Version that was agreed; none where the peer ended the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The oldest kind of version that it takes up, where that is older than TLS 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_version: Option<String>,
    /// The peer asks for a certificate.
    pub asks_for_certificate: bool,
    /// SHA-256 of the public key of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<String>,
    /// Until when its certificate is valid.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub not_after: Option<OffsetDateTime>,
    /// It is its own issuer.
    #[serde(default)]
    pub is_self_signed: bool,
}

/// A product, and how sure that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Name, or `unknown`.
    pub name: String,
    /// Version, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How sure.
    pub confidence: Confidence,
}

impl Default for Product {
    fn default() -> Self {
        Self { name: "unknown".to_owned(), version: None, confidence: Confidence::Unknown }
    }
}

/// How sure a fingerprint is. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Not known.
    Unknown,
    /// By a table of others.
    Likely,
    /// Measured, or read in the source of the product.
    Certain,
}

/// The DICOM side of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dicom {
    /// A called AE title that it does not have is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks_called_ae: Option<bool>,
    /// A calling AE title that it does not know is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks_calling_ae: Option<bool>,
    /// Result, source and reason of a rejection (PS3.8 9.3.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<[u8; 3]>,
    /// Implementation Class UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation_class_uid: Option<String>,
    /// Implementation Version Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation_version: Option<String>,
    /// Longest PDU it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_length: Option<u32>,
    /// Services of which it takes a context from a stranger.
    #[serde(default)]
    pub offered: Vec<String>,
    /// How searches with impossible keys and the like ended.
    #[serde(default)]
    pub outcomes: BTreeMap<String, String>,
    /// It takes a context of a SOP class that does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub takes_any_class: bool,
    /// It found something under a key that nothing has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignores_keys: bool,
}

/// The web side of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Web {
    /// Status of `/`.
    pub status: u16,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How each check ended.
    #[serde(default)]
    pub outcomes: BTreeMap<String, String>,
    /// Files that were looked at, and of them those that are DICOM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<[u32; 2]>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stays the same between scans: asset, rule and port.
    pub id: String,
    /// What.
    pub rule: Rule,
    /// Check of the catalogue.
    pub check: String,
    /// Port.
    pub port: u16,
    /// How bad, here.
    pub severity: Severity,
    /// CVSS v4.0 base score of the condition.
    pub score: f32,
    /// Its vector.
    pub vector: String,
    /// Level that it opens.
    pub level: Level,
    /// On what it rests.
    pub proof: Proof,
    /// Who is to mend it.
    pub owner: String,
    /// How it is looked at again.
    pub retest: String,
    /// A CVE or the like, where the rule is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Scan {
    /// All findings with their assets.
    pub fn findings(&self) -> impl Iterator<Item = (&Asset, &Finding)> {
        self.assets.iter().flat_map(|asset| asset.findings.iter().map(move |finding| (asset, finding)))
    }

    /// The worst grade; A where nothing answered.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.assets.iter().filter(|asset| !asset.is_decoy).map(|asset| asset.grade).max().unwrap_or(Grade::A)
    }
}

/// What a peer says of itself, as far as it may be kept: a few printable ASCII characters.
#[must_use]
pub fn words_of_peer(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| (' '..='~').contains(c)).take(64).collect();
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}
