//! What other tools say, offline: nothing here can send a packet, as nothing here knows the guard.
//!
//! Of systems inside a scope what is said becomes assets, marked with their source and `imported`. Of all others only sums
//! are kept: who they are is for the national CERT to tell their owners, not for us.

mod censys;
mod nmap;
mod nuclei;
mod openvas;
mod shodan;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    InspectError, identity, judge, limits,
    rule::Rule,
    scan::{
        Asset, Confidence, Coverage, Dicom, Exposure, Finding, Grade, Level, Product, Proof, Protocol, SCHEMA, Scan,
        ScopeSummary, Service, Severity, Web,
    },
    scope::{Class, Scope, classify, read_bounded},
};

/// Whose output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Shodan's export, one JSON document a line.
    Shodan,
    /// Censys' hosts: an array, a search result, or one JSON document a line.
    Censys,
    /// nmap's `-oX`.
    Nmap,
    /// A report of OpenVAS in XML.
    Openvas,
    /// nuclei's `-jsonl`.
    Nuclei,
}

/// What one tool says of one port.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) level: Level,
    pub(crate) product: Option<&'static str>,
    pub(crate) country: Option<String>,
    /// A finding of the tool's own: its name there, how bad, its score.
    pub(crate) reported: Option<(String, Severity, f32)>,
}

/// What a file says: statements, and how much of it is about something else.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) statements: Vec<Statement>,
    pub(crate) passed_over: u64,
}

/// What came of an import.
#[derive(Debug, Clone, Serialize)]
pub struct Imported {
    /// `kluis-inspect/import/1`.
    pub schema: &'static str,
    /// Whose output it was.
    pub source: Source,
    /// Systems that it says something of.
    pub systems: u64,
    /// Entries that are not about imaging or cannot be read.
    pub passed_over: u64,
    /// Systems in the scope that are new in the scan.
    pub added: u64,
    /// Systems in the scope of whose port the scan knows more.
    pub known: u64,
    /// Everything else, as sums.
    pub others: Others,
}

/// Sums of systems outside of the scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Others {
    /// How many.
    pub systems: u64,
    /// By country, as the tool says; `unknown` where it does not.
    pub countries: BTreeMap<String, u64>,
    /// By the level that follows from what it says.
    pub levels: BTreeMap<String, u64>,
}

/// Systems that one file may speak of.
const STATEMENTS_MAX: usize = 1_000_000;

/// Whom to tell of systems of others.
pub const DISCLOSURE: &str = "systems of others: tell the national CERT (in the Netherlands NCSC, for care Z-CERT; in Germany \
                              BSI/CERT-Bund), which reaches their owners; do not look at them yourself";

/// Reads a file.
///
/// # Errors
/// [`InspectError`] where it is not of the tool's form.
fn read(source: Source, path: &Path) -> Result<Read, InspectError> {
    let bytes = read_bounded(path, limits::SCAN_BYTES)?;
    let form = |expected| InspectError::Form { path: path.to_owned(), expected };
    let text = std::str::from_utf8(&bytes).map_err(|_| form("text in UTF-8"))?;
    let read = match source {
        Source::Shodan => shodan::read(text),
        Source::Censys => censys::read(text),
        Source::Nmap => nmap::read(text),
        Source::Openvas => openvas::read(text),
        Source::Nuclei => nuclei::read(text),
    };
    let read = read.ok_or_else(|| form("output of that tool"))?;
    if read.statements.len() > STATEMENTS_MAX {
        return Err(form("file of a length that is taken"));
    }
    Ok(read)
}

/// Takes a file over into a scan. Without a scope nothing of a single system is kept.
///
/// # Errors
/// [`InspectError`].
pub fn import(
    source: Source,
    path: &Path,
    into: Option<(&Scope, &mut Scan)>,
    now: OffsetDateTime,
) -> Result<Imported, InspectError> {
    let Read { statements, passed_over } = read(source, path)?;
    let mut by_address: BTreeMap<IpAddr, Vec<Statement>> = BTreeMap::new();
    for statement in statements {
        by_address.entry(statement.address).or_default().push(statement);
    }
    let mut imported = Imported {
        schema: "kluis-inspect/import/1",
        source,
        systems: u64::try_from(by_address.len()).unwrap_or(u64::MAX),
        passed_over,
        added: 0,
        known: 0,
        others: Others::default(),
    };
    let mut into = into;
    for (address, statements) in by_address {
        match &mut into {
            Some((scope, scan)) if scope.allows(address).is_ok() => {
                take(scope, scan, address, &statements, source, now, &mut imported);
            }
            _ => imported.others.count(&statements),
        }
    }
    Ok(imported)
}

/// A scan of nothing, to be filled by imports.
#[must_use]
pub fn empty_scan(scope: &Scope, now: OffsetDateTime) -> Scan {
    let file = scope.file();
    Scan {
        schema: SCHEMA.to_owned(),
        scope: ScopeSummary {
            owner: file.owner.clone(),
            contact: file.contact.clone(),
            authority: file.authority.clone(),
            digest: scope.digest().to_owned(),
            signer: scope.signer().to_owned(),
        },
        begun: now,
        ended: now,
        stopped: None,
        coverage: Coverage::default(),
        probes: None,
        assets: Vec::new(),
    }
}

