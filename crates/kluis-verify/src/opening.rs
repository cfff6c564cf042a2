//! What a leaf commits to, recomputed from the opening.

use aws_lc_rs::hmac;
use kluis_ledger::{Checkpoint, leaf_hash, proof::verify_inclusion};
use serde::Deserialize;

use crate::proof::{Head, Object, Opening, unhex};

/// The version of leaves. Those before were never in a release.
const LEAF_VERSION: u8 = 3;

/// An entry of the objects log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    v: u8,
    object: String,
    study: String,
    commitment: String,
    transport: String,
}

/// Whether the entry commits to what the opening says, and the log under this checkpoint holds the entry; else why not.
pub(crate) fn check(head: &Head, checkpoint: &Checkpoint, object: &Object) -> Result<(), &'static str> {
    check_commitment(head, object)?;
    check_inclusion(checkpoint, object)
}

/// Whether the log holds the entry.
pub(crate) fn check_inclusion(checkpoint: &Checkpoint, object: &Object) -> Result<(), &'static str> {
    let leaf = object.leaf.as_ref().ok_or("the log has no leaf of it")?;
    verify_inclusion(&leaf_hash(&leaf.entry()), leaf.index, checkpoint.size, &leaf.path(), &checkpoint.root)
        .map_err(|_| "its leaf is not in the log under this checkpoint")
}

/// Whether the entry is of this study.
pub(crate) fn is_of_study(head: &Head, object: &Object) -> bool {
    entry(object).is_ok_and(|entry| entry.study == head.study)
}

/// The commitment binds: with a key of exactly 32 bytes, another key or message with the same HMAC-SHA256 would be a second
/// preimage of SHA-256.
pub(crate) fn check_commitment(head: &Head, object: &Object) -> Result<(), &'static str> {
    let entry = entry(object)?;
    let opening = object.opening.as_ref().ok_or("what its leaf commits to is not told")?;
    if entry.v != LEAF_VERSION {
        return Err("its leaf is of a form that this program does not know");
    }
    if entry.study != head.study || entry.object != opening.object || entry.transport != opening.transport {
        return Err("its leaf is of another object");
    }
    let key = unhex::<32>(&head.commitment_key).ok_or("the commitment key is wrong")?;
    let claimed = unhex::<32>(&entry.commitment).ok_or("its leaf cannot be read")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let message = message(head, opening).ok_or("what its leaf commits to is not told")?;
    hmac::verify(&key, &message, &claimed).map_err(|_| "its leaf does not commit to what the proof says of it")
}

fn entry(object: &Object) -> Result<Entry, &'static str> {
    let leaf = object.leaf.as_ref().ok_or("the log has no leaf of it")?;
    serde_json::from_slice(&leaf.entry()).map_err(|_| "its leaf cannot be read")
}

fn message(head: &Head, opening: &Opening) -> Option<Vec<u8>> {
    let (object, digest) = (unhex::<16>(&opening.object)?, unhex::<32>(&opening.digest)?);
    let previous = match &opening.previous {
        Some(previous) => unhex::<16>(previous)?.to_vec(),
        None => Vec::new(),
    };
    let received_at = opening.received_at_us.to_be_bytes();
    let fields: [&[u8]; 12] = [
        b"kluis/object-leaf/3",
        &object,
        &digest,
        head.study_uid.as_bytes(),
        opening.series.as_bytes(),
        opening.sop_instance.as_bytes(),
        opening.sop_class.as_bytes(),
        opening.transfer_syntax.as_bytes(),
        opening.sender.as_bytes(),
        opening.transport.as_bytes(),
        &received_at,
        &previous,
    ];
    let mut message = Vec::with_capacity(512);
    for field in fields {
        message.extend_from_slice(&(field.len() as u64).to_be_bytes());
        message.extend_from_slice(field);
    }
    Some(message)
}
