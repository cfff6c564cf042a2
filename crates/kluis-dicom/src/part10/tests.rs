//! What the gate lets in, what it refuses, and that both do not depend on how the bytes arrive.

mod arrival;
mod heads;
mod hostile;
mod structure;

use super::{DataSetBytes, Gate, Outline, Refusal, Source};
use crate::limits::Limits;

const IMPLICIT_UID: &str = "1.2.840.10008.1.2";
const EXPLICIT_UID: &str = "1.2.840.10008.1.2.1";
const DEFLATED_UID: &str = "1.2.840.10008.1.2.1.99";
const BIG_UID: &str = "1.2.840.10008.1.2.2";
const JPEG_UID: &str = "1.2.840.10008.1.2.4.50";

fn data_set(uid: &str) -> Source {
    Source::DataSet { transfer_syntax: uid.parse().unwrap() }
}

/// Pushes pieces; gives the bytes of the data set as the gate gave them, and the outline.
fn pass<'a>(
    source: Source,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Outline), Refusal> {
    let mut gate = Gate::new(source, limits)?;
    let mut kept = Vec::new();
    let mut keep = |bytes: DataSetBytes<'_>| {
        kept.extend_from_slice(&bytes.carried);
        kept.extend_from_slice(bytes.rest);
    };
    for piece in pieces {
        keep(gate.push(piece)?);
    }
    let (last, outline) = gate.finish()?;
    keep(last);
    Ok((kept, outline))
}
