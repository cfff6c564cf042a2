//! The answer to a store request (PS3.18 10.5.3, Annex I): which instances were kept, which not, and why.

use std::fmt::Write as _;

use http::StatusCode;
use kluis_dicom::Uid;
use serde_json::{Map, Value, json};

/// Failure and warning reasons (PS3.18 I.2, PS3.4 Table B.2-1).
pub mod reason {
    /// Referenced SOP class not supported.
    pub const SOP_CLASS_NOT_SUPPORTED: u16 = 0x0122;
    /// Duplicate SOP instance: other bytes are stored under this UID. The bytes of this one are kept as a conflict.
    pub const DUPLICATE_INSTANCE: u16 = 0x0111;
    /// Processing failure.
    pub const PROCESSING: u16 = 0x0110;
    /// Not authorised.
    pub const NOT_AUTHORIZED: u16 = 0x0124;
    /// Out of resources: too large, or no space.
    pub const OUT_OF_RESOURCES: u16 = 0xA700;
    /// Data set does not match SOP class; also: the study is not the one that the request names.
    pub const DOES_NOT_MATCH: u16 = 0xA900;
    /// Cannot understand: the bytes are no DICOM object.
    pub const CANNOT_UNDERSTAND: u16 = 0xC000;
    /// Referenced transfer syntax not supported.
    pub const TRANSFER_SYNTAX_NOT_SUPPORTED: u16 = 0xC122;
    /// Warning: coercion of data elements.
    pub const COERCION: u16 = 0xB000;
}

/// What became of a request, instance by instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Where the study can be retrieved: Retrieve URL of the whole; none where nothing was stored or several studies.
    pub study_url: Option<String>,
    /// What was kept.
    pub stored: Vec<Stored>,
    /// What was not.
    pub failed: Vec<Failed>,
}

/// One instance that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Where it can be retrieved.
    pub url: String,
    /// Warning reason, where there is one.
    pub warning: Option<u16>,
}

/// One instance that was not kept. Without UIDs it is listed among the other failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// SOP Class UID, where it was read.
    pub sop_class: Option<Uid>,
    /// SOP Instance UID, where it was read.
    pub sop_instance: Option<Uid>,
    /// Failure reason, see [`reason`].
    pub reason: u16,
    /// What the whole request is answered with where nothing was stored and all failed alike: 409, 413, 503…
    pub status: StatusCode,
}

impl StoreReport {
    /// 200 where all were kept, 202 where some were or with warnings, else what the failures have in common, or 409.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let has_warnings = self.stored.iter().any(|stored| stored.warning.is_some());
        match (self.stored.is_empty(), self.failed.first()) {
            (false, None) if !has_warnings => StatusCode::OK,
            (false, _) => StatusCode::ACCEPTED,
            (true, None) => StatusCode::BAD_REQUEST,
            (true, Some(first)) if self.failed.iter().all(|failed| failed.status == first.status) => first.status,
            (true, Some(_)) => StatusCode::CONFLICT,
        }
    }

    /// The response data set in the DICOM JSON model.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut root = Map::new();
        if let Some(url) = &self.study_url {
            root.insert("00081190".into(), json!({"vr": "UR", "Value": [url]}));
        }
        let (named, unnamed): (Vec<&Failed>, Vec<&Failed>) = self.failed.iter().partition(|failed| failed.is_named());
        let mut sequence = |tag: &str, items: Vec<Value>| {
            if !items.is_empty() {
                root.insert(tag.into(), json!({"vr": "SQ", "Value": items}));
            }
        };
        sequence("00081198", named.iter().map(|failed| failed.to_json()).collect());
        sequence("00081199", self.stored.iter().map(Stored::to_json).collect());
        sequence("0008119A", unnamed.iter().map(|failed| failed.to_json()).collect());
        Value::Object(root).to_string().into_bytes()
    }

    /// The response data set in the Native DICOM Model (PS3.19 A.1).
    #[must_use]
    pub fn to_xml(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><NativeDicomModel>");
        if let Some(url) = &self.study_url {
            attribute(&mut out, "00081190", "UR", "RetrieveURL", url);
        }
        let (named, unnamed): (Vec<&Failed>, Vec<&Failed>) = self.failed.iter().partition(|failed| failed.is_named());
        sequence(&mut out, "00081198", "FailedSOPSequence", &named, |out, failed| failed.write_xml(out));
        let stored: Vec<&Stored> = self.stored.iter().collect();
        sequence(&mut out, "00081199", "ReferencedSOPSequence", &stored, |out, stored| stored.write_xml(out));
        sequence(&mut out, "0008119A", "OtherFailuresSequence", &unnamed, |out, failed| failed.write_xml(out));
        out.push_str("</NativeDicomModel>");
        out.into_bytes()
    }
}

impl Stored {
    fn to_json(&self) -> Value {
        let mut item = Map::new();
        item.insert("00081150".into(), json!({"vr": "UI", "Value": [self.sop_class]}));
        item.insert("00081155".into(), json!({"vr": "UI", "Value": [self.sop_instance]}));
        item.insert("00081190".into(), json!({"vr": "UR", "Value": [self.url]}));
        if let Some(warning) = self.warning {
            item.insert("00081196".into(), json!({"vr": "US", "Value": [warning]}));
        }
        Value::Object(item)
    }

