//! CSAF 2.0 (OASIS), profile `csaf_security_incident_response`: what was found of whose estate, for a CERT.
//!
//! The scan says how things are configured. That is no flaw of a product with a CVE, so the document makes no
//! statement of that kind; the profile for that (`csaf_vex`) is for advisories about a product.

use serde_json::{Value, json};

use super::{rfc3339, uuid_of};
use crate::{rule::Language, scan::Scan};

/// The scan as a CSAF document.
#[must_use]
pub fn csaf(scan: &Scan) -> Value {
    let id = format!("kluis-inspect-{}", uuid_of(&format!("{} {}", scan.scope.digest, rfc3339(scan.begun))));
    let mut notes = vec![json!({
        "category": "summary",
        "title": "Summary",
        "text": format!(
            "{} hosts were looked at and {} answered. Grade {:?}.",
            scan.coverage.hosts, scan.coverage.alive, scan.grade()
        ),
    })];
    for (asset, finding) in scan.findings() {
        let Some(entry) = finding.rule.entry() else { continue };
        let words = entry.words(Language::En);
        let host = asset.name.as_deref().unwrap_or(&asset.address);
        notes.push(json!({
            "category": "details",
            "title": format!("{}: {} port {}", words.title, host, finding.port),
            "text": format!(
                "{} {} Severity {:?}, level {:?}, {:?}; CVSS v4.0 {} ({:.1}). Finding {}.",
                words.risk, words.fix, finding.severity, finding.level, finding.proof, finding.vector, finding.score,
                finding.id
            ),
        }));
    }
    json!({
        "document": {
            "category": "csaf_security_incident_response",
            "csaf_version": "2.0",
            "distribution": { "tlp": { "label": "AMBER" } },
            "lang": "en",
            "title": format!("Exposure of imaging systems of {}", scan.scope.owner),
            "publisher": {
                "category": "user",
                "name": scan.scope.owner,
                "namespace": format!("urn:uuid:{}", uuid_of(&scan.scope.owner)),
                "contact_details": scan.scope.contact,
            },
            // the profile asks for one that leads outside
            "references": [{
                "category": "self",
                "summary": "The scan that this was made from",
                "url": format!("urn:uuid:{}", uuid_of(&id)),
            }, {
                "category": "external",
                "summary": "DICOM PS3.15: secure transport connection profiles",
                "url": "https://dicom.nema.org/medical/dicom/current/output/chtml/part15/chapter_B.html",
            }],
            "notes": notes,
            "tracking": {
                "id": id,
                "status": "final",
                "version": "1",
                "initial_release_date": rfc3339(scan.begun),
                "current_release_date": rfc3339(scan.ended),
                "revision_history": [{ "number": "1", "date": rfc3339(scan.ended), "summary": "The scan ended." }],
                "generator": { "engine": { "name": "kluis-inspect", "version": env!("CARGO_PKG_VERSION") } },
            },
        }
    })
}
