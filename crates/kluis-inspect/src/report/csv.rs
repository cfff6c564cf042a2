//! Findings as CSV (RFC 4180). No cell is a formula in any spreadsheet: what begins like one gets a quote in front.

use super::word;
use crate::scan::Scan;

const HEAD: [&str; 17] = [
    "asset",
    "address",
    "name",
    "site",
    "department",
    "country",
    "exposure",
    "grade",
    "port",
    "check",
    "rule",
    "severity",
    "score",
    "level",
    "proof",
    "owner",
    "title",
];

/// The findings, one a line.
#[must_use]
pub fn csv(scan: &Scan) -> String {
    let mut out = String::new();
    line(&mut out, HEAD.iter().copied());
    for (asset, finding) in scan.findings() {
        let title = finding.rule.entry().map_or("", |entry| entry.en.title.as_str());
        let cells = [
            asset.id.clone(),
            asset.address.clone(),
            asset.name.clone().unwrap_or_default(),
            asset.site.clone().unwrap_or_default(),
            asset.department.clone().unwrap_or_default(),
            asset.country.clone().unwrap_or_default(),
            word(&asset.exposure),
            word(&asset.grade),
            finding.port.to_string(),
            finding.check.clone(),
            finding.rule.name(),
            word(&finding.severity),
            format!("{:.1}", finding.score),
            word(&finding.level),
            word(&finding.proof),
            finding.owner.clone(),
            title.to_owned(),
        ];
        line(&mut out, cells.iter().map(String::as_str));
    }
    out
}

fn line<'c>(out: &mut String, cells: impl Iterator<Item = &'c str>) {
    for (place, text) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        cell(out, text);
    }
    out.push_str("\r\n");
}

/// Spreadsheets take `=`, `+`, `-`, `@`, tab and carriage return at the front for a formula, and see it behind spaces too.
pub(super) fn cell(out: &mut String, text: &str) {
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
            || text.starts_with(['\t', '\r', '\n']);
    out.push('"');
    if is_formula {
        out.push('\'');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\"\""),
            c => out.push(c),
        }
    }
    out.push('"');
}