    fn write_xml(&self, out: &mut String) {
        attribute(out, "00081150", "UI", "ReferencedSOPClassUID", self.sop_class.as_str());
        attribute(out, "00081155", "UI", "ReferencedSOPInstanceUID", self.sop_instance.as_str());
        attribute(out, "00081190", "UR", "RetrieveURL", &self.url);
        if let Some(warning) = self.warning {
            attribute(out, "00081196", "US", "WarningReason", &warning.to_string());
        }
    }
}

impl Failed {
    fn is_named(&self) -> bool {
        self.sop_class.is_some() && self.sop_instance.is_some()
    }

    fn to_json(&self) -> Value {
        let mut item = Map::new();
        if let (Some(class), Some(instance)) = (&self.sop_class, &self.sop_instance) {
            item.insert("00081150".into(), json!({"vr": "UI", "Value": [class]}));
            item.insert("00081155".into(), json!({"vr": "UI", "Value": [instance]}));
        }
        item.insert("00081197".into(), json!({"vr": "US", "Value": [self.reason]}));
        Value::Object(item)
    }

    fn write_xml(&self, out: &mut String) {
        if let (Some(class), Some(instance)) = (&self.sop_class, &self.sop_instance) {
            attribute(out, "00081150", "UI", "ReferencedSOPClassUID", class.as_str());
            attribute(out, "00081155", "UI", "ReferencedSOPInstanceUID", instance.as_str());
        }
        attribute(out, "00081197", "US", "FailureReason", &self.reason.to_string());
    }
}

fn sequence<T>(out: &mut String, tag: &str, keyword: &str, items: &[&T], write_item: impl Fn(&mut String, &T)) {
    if items.is_empty() {
        return;
    }
    // writing to a string cannot fail
    let _ = write!(out, "<DicomAttribute tag=\"{tag}\" vr=\"SQ\" keyword=\"{keyword}\">");
    for (index, item) in items.iter().enumerate() {
        let _ = write!(out, "<Item number=\"{}\">", index + 1);
        write_item(out, item);
        out.push_str("</Item>");
    }
    out.push_str("</DicomAttribute>");
}

fn attribute(out: &mut String, tag: &str, vr: &str, keyword: &str, value: &str) {
    let _ = write!(out, "<DicomAttribute tag=\"{tag}\" vr=\"{vr}\" keyword=\"{keyword}\"><Value number=\"1\">");
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out.push_str("</Value></DicomAttribute>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        text.parse().unwrap()
    }

    fn stored(warning: Option<u16>) -> Stored {
        Stored { sop_class: uid("1.1"), sop_instance: uid("1.2"), url: "/s?a&b".into(), warning }
    }

    fn failed(instance: Option<&str>, status: StatusCode) -> Failed {
        Failed {
            sop_class: instance.map(|_| uid("1.1")),
            sop_instance: instance.map(uid),
            reason: reason::CANNOT_UNDERSTAND,
            status,
        }
    }

    #[test]
    fn j01_j03_j04_j05_status() {
        let conflict = || failed(Some("1.3"), StatusCode::CONFLICT);
        let large = || failed(None, StatusCode::PAYLOAD_TOO_LARGE);
        for (stored, failed, status) in [
            (vec![stored(None)], vec![], 200),
            (vec![stored(None), stored(Some(reason::COERCION))], vec![], 202),
            (vec![stored(None)], vec![conflict()], 202),
            (vec![], vec![conflict()], 409),
            (vec![], vec![large(), large()], 413),
            (vec![], vec![conflict(), large()], 409),
            (vec![], vec![], 400),
        ] {
            let report = StoreReport { study_url: None, stored, failed };
            assert_eq!(report.status().as_u16(), status, "{report:?}");
        }
    }

    #[test]
    fn j01_j02_j27_json_lists_every_instance() {
        let report = StoreReport {
            study_url: Some("/dicom-web/studies/1".into()),
            stored: vec![stored(None)],
            failed: vec![failed(Some("1.3"), StatusCode::CONFLICT), failed(None, StatusCode::CONFLICT)],
        };
        let found: Value = serde_json::from_slice(&report.to_json()).unwrap();
        assert_eq!(
            found,
            json!({
                "00081190": {"vr": "UR", "Value": ["/dicom-web/studies/1"]},
                "00081198": {"vr": "SQ", "Value": [{
                    "00081150": {"vr": "UI", "Value": ["1.1"]},
                    "00081155": {"vr": "UI", "Value": ["1.3"]},
                    "00081197": {"vr": "US", "Value": [0xC000]},
                }]},
                "00081199": {"vr": "SQ", "Value": [{
                    "00081150": {"vr": "UI", "Value": ["1.1"]},
                    "00081155": {"vr": "UI", "Value": ["1.2"]},
                    "00081190": {"vr": "UR", "Value": ["/s?a&b"]},
                }]},
                "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]},
            })
        );
    }

    #[test]
    fn j11_xml_is_escaped_and_numbered() {
        let report = StoreReport { study_url: None, stored: vec![stored(None), stored(Some(1))], failed: vec![] };
        let xml = String::from_utf8(report.to_xml()).unwrap();
        assert!(xml.contains("<Item number=\"2\">"), "{xml}");
        assert!(xml.contains("<Value number=\"1\">/s?a&amp;b</Value>"), "{xml}");
        assert!(xml.contains("keyword=\"WarningReason\"><Value number=\"1\">1<"), "{xml}");
    }
}
