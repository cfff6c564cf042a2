//! The audit events: a closed catalogue, one JSON object a leaf of the audit log.
//!
//! An event is about a principal, a study and an act, never about what a study says: the study is an opaque key id, and
//! every other field is a number, a time, an address, the name of a staff member or device, or a word from this module.
//! There is no field into which free text could be put.
//!
//! | field | is |
//! |---|---|
//! | `time` | RFC 3339, UTC |
//! | `kind` | `begin`, `end`, `deny`, `alarm`, `system` |
//! | `act` | the word for the operation, as in the permission table |
//! | `principal` | kind and name, such as `device:CT1` or `person:jansen`; absent where nothing was proved |
//! | `door` | `dimse`, `web`, `control` |
//! | `origin` | IP address and port of the peer, where there is one |
//! | `study` | 64 hexadecimal digits: the id of the study's key |
//! | `destination` | AE title of the enrolled device to which objects are sent, where another one asked for them |
//! | `begin` | for `end`: index of the leaf that opened the act |
//! | `count` | objects, rows or bytes, as the act counts |
//! | `outcome` | `done`, `partial`, `refused`, `failed`, `interrupted` |
//! | `detail` | a word that says more |
//! | `pack`, `offset` | for `torn`: number of the pack and first byte; `count` has the bytes |

use std::{borrow::Cow, net::SocketAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;

/// The longest label of a principal, in bytes.
pub const PRINCIPAL_BYTES: usize = 96;

/// The longest word for an act, in bytes.
pub const ACT_BYTES: usize = 48;

/// What sort of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An act was permitted and begins.
    Begin,
    /// An act ended, with its outcome.
    End,
    /// A request was refused.
    Deny,
    /// Something that a person should look at.
    Alarm,
    /// The node itself: started, stopped, keys, backups.
    System,
}

/// By which way the request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// DICOM over TLS.
    Dimse,
    /// HTTPS.
    Web,
    /// The control socket, or a command without a node.
    Control,
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// A part of it was done.
    Partial,
    /// It was refused.
    Refused,
    /// It failed.
    Failed,
    /// The peer or the node went away before the end.
    Interrupted,
}

/// The words that say more. New ones are added at the end; none changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Detail {
    // who
    /// No proof of identity was shown.
    NoProof,
    /// The certificate cannot be read.
    CertificateUnreadable,
    /// The certificate is not valid at this time.
    CertificateExpired,
    /// No device has this key.
    UnknownKey,
    /// The AE title is not the one bound to the key.
    AeNotBound,
    /// The enrolment of the device ended.
    DeviceExpired,
    /// No such token, session or code.
    UnknownSecret,
    /// The token, session or code ended.
    SecretExpired,
    /// The session lay idle for too long.
    SessionIdle,
    /// The directory could not be asked.
    DirectoryUnavailable,
    /// The source failed too often and has to wait.
    BackOff,
    // may
    /// The device lacks the right.
    DeviceRight,
    /// The role does not include the operation.
    Role,
    /// The study is not one of the principal's own.
    NotOwnStudy,
    /// There is no such thing.
    NotFound,
    /// The request itself is wrong.
    BadRequest,
    // store
    /// The same bytes were there already.
    Duplicate,
    /// Other bytes under a known SOP Instance UID; both are kept.
    Conflict,
    /// The bytes are no DICOM object within the limits.
    Malformed,
    /// A limit was reached.
    Limit,
    /// The object was kept in quarantine.
    Quarantined,
    // keep
    /// The storage failed.
    Storage,
    /// Stored bytes do not decrypt or do not match.
    Damaged,
    /// Vault, index and ledger disagree.
    Mismatch,
    // system
    /// The node started.
    Started,
    /// The node stopped.
    Stopped,
    /// The node was replayed after a crash.
    Recovered,
    /// An audit event was lost or could not be written.
    AuditGap,
    /// The clock went back.
    ClockBack,
    /// A key was made, rotated or destroyed.
    KeyChanged,
    /// A device, user or token was added.
    Added,
    /// A device, user or token was removed.
    Removed,
    /// A choice under `[dangerous]` is in force.
    Dangerous,
    /// The index was rebuilt from packs.
    Rebuilt,
    /// A start found bytes of a pack that are no record, with records behind them: a write that a loss of power tore.
    Torn,
}

/// Opaque id of a study: the id of its key. Never a UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StudyId(pub [u8; 32]);

impl Serialize for StudyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for StudyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        parse_hex(&text).map(Self).ok_or_else(|| de::Error::custom("a study id has 64 hexadecimal digits"))
    }
}

/// Why a text is no audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leaf is no audit event of this catalogue")]
pub struct EventError;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEvent {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// What sort of event it is.
    pub kind: Kind,
    /// The word for the operation: lowercase letters, digits and hyphens.
    pub act: Cow<'static, str>,
    /// Kind and name of the principal, without control characters; `None` where nothing was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// By which way.
    pub door: Door,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<SocketAddr>,
    /// About which study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyId>,
    /// AE title of the device to which objects are sent, where that is not the principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Index of the leaf that opened the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<u64>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// A word that says more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// In which pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<u64>,
    /// From which byte of the pack on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl AuditEvent {
    /// An event with nothing but what every event has. `act` is a word of the program, not of a request.
    #[must_use]
    pub fn new(time: OffsetDateTime, kind: Kind, act: &'static str, door: Door) -> Self {
        Self {
            time: time.to_offset(time::UtcOffset::UTC),
            kind,
            act: Cow::Borrowed(act),
            principal: None,
            door,
            origin: None,
            study: None,
            destination: None,
            begin: None,
            count: None,
            outcome: None,
            detail: None,
            pack: None,
            offset: None,
        }
    }

    /// The leaf.
    ///
    /// # Errors
    /// [`EventError`] where a field is out of its limits.
    pub fn to_leaf(&self) -> Result<Vec<u8>, EventError> {
        if !self.is_within_limits() {
            return Err(EventError);
        }
        serde_json::to_vec(self).map_err(|_| EventError)
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`EventError`] for everything that [`AuditEvent::to_leaf`] would not write.
    pub fn from_leaf(leaf: &[u8]) -> Result<Self, EventError> {
        let event: Self = serde_json::from_slice(leaf).map_err(|_| EventError)?;
        if event.is_within_limits() { Ok(event) } else { Err(EventError) }
    }

    fn is_within_limits(&self) -> bool {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_act = (1..=ACT_BYTES).contains(&self.act.len()) && self.act.bytes().all(is_word);
        let is_label = |label: &String| label.len() <= PRINCIPAL_BYTES && !label.chars().any(char::is_control);
        is_act && self.principal.as_ref().is_none_or(is_label) && self.destination.as_ref().is_none_or(is_label)
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (to, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
