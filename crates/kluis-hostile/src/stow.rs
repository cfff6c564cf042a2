//! A store request as it comes in (PS3.18 10.5): its Content-Type, its parts, each through the gate, and the report.

use kluis_dicom::{
    attributes,
    limits::Limits,
    part10::{Outline, Source},
};
use kluis_dicomweb::{
    media_type::MediaType,
    multipart::Related,
    stow::{Failed, StoreReport, Stored, reason},
};
use serde_json::Value;

use crate::{
    byte_gate::{limits, pass},
    input::{Input, slices},
    multipart::read_parts,
};

/// `content type line | seed of the slices (4) | body`
pub fn stow(data: &[u8]) {
    let mut input = Input(data);
    let line = String::from_utf8_lossy(input.line()).into_owned();
    let seed = input.long();
    let media = MediaType::parse(&line);
    let Ok(related) = Related::parse(Some(&line)) else {
        assert!(!media.is_some_and(|media| media.is("multipart/related") && media.parameter("boundary") == Some("b")));
        return;
    };
    let announced = related.root_type.as_deref();
    assert!(announced.is_none_or(|root| root.contains('/') && !root.contains(';')));
    let (parts, end) = read_parts(&related.boundary, &slices(seed, input.0));
    let mut report = StoreReport::default();
    for (headers, body, is_whole) in &parts {
        let is_dicom = headers
            .content_type
            .as_deref()
            .is_none_or(|text| MediaType::parse(text).is_some_and(|media| media.is("application/dicom")));
        if !is_dicom || !is_whole {
            report.failed.push(unnamed());
            continue;
        }
        store(body, seed, limits(0), &mut report);
    }
    if end.is_err() {
        report.failed.push(unnamed());
    }
    reported(&report);
}

fn store(body: &[u8], seed: u32, limits: Limits, report: &mut StoreReport) {
    let passed = pass(Source::File, limits, &slices(seed, body));
    let ids = |outline: &Outline| attributes::extract(outline).ok().map(|attributes| attributes.ids);
    match passed.ok().and_then(|(_, outline)| ids(&outline)) {
        Some(ids) => report.stored.push(Stored {
            url: format!("https://localhost/studies/{}/instances/{}", ids.study, ids.sop_instance),
            sop_class: ids.sop_class,
            sop_instance: ids.sop_instance,
            warning: None,
        }),
        None => report.failed.push(unnamed()),
    }
}

fn unnamed() -> Failed {
    Failed { sop_class: None, sop_instance: None, reason: reason::CANNOT_UNDERSTAND, status: http_status(409) }
}

fn http_status(code: u16) -> http::StatusCode {
    http::StatusCode::from_u16(code).unwrap_or_default()
}

/// Every instance is in the report once, in both of its forms.
fn reported(report: &StoreReport) {
    let count = report.stored.len() + report.failed.len();
    let json: Result<Value, _> = serde_json::from_slice(&report.to_json());
    assert!(json.is_ok(), "the report is no JSON");
    let json = json.unwrap_or_default();
    let items = |tag: &str| json.pointer(&format!("/{tag}/Value")).and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(
        items("00081198") + items("00081199") + items("0008119A"),
        count,
        "an instance is missing in the report"
    );
    assert_eq!(items("00081199"), report.stored.len());
    let xml = String::from_utf8(report.to_xml()).unwrap_or_default();
    assert_eq!(xml.matches("<Item ").count(), count);
    assert_eq!(xml.matches("<DicomAttribute ").count(), xml.matches("</DicomAttribute>").count());
    let status = report.status().as_u16();
    match (report.stored.is_empty(), report.failed.is_empty()) {
        (false, true) => assert_eq!(status, 200),
        (false, false) => assert_eq!(status, 202),
        (true, _) => assert!(status >= 400),
    }
}
