//! Censys: hosts with their services, of the older and the newer form.

use serde_json::Value;

use super::{Read, Statement, product_in};
use crate::scan::{Level, Protocol, words_of_peer};

pub(super) fn read(text: &str) -> Option<Read> {
    let hosts: Vec<Value> = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(hosts)) => hosts,
        Ok(document) => match document.pointer("/result/hits").and_then(Value::as_array) {
            Some(hits) => hits.clone(),
            None => vec![document],
        },
        Err(_) => text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).ok())
            .collect::<Option<_>>()?,
    };
    let mut read = Read::default();
    let mut is_any = false;
    for held in &hosts {
        let host = held.get("host").filter(|host| host.is_object()).unwrap_or(held);
        let Some(address) = host.get("ip").and_then(Value::as_str).and_then(|text| text.parse().ok()) else { continue };
        is_any = true;
        let location = ["/location/country_code", "/location/country"].iter().find_map(|place| host.pointer(place));
        let country = location.and_then(Value::as_str).and_then(words_of_peer);
        for service in host.get("services").and_then(Value::as_array).into_iter().flatten() {
            match statement(service) {
                Some((port, protocol, level, product)) => read.statements.push(Statement {
                    address,
                    port,
                    protocol,
                    level,
                    product,
                    country: country.clone(),
                    reported: None,
                }),
                None => read.passed_over = read.passed_over.saturating_add(1),
            }
        }
    }
    is_any.then_some(read)
}

fn statement(service: &Value) -> Option<(u16, Protocol, Level, Option<&'static str>)> {
    let text = |place: &str| service.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let port = service.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    let name = [text("/service_name"), text("/protocol"), text("/extended_service_name")].join(" ");
    if name.to_ascii_uppercase().contains("DICOM") {
        return Some((port, Protocol::Dicom, Level::E2, None));
    }
    let title = [text("/http/response/html_title"), text("/software/0/product")].join(" ");
    let asks = service.pointer("/http/response/status_code").and_then(Value::as_u64) == Some(401);
    product_in(&title).map(|product| (port, Protocol::Http, if asks { Level::E1 } else { Level::E2 }, Some(product)))
}