impl Others {
    fn count(&mut self, statements: &[Statement]) {
        self.systems = self.systems.saturating_add(1);
        let country = statements.iter().find_map(|statement| statement.country.clone());
        let country = self.countries.entry(country.unwrap_or_else(|| "unknown".to_owned())).or_default();
        *country = country.saturating_add(1);
        let level = statements.iter().map(|statement| statement.level).max().unwrap_or_default();
        let level = self.levels.entry(format!("{level:?}")).or_default();
        *level = level.saturating_add(1);
    }
}

/// One system of the scope. What was measured is not overwritten by what somebody says.
fn take(
    scope: &Scope,
    scan: &mut Scan,
    address: IpAddr,
    statements: &[Statement],
    source: Source,
    now: OffsetDateTime,
    imported: &mut Imported,
) {
    let text = address.to_string();
    let of_address = scan.assets.iter().filter(|asset| asset.address == text);
    let held: BTreeSet<u16> = of_address.flat_map(|asset| asset.services.iter().map(|held| held.port)).collect();
    let new: Vec<&Statement> = statements.iter().filter(|statement| !held.contains(&statement.port)).collect();
    if new.is_empty() {
        imported.known = imported.known.saturating_add(1);
        return;
    }
    imported.added = imported.added.saturating_add(1);
    let mut services: BTreeMap<u16, Service> = BTreeMap::new();
    for statement in &new {
        let service = service(statement);
        let held = services.entry(statement.port).or_insert_with(|| service.clone());
        if service.level > held.level {
            *held = service;
        }
    }
    let services: Vec<Service> = services.into_values().collect();
    let site = scope.site(address);
    let is_public = classify(address) == Class::Public;
    let mut asset = Asset {
        id: identity::asset(None, &text, &services),
        address: text,
        name: None,
        site: site.map(|site| site.name.clone()),
        department: site.and_then(|site| site.department.clone()),
        country: site
            .and_then(|site| site.country.clone())
            .or_else(|| new.iter().find_map(|statement| statement.country.clone())),
        exposure: if is_public { Exposure::Public } else { Exposure::Internal },
        grade: Grade::A,
        level: Level::E0,
        services,
        findings: Vec::new(),
        is_decoy: false,
        is_spared: false,
        source: serde_json::to_value(source).ok().and_then(|word| word.as_str().map(str::to_owned)),
    };
    let owner = scope.file().contact.as_str();
    judge::judge(&mut asset, owner, now);
    let reported: Vec<Finding> = new.iter().filter_map(|statement| reported(&asset, statement, owner)).collect();
    asset.findings.extend(reported);
    asset.grade = judge::grade(&asset, &asset.findings);
    scan.assets.push(asset);
}

fn service(statement: &Statement) -> Service {
    let is_dicom = statement.protocol == Protocol::Dicom;
    Service {
        port: statement.port,
        protocol: statement.protocol,
        level: statement.level,
        proof: Proof::Imported,
        read_level: statement.level,
        tls: None,
        product: statement.product.map_or_else(Product::default, |name| Product {
            name: name.to_owned(),
            version: None,
            confidence: Confidence::Likely,
        }),
        dicom: is_dicom.then(Dicom::default),
        web: (statement.protocol == Protocol::Http).then(Web::default),
        studies: None,
        images: None,
    }
}

fn reported(asset: &Asset, statement: &Statement, owner: &str) -> Option<Finding> {
    let (reference, severity, score) = statement.reported.clone()?;
    let rule = Rule::ReportedElsewhere;
    let entry = rule.entry()?;
    Some(Finding {
        id: format!("{}/{reference}", identity::finding(&asset.id, rule, statement.port)),
        rule,
        check: entry.check.clone(),
        port: statement.port,
        severity,
        score,
        vector: entry.vector.clone(),
        level: statement.level,
        proof: Proof::Imported,
        owner: owner.to_owned(),
        retest: format!("kluis inspect run SCOPE.toml --out DIR --only {} --port {}", asset.address, statement.port),
        reference: Some(reference),
    })
}

/// Products that are known by a word in a title or name.
pub(crate) fn product_in(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 9] = [
        ("orthanc", "Orthanc"),
        ("dcm4che", "dcm4chee-arc"),
        ("dicoogle", "Dicoogle"),
        ("meddream", "MedDream"),
        ("pacsone", "PacsOne"),
        ("horos", "Horos"),
        ("osirix", "OsiriX"),
        ("conquest", "ConQuest"),
        ("ohif", "OHIF"),
    ];
    let text = text.to_ascii_lowercase();
    NAMES.iter().find(|(word, _)| text.contains(word)).map(|(_, name)| *name)
}

/// Whether a text is about imaging at all.
pub(crate) fn is_imaging(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    product_in(&text).is_some() || ["dicom", "pacs"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
