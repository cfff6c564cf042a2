//! CycloneDX 1.6: an inventory of what listens where.

use serde_json::{Value, json};

use super::{rfc3339, uuid_of, word};
use crate::scan::{Asset, Protocol, Scan, Service};

/// The scan as an inventory.
#[must_use]
pub fn cyclonedx(scan: &Scan) -> Value {
    let serial = uuid_of(&format!("{} {}", scan.scope.digest, rfc3339(scan.ended)));
    let components: Vec<Value> = scan.assets.iter().map(component).collect();
    let services = scan.assets.iter().flat_map(|asset| asset.services.iter().map(move |held| service(asset, held)));
    let services: Vec<Value> = services.collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(scan.ended),
            "tools": { "components": [{
                "type": "application", "name": "kluis-inspect", "version": env!("CARGO_PKG_VERSION"),
            }]},
        },
        "components": components,
        "services": services,
    })
}

fn component(asset: &Asset) -> Value {
    let known = asset.services.iter().map(|service| &service.product).max_by_key(|product| product.confidence);
    let mut component = json!({
        "type": "application",
        "bom-ref": asset.id,
        "name": known.map_or("unknown", |product| product.name.as_str()),
        "properties": [
            { "name": "kluis:address", "value": asset.address },
            { "name": "kluis:grade", "value": word(&asset.grade) },
            { "name": "kluis:level", "value": word(&asset.level) },
            { "name": "kluis:site", "value": asset.site.clone().unwrap_or_default() },
        ],
    });
    if let (Some(version), Some(fields)) =
        (known.and_then(|product| product.version.clone()), component.as_object_mut())
    {
        fields.insert("version".to_owned(), Value::String(version));
    }
    component
}

fn service(asset: &Asset, service: &Service) -> Value {
    let scheme = match (service.protocol, service.tls.is_some()) {
        (Protocol::Http, false) => "http",
        (Protocol::Http, true) => "https",
        (_, true) => "tls",
        _ => "tcp",
    };
    let is_v6 = asset.address.contains(':');
    let host = if is_v6 { format!("[{}]", asset.address) } else { asset.address.clone() };
    json!({
        "bom-ref": format!("{}/{}", asset.id, service.port),
        "name": word(&service.protocol),
        "endpoints": [format!("{scheme}://{host}:{}", service.port)],
        "authenticated": service.level < crate::scan::Level::E2,
    })
}
