//! Products by what they say of themselves, from `data/fingerprints.toml`, where each row has its provenance.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::{
    scan::{Confidence, Product, words_of_peer},
    wire::http::Response,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    dicom: Vec<DicomRow>,
    web: Vec<WebRow>,
    qido: Vec<QidoRow>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Provenance {
    Measured,
    Source,
    Table,
    Memory,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DicomRow {
    product: String,
    class_uid: String,
    version_name: Option<String>,
    provenance: Provenance,
}

/// A page by which a product is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebRow {
    product: String,
    pub(crate) path: String,
    status: u16,
    body: Option<String>,
    realm: Option<String>,
    version_after: Option<String>,
    /// The page manages the product.
    #[serde(default)]
    pub(crate) is_admin: bool,
    provenance: Provenance,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QidoRow {
    prefix: String,
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("../data/fingerprints.toml")).unwrap_or_default());

impl Provenance {
    fn confidence(self) -> Confidence {
        match self {
            Self::Measured | Self::Source => Confidence::Certain,
            Self::Table | Self::Memory => Confidence::Likely,
        }
    }
}

/// The product of an Implementation Class UID and Implementation Version Name.
pub(crate) fn dicom(class_uid: Option<&str>, version_name: Option<&str>) -> Product {
    let Some(class_uid) = class_uid else { return Product::default() };
    let fits = |row: &&DicomRow| {
        let is_version = match (&row.version_name, version_name) {
            (Some(wanted), Some(held)) => held.starts_with(wanted.as_str()),
            // a class UID that is a whole product's own stands without it
            _ => true,
        };
        class_uid.starts_with(row.class_uid.as_str()) && is_version
    };
    let row = TABLE.dicom.iter().filter(fits).max_by_key(|row| (row.class_uid.len(), row.provenance.confidence()));
    row.map_or_else(Product::default, |row| Product {
        name: row.product.clone(),
        version: version_name.and_then(words_of_peer),
        confidence: row.provenance.confidence(),
    })
}

/// The pages that are asked for, each path once.
pub(crate) fn pages() -> impl Iterator<Item = &'static str> {
    let rows = &TABLE.web;
    rows.iter().enumerate().filter_map(|(place, row)| {
        let is_first = !rows.iter().take(place).any(|before| before.path == row.path);
        is_first.then_some(row.path.as_str())
    })
}

/// The row that an answer to this path fits, and the product that it shows.
pub(crate) fn web(path: &str, answer: &Response) -> Option<(&'static WebRow, Product)> {
    let fits = |row: &&WebRow| {
        row.path == path
            && row.status == answer.status
            && row.body.as_ref().is_none_or(|text| answer.has(text))
            && row
                .realm
                .as_ref()
                .is_none_or(|realm| answer.header("www-authenticate").is_some_and(|held| held.contains(realm.as_str())))
    };
    let row = TABLE.web.iter().find(fits)?;
    let version = row.version_after.as_ref().and_then(|before| {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let (_, rest) = body.split_once(before.as_str())?;
        words_of_peer(rest.split('"').next()?)
    });
    let product = Product { name: row.product.clone(), version, confidence: row.provenance.confidence() };
    Some((row, product))
}

/// Where QIDO-RS may stand.
pub(crate) fn qido_prefixes() -> impl Iterator<Item = &'static str> {
    TABLE.qido.iter().map(|row| row.prefix.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_can_be_read_and_only_what_was_checked_is_certain() {
        let table: Table = toml::from_str(include_str!("../data/fingerprints.toml")).unwrap();
        assert!(table.dicom.len() > 10 && table.web.len() > 4 && table.qido.len() == 4);
        for (uid, version, name, confidence) in [
            (Some("1.2.276.0.7230010.3.0.3.6.7"), Some("OFFIS_DCMTK_367"), "DCMTK", Confidence::Certain),
            // the UID of one product with the version name of another is neither
            (Some("1.2.276.0.7230010.3.0.3.6.7"), Some("SOMETHING_ELSE"), "unknown", Confidence::Unknown),
            (Some("1.2.840.113619.6.1"), Some("X"), "GE", Confidence::Likely),
            (Some("1.2.3"), None, "unknown", Confidence::Unknown),
            (None, Some("OFFIS_DCMTK_367"), "unknown", Confidence::Unknown),
        ] {
            let product = dicom(uid, version);
            assert_eq!((product.name.as_str(), product.confidence), (name, confidence), "{uid:?} {version:?}");
        }
    }
}
