//! nuclei: one match a line, as JSON. Only matches about imaging are taken over.

use serde_json::Value;

use super::{Read, Statement, is_imaging, product_in};
use crate::scan::{Level, Protocol, Severity, words_of_peer};

pub(super) fn read(text: &str) -> Option<Read> {
    let mut read = Read::default();
    let mut is_any = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let found: Value = serde_json::from_str(line).ok()?;
        is_any |= found.get("template-id").is_some();
        match statement(&found) {
            Some(statement) => read.statements.push(statement),
            None => read.passed_over = read.passed_over.saturating_add(1),
        }
    }
    is_any.then_some(read)
}

fn statement(found: &Value) -> Option<Statement> {
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let template = text("/template-id");
    let words = [template, text("/info/name")].join(" ");
    if !is_imaging(&words) {
        return None;
    }
    let address = text("/ip").parse().ok()?;
    let port = text("/port").parse().ok().or_else(|| port_of(text("/matched-at")))?;
    let (severity, score) = match text("/info/severity") {
        "critical" => (Severity::Critical, 9.0),
        "high" => (Severity::High, 7.0),
        "medium" => (Severity::Medium, 4.0),
        "low" => (Severity::Low, 0.1),
        _ => (Severity::Info, 0.0),
    };
    Some(Statement {
        address,
        port,
        protocol: Protocol::Http,
        level: Level::E1,
        product: product_in(&words),
        country: None,
        reported: words_of_peer(template).map(|template| (template, severity, score)),
    })
}

/// The port of an address with a scheme, or that of the scheme.
fn port_of(place: &str) -> Option<u16> {
    let (scheme, rest) = place.split_once("://")?;
    let authority = rest.split('/').next()?;
    let named = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    named.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}
