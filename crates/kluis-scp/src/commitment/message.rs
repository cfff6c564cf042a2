//! The data sets of storage commitment (PS3.4 J.3.2, J.3.3). Pure.

use std::collections::HashSet;

use kluis_archive::{Committed, Reference, Uncommitted};
use kluis_dicom::{
    AeTitle, Tag, Uid, data_set,
    limits::Limits,
    part10::{Event, Gate, Source, Value},
    transfer_syntax::Encoding,
};
use kluis_dimse::{Outcome, command::Status};
use serde_json::{Map, json};

use super::told;

const TRANSACTION_UID: Tag = Tag(0x0008, 0x1195);
const REFERENCED_SOP_SEQUENCE: Tag = Tag(0x0008, 0x1199);
const REFERENCED_SOP_CLASS_UID: Tag = Tag(0x0008, 0x1150);
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);

/// Reads a request: Transaction UID and what it names, each instance once.
///
/// # Errors
/// 0115H or 0110H with what is wrong; no value is told.
pub(super) fn read(transfer_syntax: &Uid, data_set: &[u8]) -> Result<(Uid, Vec<Reference>), Outcome> {
    let mut gate = Gate::new(Source::DataSet { transfer_syntax: transfer_syntax.clone() }, Limits::default())
        .map_err(|_| Status::PROCESSING_FAILURE)?;
    let unreadable = |_| told(Status::INVALID_ARGUMENT_VALUE, "the data set cannot be read");
    gate.push(data_set).map(|_| ()).map_err(unreadable)?;
    let (_, outline) = gate.finish().map_err(unreadable)?;
    let (mut transaction, mut references) = (None, Vec::new());
    let (mut depth, mut is_referenced) = (0_u32, false);
    let (mut class, mut instance): (Option<Uid>, Option<Uid>) = (None, None);
    let mut named = HashSet::new();
    for event in outline.header.events() {
        match event {
            Event::SequenceStart { tag } => {
                is_referenced |= depth == 0 && tag == REFERENCED_SOP_SEQUENCE;
                depth = depth.saturating_add(1);
            }
            Event::SequenceEnd => {
                depth = depth.saturating_sub(1);
                is_referenced &= depth > 0;
            }
            Event::ItemStart if depth == 1 => (class, instance) = (None, None),
            Event::ItemEnd if depth == 1 && is_referenced => match (class.take(), instance.take()) {
                (Some(sop_class), Some(sop_instance)) => {
                    if named.insert(sop_instance.clone()) {
                        references.push(Reference { sop_class, sop_instance });
                    }
                }
                _ => return Err(told(Status::INVALID_ARGUMENT_VALUE, "an item names no SOP class and instance")),
            },
            Event::Element { tag, value: Value::Inline(bytes), .. } => match (depth, tag) {
                (0, TRANSACTION_UID) => transaction = Uid::from_value(bytes).ok(),
                (1, REFERENCED_SOP_CLASS_UID) => class = Uid::from_value(bytes).ok(),
                (1, REFERENCED_SOP_INSTANCE_UID) => instance = Uid::from_value(bytes).ok(),
                _ => {}
            },
            _ => {}
        }
    }
    let transaction =
        transaction.ok_or_else(|| told(Status::INVALID_ARGUMENT_VALUE, "Transaction UID is missing or invalid"))?;
    if references.is_empty() {
        return Err(told(Status::INVALID_ARGUMENT_VALUE, "no instance is named"));
    }
    Ok((transaction, references))
}

/// The event type and the data set of the answer: 1 where all is committed to, else 2.
pub(super) fn write(transaction: &Uid, committed: &Committed, ae: &AeTitle, encoding: Encoding) -> (u16, Vec<u8>) {
    let item = |reference: &Reference| {
        let mut item = Map::new();
        item.insert("00081150".to_owned(), json!({ "vr": "UI", "Value": [reference.sop_class.as_str()] }));
        item.insert("00081155".to_owned(), json!({ "vr": "UI", "Value": [reference.sop_instance.as_str()] }));
        item
    };
    let mut attributes = Map::new();
    attributes.insert("00080054".to_owned(), json!({ "vr": "AE", "Value": [ae.as_str()] }));
    attributes.insert("00081195".to_owned(), json!({ "vr": "UI", "Value": [transaction.as_str()] }));
    if !committed.held.is_empty() {
        let items: Vec<_> = committed.held.iter().map(item).collect();
        attributes.insert("00081199".to_owned(), json!({ "vr": "SQ", "Value": items }));
    }
    if !committed.failed.is_empty() {
        let failed = committed.failed.iter().map(|(reference, why)| {
            let mut item = item(reference);
            item.insert("00081197".to_owned(), json!({ "vr": "US", "Value": [reason(*why)] }));
            item
        });
        attributes.insert("00081198".to_owned(), json!({ "vr": "SQ", "Value": failed.collect::<Vec<_>>() }));
    }
    let event_type = if committed.failed.is_empty() { 1 } else { 2 };
    (event_type, data_set::write(&attributes, encoding))
}

/// Failure Reason (0008,1197), PS3.3 C.14.1.1.
fn reason(why: Uncommitted) -> u16 {
    match why {
        Uncommitted::Absent => Status::NO_SUCH_SOP_INSTANCE.0,
        Uncommitted::ClassConflict => Status::CLASS_INSTANCE_CONFLICT.0,
        Uncommitted::Unreadable => Status::PROCESSING_FAILURE.0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::answer::encoding;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn request(attributes: &Json) -> Vec<u8> {
        data_set::write(attributes.as_object().unwrap(), encoding(EXPLICIT).unwrap())
    }

    fn item(class: &str, instance: &str) -> Json {
        json!({ "00081150": { "vr": "UI", "Value": [class] }, "00081155": { "vr": "UI", "Value": [instance] } })
    }

    #[test]
    fn a_request_names_a_transaction_and_instances() {
        let uid = EXPLICIT.parse().unwrap();
        let transaction = json!({ "vr": "UI", "Value": ["1.2.9"] });
        let bytes = request(&json!({ "00081195": transaction,
            "00081199": { "vr": "SQ", "Value": [item("1.2.3", "1.2.4"), item("1.2.3", "1.2.5"), item("1.2.3", "1.2.4")] } }));
        let (read_transaction, references) = read(&uid, &bytes).unwrap();
        assert_eq!(read_transaction.as_str(), "1.2.9");
        let named: Vec<_> = references.iter().map(|of| (of.sop_class.as_str(), of.sop_instance.as_str())).collect();
        assert_eq!(named, [("1.2.3", "1.2.4"), ("1.2.3", "1.2.5")]);
        for wrong in [
            json!({ "00081195": transaction }),
            json!({ "00081195": transaction, "00081199": { "vr": "SQ", "Value": [{}] } }),
            json!({ "00081199": { "vr": "SQ", "Value": [item("1.2.3", "1.2.4")] } }),
        ] {
            assert_eq!(read(&uid, &request(&wrong)).unwrap_err().status, Status::INVALID_ARGUMENT_VALUE, "{wrong}");
        }
        assert_eq!(read(&uid, b"nonsense").unwrap_err().status, Status::INVALID_ARGUMENT_VALUE);
    }
}
