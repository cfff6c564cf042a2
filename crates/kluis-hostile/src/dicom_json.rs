//! DICOM JSON and the attributes of the index out of any header (PS3.18 F): always one valid document, of bounded length,
//! the same each time.

use kluis_dicom::{
    attributes::{self, Attributes},
    json,
    limits::Limits,
    part10::Outline,
};
use serde_json::Value;

use crate::{
    byte_gate::{pass, source},
    input::Input,
};

/// Characters of a key of the index.
const KEY_CHARACTERS: usize = 1024;

/// `source (1) | bytes`
pub fn dicom_json(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    // the real depth, so that the document nests as deep as one ever may
    let limits = Limits { object_bytes: 1 << 20, inflate_free_bytes: 128 << 10, ..Limits::default() };
    let Ok((_, outline)) = pass(source(choice), limits, &[input.0]) else { return };
    let mut text = Vec::new();
    json::write(&outline, &|index| format!("../bulk/{index}"), &mut text);
    let bulk = outline.header.bulk().len();
    let most = 24 * outline.header.as_bytes().len() + 64 * bulk + 64;
    assert!(text.len() <= most, "{} bytes of JSON from a header of {}", text.len(), outline.header.as_bytes().len());
    let document: Result<Value, _> = serde_json::from_slice(&text);
    assert!(document.is_ok(), "no JSON: {document:?}");
    let Ok(Value::Object(object)) = document else { return };
    shaped(&Value::Object(object), 0);
    let mut again = Vec::new();
    json::write_header(&outline.header, &|index| format!("../bulk/{index}"), &mut again);
    assert_eq!(text, again);
    extracted(&outline);
}

/// Every key is a tag, every attribute has a VR and at most one form of value.
fn shaped(object: &Value, depth: usize) {
    assert!(depth <= 32);
    for (tag, attribute) in object.as_object().into_iter().flatten() {
        assert!(tag.len() == 8 && tag.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit)));
        let vr = attribute.get("vr").and_then(Value::as_str).unwrap_or_default();
        assert!(vr.len() == 2 && vr.bytes().all(|letter| letter.is_ascii_uppercase()), "{tag} has the VR {vr:?}");
        let forms = ["Value", "InlineBinary", "BulkDataURI"].iter().filter(|form| attribute.get(**form).is_some());
        assert!(forms.count() <= 1, "{tag} has two values");
        if vr == "SQ" {
            for item in attribute.get("Value").and_then(Value::as_array).into_iter().flatten() {
                shaped(item, depth + 1);
            }
        }
    }
}

fn extracted(outline: &Outline) {
    let Ok(attributes) = attributes::extract(outline) else { return };
    let keys = [
        &attributes.study.patient_id,
        &attributes.study.patient_name,
        &attributes.study.birth_date,
        &attributes.study.date,
        &attributes.study.time,
        &attributes.study.accession,
        &attributes.study.description,
        &attributes.study.referring,
        &attributes.series.modality,
        &attributes.series.description,
        &attributes.series.scheduled_step_id,
        &attributes.series.requested_procedure_id,
    ];
    for key in keys {
        assert!(key.chars().count() <= KEY_CHARACTERS, "a key of {} bytes", key.len());
    }
    let text = serde_json::to_vec(&attributes);
    assert!(text.is_ok());
    let read: Result<Attributes, _> = serde_json::from_slice(&text.unwrap_or_default());
    assert!(read.is_ok_and(|read| read == attributes), "kept and read, they are other attributes");
    assert!(attributes::extract(outline).is_ok_and(|again| again == attributes));
}
