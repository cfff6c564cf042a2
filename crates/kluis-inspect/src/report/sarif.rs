//! SARIF 2.1.0 (OASIS): a rule for each check that found something, and fingerprints by which results are followed.

use serde_json::{Value, json};

use super::rfc3339;
use crate::{
    rule::Rule,
    scan::{Scan, Severity},
};

/// The scan as a SARIF log.
#[must_use]
pub fn sarif(scan: &Scan) -> Value {
    let rules: Vec<Rule> = Rule::all().collect();
    let descriptors: Vec<Value> = rules.iter().filter_map(|rule| descriptor(*rule)).collect();
    let results: Vec<Value> = scan
        .findings()
        .map(|(asset, finding)| {
            let title = finding.rule.entry().map_or("", |entry| entry.en.title.as_str());
            let host = asset.name.as_deref().unwrap_or(&asset.address);
            json!({
                "ruleId": finding.rule.name(),
                "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
                "level": level(finding.severity),
                "rank": f64::from(finding.score) * 10.0,
                "message": { "text": format!("{title} ({host}, port {})", finding.port) },
                "locations": [{
                    "logicalLocations": [{
                        "name": finding.port.to_string(),
                        "fullyQualifiedName": format!("{}/{}", asset.id, finding.port),
                        "kind": "resource"
                    }]
                }],
                "partialFingerprints": { "kluisInspectFinding/v1": finding.id },
                "properties": {
                    "check": finding.check,
                    "severity": finding.severity,
                    "level": finding.level,
                    "proof": finding.proof,
                    "grade": asset.grade,
                    "site": asset.site,
                }
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "kluis-inspect",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": descriptors,
            }},
            "invocations": [{
                "executionSuccessful": scan.stopped.is_none(),
                "startTimeUtc": rfc3339(scan.begun),
                "endTimeUtc": rfc3339(scan.ended),
            }],
            "results": results,
        }]
    })
}

fn descriptor(rule: Rule) -> Option<Value> {
    let entry = rule.entry()?;
    Some(json!({
        "id": rule.name(),
        "shortDescription": { "text": entry.en.title },
        "fullDescription": { "text": entry.en.risk },
        "help": { "text": entry.en.fix },
        "properties": { "security-severity": format!("{:.1}", entry.score), "tags": ["security", entry.check] },
    }))
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "none",
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}
