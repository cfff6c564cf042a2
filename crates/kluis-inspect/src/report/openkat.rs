//! A raw file for OpenKAT: objects and findings in the words of its data model (`octopoes.models.ooi`), which a normaliser
//! takes over as they are.

use serde_json::{Value, json};

use super::rfc3339;
use crate::scan::{Protocol, Scan};

/// The scan as objects of OpenKAT.
#[must_use]
pub fn openkat(scan: &Scan) -> Value {
    let mut objects = vec![json!({ "object_type": "Network", "name": "internal" })];
    for asset in &scan.assets {
        let network = match asset.exposure {
            crate::scan::Exposure::Internal => "Network|internal",
            crate::scan::Exposure::Public => "Network|internet",
        };
        let is_v6 = asset.address.contains(':');
        let kind = if is_v6 { "IPAddressV6" } else { "IPAddressV4" };
        let address = format!("{kind}|{}|{}", network.trim_start_matches("Network|"), asset.address);
        objects.push(json!({ "object_type": kind, "network": network, "address": asset.address }));
        for service in &asset.services {
            let port = format!("IPPort|{}|tcp|{}", address.trim_start_matches(&format!("{kind}|")), service.port);
            objects.push(json!({
                "object_type": "IPPort", "address": address, "protocol": "tcp", "port": service.port, "state": "open",
            }));
            let name = match service.protocol {
                Protocol::Dicom => "dicom",
                Protocol::Http if service.tls.is_some() => "https",
                Protocol::Http => "http",
                Protocol::Tls => "tls",
                Protocol::Other => continue,
            };
            objects.push(json!({ "object_type": "Service", "name": name }));
            objects.push(json!({
                "object_type": "IPService", "ip_port": port, "service": format!("Service|{name}"),
            }));
            for finding in asset.findings.iter().filter(|finding| finding.port == service.port) {
                let kind = format!("KAT-{}", finding.rule.name().to_uppercase());
                let title = finding.rule.entry().map_or("", |entry| entry.en.title.as_str());
                objects.push(json!({ "object_type": "KATFindingType", "id": kind }));
                objects.push(json!({
                    "object_type": "Finding",
                    "finding_type": format!("KATFindingType|{kind}"),
                    "ooi": port,
                    "proof": finding.proof,
                    "description": title,
                }));
            }
        }
    }
    json!({ "source": "kluis-inspect", "observed_at": rfc3339(scan.ended), "objects": objects })
}
