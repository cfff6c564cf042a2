//! What is sealed beside the bytes of an object in its pack record: enough to rebuild index and ledger from packs alone.

use kluis_dicom::{attributes::InstanceIds, part10::Outline};
use kluis_keys::{KeyId, ObjectId, StudyKey};
use kluis_policy::Transport;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ArchiveError;

/// The version of [`InstanceRecord`] and of its leaf. Those before were never in a release.
const RECORD_VERSION: u8 = 3;

/// One accepted version of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    version: u8,
    pub(crate) ids: InstanceIds,
    /// BLAKE3 over the data set as received.
    pub(crate) digest: [u8; 32],
    /// Label of the principal that delivered it.
    pub(crate) sender: String,
    pub(crate) transport: Transport,
    /// Unix time in microseconds.
    pub(crate) received_at_us: i64,
    /// The version that was there before, for a conflict version.
    pub(crate) previous: Option<[u8; 16]>,
    /// Everything but the bulk values, with the places of those.
    pub(crate) outline: Outline,
}

impl InstanceRecord {
    pub(crate) fn new(
        ids: InstanceIds,
        digest: [u8; 32],
        sender: String,
        transport: Transport,
        received_at: OffsetDateTime,
        previous: Option<[u8; 16]>,
        outline: Outline,
    ) -> Self {
        Self {
            version: RECORD_VERSION,
            ids,
            digest,
            sender,
            transport,
            received_at_us: microseconds(received_at),
            previous,
            outline,
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ArchiveError> {
        postcard::to_stdvec(self).map_err(|_| ArchiveError::Record)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        if bytes.first() != Some(&RECORD_VERSION) {
            return Err(ArchiveError::Record);
        }
        postcard::from_bytes(bytes).map_err(|_| ArchiveError::Record)
    }

    pub(crate) fn received_at(&self) -> OffsetDateTime {
        from_microseconds(self.received_at_us)
    }

    /// The leaf of the objects log: a keyed commitment, so that the log tells nothing about a person once the study
    /// key is destroyed, and yet proves every version while it exists.
    pub(crate) fn leaf(&self, object: ObjectId, study: KeyId, key: &StudyKey) -> Vec<u8> {
        let leaf = Leaf {
            v: self.version,
            object,
            study: study.to_string(),
            commitment: hex(&key.commit(&self.commitment_message(object))),
            transport: self.transport,
        };
        serde_json::to_vec(&leaf).unwrap_or_default()
    }

    /// Fields in fixed order, each with its length before it, so that no two records give the same message. Described for
    /// others in `docs/book/proof.md`.
    fn commitment_message(&self, object: ObjectId) -> Vec<u8> {
        let received_at = self.received_at_us.to_be_bytes();
        let ids = &self.ids;
        let previous = self.previous.map(|object| object.to_vec()).unwrap_or_default();
        let mut fields: Vec<&[u8]> = vec![b"kluis/object-leaf/3", &object.0, &self.digest];
        let uids = [&ids.study, &ids.series, &ids.sop_instance, &ids.sop_class, &self.outline.transfer_syntax];
        fields.extend(uids.map(|uid| uid.as_str().as_bytes()));
        fields.extend([self.sender.as_bytes(), self.transport.name().as_bytes(), &received_at, &previous]);
        let mut message = Vec::with_capacity(512);
        for field in fields {
            message.extend_from_slice(&(field.len() as u64).to_be_bytes());
            message.extend_from_slice(field);
        }
        message
    }
}

/// A leaf of the objects log as it stands in the entry bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    v: u8,
    pub(crate) object: ObjectId,
    pub(crate) study: String,
    pub(crate) commitment: String,
    transport: Transport,
}

pub(crate) fn microseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn from_microseconds(microseconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
