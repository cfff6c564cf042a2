//! Shodan: one banner a line, as JSON.

use serde_json::Value;

use super::{Read, Statement, product_in};
use crate::scan::{Level, Protocol, words_of_peer};

pub(super) fn read(text: &str) -> Option<Read> {
    let mut read = Read::default();
    let mut is_any = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let banner: Value = serde_json::from_str(line).ok()?;
        is_any |= banner.get("ip_str").is_some() || banner.get("ip").is_some();
        match statement(&banner) {
            Some(statement) => read.statements.push(statement),
            None => read.passed_over = read.passed_over.saturating_add(1),
        }
    }
    is_any.then_some(read)
}

fn statement(banner: &Value) -> Option<Statement> {
    let text = |pointer: &str| banner.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let address = text("/ip_str").parse().ok()?;
    let port = banner.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    let country = words_of_peer(text("/location/country_code"));
    let (protocol, level, product) = if text("/data").contains("DICOM Server Response") {
        // Shodan shows this where an association was accepted
        (Protocol::Dicom, Level::E2, None)
    } else {
        let words = [text("/http/title"), text("/product"), text("/http/server")].join(" ");
        let asks = text("/data").contains("401 Unauthorized") || text("/data").contains("WWW-Authenticate");
        let product = product_in(&words).or_else(|| product_in(realm(text("/data"))))?;
        (Protocol::Http, if asks { Level::E1 } else { Level::E2 }, Some(product))
    };
    Some(Statement { address, port, protocol, level, product, country, reported: None })
}

fn realm(head: &str) -> &str {
    head.split("realm=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}
