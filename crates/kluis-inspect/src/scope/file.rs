//! The scope file as TOML. Unknown keys are refused: a guard rail that is misspelt must not be passed over.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{ScopeError, parse_host};
use crate::limits;

/// What stands in a scope file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeFile {
    /// 1.
    pub schema: u32,
    /// Whose estate it is.
    pub owner: String,
    /// Whom to call when something goes wrong.
    pub contact: String,
    /// By what right it is inspected: a decision, a contract.
    pub authority: String,
    /// First moment.
    #[serde(with = "time::serde::rfc3339")]
    pub valid_from: OffsetDateTime,
    /// Last moment.
    #[serde(with = "time::serde::rfc3339")]
    pub valid_until: OffsetDateTime,
    /// Networks or addresses outside of which nothing is sent.
    pub networks: Vec<String>,
    /// Ports that are tried at each address; a list for DICOM and its web where it is left out.
    #[serde(default = "default_ports")]
    pub ports: Vec<u16>,
    /// Networks or addresses within them to which nothing is sent.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Public addresses too, where each proves that it is controlled.
    #[serde(default)]
    pub public: bool,
    /// Records may be counted where queries are open.
    #[serde(default)]
    pub allow_count: bool,
    /// One attempt with each well-known default account of a product that was recognised.
    #[serde(default)]
    pub allow_default_credentials: bool,
    /// Added to UTC for windows and quiet hours: `+01:00`.
    #[serde(default)]
    pub utc_offset: Option<String>,
    /// When it may run; always where there are none.
    #[serde(default, rename = "window")]
    pub windows: Vec<Window>,
    /// When it may not run, windows or not.
    #[serde(default, rename = "quiet")]
    pub quiet: Vec<Window>,
    /// Names and addresses that are looked at besides, or with more knowledge of them.
    #[serde(default, rename = "host")]
    pub hosts: Vec<HostEntry>,
    /// Where things stand.
    #[serde(default, rename = "site")]
    pub sites: Vec<Site>,
    /// How gently.
    #[serde(default)]
    pub care: Care,
}

/// A span of hours on some days.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// `mon` to `sun`; every day where there are none.
    #[serde(default)]
    pub days: Vec<String>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; not after `from` means the next day.
    pub until: String,
}

/// A host that is named.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// Name or address.
    pub name: String,
    /// Ports of this host instead of those of the scope.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Its AE title, where the owner knows it.
    #[serde(default)]
    pub called_ae: Option<String>,
}

/// Where things stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name of the site.
    pub name: String,
    /// Department, where it is one.
    #[serde(default)]
    pub department: Option<String>,
    /// ISO 3166 code or name.
    #[serde(default)]
    pub country: Option<String>,
    /// Its networks.
    #[serde(skip_serializing)]
    pub networks: Vec<String>,
}

/// How gently.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Care {
    /// Connections a second over all hosts.
    pub connects_per_s: u32,
    /// How long a peer may take to answer, and a socket be silent.
    pub answer_ms: u32,
}

impl Default for Care {
    fn default() -> Self {
        Self {
            connects_per_s: limits::CONNECTS_PER_S,
            answer_ms: u32::try_from(limits::ANSWER.as_millis()).unwrap_or(1_000),
        }
    }
}

/// DICOM, DICOM over TLS, and where the web side of the known products listens.
fn default_ports() -> Vec<u16> {
    vec![104, 2761, 2762, 4242, 11112, 80, 443, 8042, 8080, 8443]
}

impl ScopeFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ScopeError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ScopeError::Form("it is no UTF-8".to_owned()))?;
        toml::from_str(text).map_err(|error| ScopeError::Form(error.message().to_owned()))
    }

    /// Refuses empty words and lists over their limits.
    pub(super) fn require_words(&self) -> Result<(), ScopeError> {
        if self.schema != 1 {
            return Err(ScopeError::Unreadable("schema", self.schema.to_string()));
        }
        for (name, text) in [("owner", &self.owner), ("contact", &self.contact), ("authority", &self.authority)] {
            if text.trim().is_empty() || text.chars().count() > limits::TEXT_CHARS {
                return Err(ScopeError::Missing(name));
            }
        }
        let lists = [
            ("networks", self.networks.len(), limits::NETWORKS),
            ("skip entries", self.skip.len(), limits::NETWORKS),
            ("ports", self.ports.len(), limits::PORTS),
            ("hosts", self.hosts.len(), limits::HOSTS),
            ("sites", self.sites.len(), limits::SITES),
            ("windows", self.windows.len().saturating_add(self.quiet.len()), limits::WINDOWS),
        ];
        for (name, length, most) in lists {
            if length > most {
                return Err(ScopeError::TooMany(name));
            }
        }
        for host in &self.hosts {
            // names stand in commands that are shown to people
            let is_byte =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
            let is_name = (1..=253).contains(&host.name.len()) && host.name.bytes().all(is_byte);
            if !is_name || host.ports.len() > limits::PORTS {
                return Err(ScopeError::Unreadable("host", host.name.chars().take(64).collect()));
            }
            if host.called_ae.as_ref().is_some_and(|title| title.parse::<kluis_dicom::AeTitle>().is_err()) {
                return Err(ScopeError::Unreadable("called_ae", host.name.clone()));
            }
        }
        if self.networks.is_empty() {
            return Err(ScopeError::Missing("networks"));
        }
        let care = self.care;
        if care.connects_per_s == 0 || care.connects_per_s > limits::CONNECTS_PER_S_MAX {
            return Err(ScopeError::Unreadable("connects_per_s", care.connects_per_s.to_string()));
        }
        let most = limits::ANSWER_MAX.as_millis();
        if care.answer_ms < 100 || u128::from(care.answer_ms) > most {
            return Err(ScopeError::Unreadable("answer_ms", care.answer_ms.to_string()));
        }
        Ok(())
    }
}

/// Networks and single addresses, in any spelling of [`parse_host`].
pub(super) fn networks(what: &'static str, texts: &[String]) -> Result<Vec<IpNet>, ScopeError> {
    let read = |text: &String| {
        let unreadable = || ScopeError::Unreadable(what, text.chars().take(64).collect());
        let (host, length) = match text.split_once('/') {
            Some((host, length)) => (host, Some(length)),
            None => (text.as_str(), None),
        };
        let address = parse_host(host).ok_or_else(unreadable)?;
        let Some(length) = length else { return Ok(IpNet::from(address)) };
        let mut length: u8 = length.parse().map_err(|_| unreadable())?;
        // a mapped network counts its bits from the front of the IPv6 address
        if address.is_ipv4() && host.contains(':') {
            length = length.checked_sub(96).ok_or_else(unreadable)?;
        }
        IpNet::new(address, length).map(|network| network.trunc()).map_err(|_| unreadable())
    };
    texts.iter().map(read).collect()
}
