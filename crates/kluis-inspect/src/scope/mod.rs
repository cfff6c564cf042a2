//! Where an inspection may go, on whose authority, until when, and how gently.
//!
//! A scope is a TOML file and a signed note over it. Without both, within its time, nothing is sent. What stands in it is
//! checked here as a whole; [`Scope::allows`] is asked again for every address that is connected to.

mod address;
mod file;
mod hours;
mod signature;
mod target;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;
use time::OffsetDateTime;

pub use address::{Class, classify, parse_host};
pub use file::{Care, HostEntry, ScopeFile, Site};
pub use hours::{Hours, parse_offset};
pub use signature::{SigningKey, note_path, read_key, sign, write_key_pair};
pub(crate) use signature::{read_bounded, write_secret};
pub use target::{Host, Hosts};

use crate::{InspectError, limits};

/// Why a scope is not worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// It is no TOML of the form that is asked for.
    #[error("the scope is not of the form that is asked for: {0}")]
    Form(String),
    /// A field that must say something is empty or too long.
    #[error("the scope does not say its {0}")]
    Missing(&'static str),
    /// A list is too long.
    #[error("the scope has too many {0}")]
    TooMany(&'static str),
    /// It is not signed.
    #[error("the scope is not signed: there is no {0} (make it with `kluis inspect scope sign`)")]
    NotSigned(String),
    /// The signature is not of the key that is trusted, or not over this file.
    #[error("the signature of the scope is not to be believed: {0}")]
    Signature(String),
    /// No key is known by which the signature could be checked.
    #[error("no key to check the scope by: give --key, or put it into {0}")]
    NoKey(String),
    /// It is not valid at this time.
    #[error("the scope is valid from {from} until {until}, not now")]
    NotValid {
        /// First moment.
        from: OffsetDateTime,
        /// Last moment.
        until: OffsetDateTime,
    },
    /// It is valid for too long.
    #[error("a scope is valid for at most {} days", limits::VALIDITY_DAYS)]
    TooLong,
    /// Something that is never looked at is in it.
    #[error("{0} is never inspected: it is {1}")]
    Never(String, Class),
    /// A public network without the flag.
    #[error("{0} is public, and the scope does not say `public = true`")]
    Public(String),
    /// A host outside of all networks, or a host or port that is asked for and not named.
    #[error("{0} lies outside of the scope")]
    Outside(String),
    /// Nothing is left to look at.
    #[error("the scope names no address that could be looked at")]
    Nothing,
    /// A word that cannot be read.
    #[error("the scope has a {0} that cannot be read: {1}")]
    Unreadable(&'static str, String),
}

/// A scope that is signed, valid now and whole.
#[derive(Debug, Clone)]
pub struct Scope {
    file: ScopeFile,
    networks: Vec<IpNet>,
    skip: Vec<IpNet>,
    sites: Vec<(Vec<IpNet>, Site)>,
    hours: Hours,
    digest: String,
    signer: String,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressRefusal {
    /// In none of the networks.
    #[error("outside the networks of the scope")]
    Outside,
    /// On the skip list.
    #[error("on the skip list")]
    Skipped,
    /// Of a class that is never connected to.
    #[error("never inspected: {0}")]
    Never(Class),
    /// Public, and the scope is not.
    #[error("public, and the scope is not")]
    Public,
}

impl Scope {
    /// Checks a scope file of these bytes at this time.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn check(bytes: &[u8], signer: &str, now: OffsetDateTime) -> Result<Self, ScopeError> {
        let file = ScopeFile::parse(bytes)?;
        file.require_words()?;
        let (from, until) = (file.valid_from, file.valid_until);
        if until - from > time::Duration::days(limits::VALIDITY_DAYS) {
            return Err(ScopeError::TooLong);
        }
        if now < from || now >= until {
            return Err(ScopeError::NotValid { from, until });
        }
        let networks = file::networks("network", &file.networks)?;
        for network in &networks {
            address::require_inspectable(*network, file.public)?;
        }
        let skip = file::networks("skip entry", &file.skip)?;
        let mut sites = Vec::new();
        for site in &file.sites {
            sites.push((file::networks("network of a site", &site.networks)?, site.clone()));
        }
        let hours = Hours::new(&file)?;
        let digest = signature::digest(bytes);
        let scope = Self { networks, skip, sites, hours, digest, signer: signer.to_owned(), file };
        scope.require_hosts_within()?;
        if scope.hosts().next().is_none() && scope.file.hosts.is_empty() {
            return Err(ScopeError::Nothing);
        }
        Ok(scope)
    }

    /// Reads, checks and verifies `path` and its note. `key` is the verifier key that is trusted.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn open(
        path: &std::path::Path,
        key: Option<&kluis_ledger::VerifierKey>,
        now: OffsetDateTime,
    ) -> Result<Self, InspectError> {
        let bytes = signature::read_bounded(path, limits::SCOPE_BYTES)?;
        let signer = signature::verify(path, &bytes, key)?;
        Ok(Self::check(&bytes, &signer, now)?)
    }

    /// Whether this address may be connected to. Asked for each connection, after names were resolved.
    ///
    /// # Errors
    /// [`AddressRefusal`].
    pub fn allows(&self, address: IpAddr) -> Result<Class, AddressRefusal> {
        let address = address::plain(address);
        let class = classify(address);
        if class.is_never() {
            return Err(AddressRefusal::Never(class));
        }
        if self.skip.iter().any(|network| network.contains(&address)) {
            return Err(AddressRefusal::Skipped);
        }
        if !self.networks.iter().any(|network| network.contains(&address)) {
            return Err(AddressRefusal::Outside);
        }
        if class == Class::Public && !self.file.public {
            return Err(AddressRefusal::Public);
        }
        Ok(class)
    }

    /// The addresses and names that are to be looked at, one by one.
    #[must_use]
    pub fn hosts(&self) -> Hosts<'_> {
        Hosts::new(self)
    }

    /// How many of them there are.
    #[must_use]
    pub fn hosts_count(&self) -> u64 {
        let walked: u64 = self.networks.iter().filter_map(|network| target::walked(*network)).sum();
        walked.saturating_add(u64::try_from(self.file.hosts.len()).unwrap_or(u64::MAX))
    }

    /// What stands in the file.
    #[must_use]
    pub fn file(&self) -> &ScopeFile {
        &self.file
    }

    /// When connections may be made.
    #[must_use]
    pub fn hours(&self) -> &Hours {
        &self.hours
    }

    /// SHA-256 of the file, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The verifier key of whoever signed.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The site to which an address belongs: the first that has it.
    #[must_use]
    pub fn site(&self, address: IpAddr) -> Option<&Site> {
        let address = address::plain(address);
        let has = |networks: &Vec<IpNet>| networks.iter().any(|network| network.contains(&address));
        self.sites.iter().find(|(networks, _)| has(networks)).map(|(_, site)| site)
    }

    /// A host that is given as an address must lie within the networks; a name is asked when it is resolved.
    fn require_hosts_within(&self) -> Result<(), ScopeError> {
        let mut walked: u64 = 0;
        for network in &self.networks {
            walked = walked.saturating_add(target::walked(*network).unwrap_or_default());
        }
        if walked > limits::ADDRESSES {
            return Err(ScopeError::TooMany("addresses"));
        }
        for host in &self.file.hosts {
            let Some(address) = parse_host(&host.name) else { continue };
            match self.allows(address) {
                Ok(_) | Err(AddressRefusal::Skipped) => {}
                Err(AddressRefusal::Never(class)) => return Err(ScopeError::Never(host.name.clone(), class)),
                Err(AddressRefusal::Public) => return Err(ScopeError::Public(host.name.clone())),
                Err(AddressRefusal::Outside) => return Err(ScopeError::Outside(host.name.clone())),
            }
        }
        Ok(())
    }
}
