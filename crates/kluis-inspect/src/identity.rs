//! Names of assets and findings that stay the same between scans.
//!
//! An asset is its certificate's key where it has one; else its name in the scope or its address, together with the
//! implementation that answers there. So an address that is given to another machine is another asset, and a machine with a
//! certificate is the same one under a new address.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{rule::Rule, scan::Service};

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The name of an asset: a word for its kind and 32 hexadecimal digits.
pub(crate) fn asset(name: Option<&str>, address: &str, services: &[Service]) -> String {
    let key = services.iter().filter_map(|service| service.tls.as_ref()).find_map(|tls| tls.spki_sha256.as_deref());
    let implementation = services
        .iter()
        .filter_map(|service| service.dicom.as_ref())
        .find_map(|dicom| dicom.implementation_class_uid.as_deref());
    let host = name.unwrap_or(address);
    let (kind, text) = match (key, implementation) {
        (Some(key), _) => ("key", key.to_owned()),
        (None, Some(uid)) => ("uid", format!("{uid} {host}")),
        (None, None) => ("host", host.to_owned()),
    };
    let hash = sha256(format!("{kind} {text}").as_bytes());
    format!("{kind}-{}", hash.get(..32).unwrap_or_default())
}

/// The name of a finding.
pub(crate) fn finding(asset: &str, rule: Rule, port: u16) -> String {
    format!("{asset}/{}/{port}", rule.name())
}
