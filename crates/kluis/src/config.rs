//! `DIR/kluis.toml`: one file, unknown keys refused, secrets only as paths of files.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kluis_policy::Route;
use serde::{Deserialize, Serialize};

/// The file as a whole. Every key may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The HTTPS door.
    pub(crate) https: HttpsConfig,
    /// The door for DICOM over TLS.
    pub(crate) dicom_tls: DicomTlsConfig,
    /// Where the root key comes from.
    pub(crate) root_key: RootKeyConfig,
    /// Limits that a site may move.
    pub(crate) limits: LimitsConfig,
    /// When series are sealed.
    pub(crate) seal: SealConfig,
    /// Where arriving objects are sent.
    pub(crate) route: Vec<RouteConfig>,
}

/// `[[route]]`: where arriving objects are sent. All conditions must hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteConfig {
    /// What people call it.
    pub(crate) name: String,
    /// AE titles of enrolled devices that have an address.
    pub(crate) to: Vec<String>,
    /// AE titles of senders; without them, whoever.
    #[serde(default)]
    pub(crate) from: Vec<String>,
    /// Keywords of attributes, each with patterns (`*`, `?`) of which one must match: `Modality = ["CT", "MR"]`.
    #[serde(default, rename = "match")]
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
    /// When objects are sent, UTC: `18:00-06:00`. Without it, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hours: Option<String>,
    /// The higher, the earlier.
    #[serde(default)]
    pub(crate) priority: i64,
}

impl RouteConfig {
    fn read(&self) -> Result<Route> {
        ensure!(!self.to.is_empty(), "`to` names no device");
        let to = self.to.iter().map(|ae| ae.parse().with_context(|| format!("`to`: `{ae}` is no AE title")));
        for (keyword, patterns) in &self.attributes {
            ensure!(ROUTED.contains(&keyword.as_str()), "`match`: `{keyword}` is none of {}", ROUTED.join(", "));
            ensure!(!patterns.is_empty(), "`match`: `{keyword}` has no pattern");
        }
        Ok(Route {
            name: self.name.clone(),
            to: to.collect::<Result<_>>()?,
            from: self.from.clone(),
            attributes: self.attributes.iter().map(|(keyword, wanted)| (keyword.clone(), wanted.clone())).collect(),
            hours: self.hours.as_deref().map(str::parse).transpose().context("`hours`")?,
            priority: self.priority,
        })
    }
}

/// Attributes that rules can look at: what is kept of each object.
const ROUTED: &[&str] = &[
    "AccessionNumber",
    "BodyPartExamined",
    "ImageType",
    "InstitutionName",
    "Manufacturer",
    "Modality",
    "PatientID",
    "ProtocolName",
    "ReferringPhysicianName",
    "SOPClassUID",
    "SeriesDescription",
    "StationName",
    "StudyDescription",
    "StudyID",
];

/// `[https]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpsConfig {
    /// Address and port to listen on.
    pub(crate) address: SocketAddr,
    /// Names and addresses under which browsers reach the node, beside localhost.
    pub(crate) hostnames: Vec<String>,
    /// `https://host[:port]` under which clients reach the node, where that is not what they write into the Host header:
    /// behind a proxy or a port mapping. Stands in Retrieve URLs.
    pub(crate) public_origin: Option<String>,
}

impl Default for HttpsConfig {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8443)), hostnames: Vec::new(), public_origin: None }
    }
}

/// `[dicom_tls]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DicomTlsConfig {
    /// Address and port to listen on.
    pub(crate) address: SocketAddr,
    /// The called AE title.
    pub(crate) ae_title: String,
}

impl Default for DicomTlsConfig {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 2762)), ae_title: "KLUIS".to_owned() }
    }
}

/// `[root_key]`: at most one of the two; without either the key lies in the data directory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RootKeyConfig {
    /// File with the generated key, outside the data directory.
    pub(crate) key_file: Option<PathBuf>,
    /// File whose first line is the passphrase.
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// `[limits]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// The largest object that is taken, in bytes.
    pub(crate) object_bytes: u64,
    /// Memory for objects on their way in and out, in bytes. The process takes up to 200 MB beside it.
    pub(crate) memory_bytes: u64,
    /// With less free space than this, in bytes, no new object is taken. Without a number a hundredth of the disk, at
    /// least 1 GiB and at most 16 GiB, but never more than a tenth of it.
    pub(crate) free_bytes: Option<u64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { object_bytes: 4 << 30, memory_bytes: 320 << 20, free_bytes: None }
    }
}

/// `[seal]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SealConfig {
    /// A series into which nothing came for so long is sealed, in seconds.
    pub(crate) quiet_s: u64,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self { quiet_s: 300 }
    }
}

impl Config {
    /// Reads `DIR/kluis.toml`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; make a vault with `kluis init` first", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// The rules by which arriving objects are sent on.
    pub(crate) fn routes(&self) -> Result<Vec<Route>> {
        let read = |route: &RouteConfig| route.read().with_context(|| format!("kluis.toml: [[route]] {}", route.name));
        self.route.iter().map(read).collect()
    }

    /// Writes `DIR/kluis.toml`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_is_refused_by_name() {
        let error = toml::from_str::<Config>("[https]\nadress = \"127.0.0.1:1\"").unwrap_err().to_string();
        assert!(error.contains("adress"), "{error}");
    }

    #[test]
    fn defaults_are_loopback() {
        let config: Config = toml::from_str("").unwrap();
        assert!(config.https.address.ip().is_loopback());
        assert!(config.dicom_tls.address.ip().is_loopback());
    }

    #[test]
    fn what_is_written_is_read() {
        let text = toml::to_string_pretty(&Config::default()).unwrap();
        toml::from_str::<Config>(&text).unwrap();
    }
}
