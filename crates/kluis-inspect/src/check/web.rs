//! W01 to W07: what a web service lets a stranger do. Redirects are not followed; bodies are dropped beyond the few bytes that
//! tell what it is.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::{files, peer::Peer};
use crate::{
    fingerprint,
    guard::Refusal,
    scan::{Bucket, Confidence, Level, Product, Proof, Web, words_of_peer},
    wire::{
        http::{Answer, Response},
        identifier,
    },
};

/// Bytes of an answer to a search: `[]`, or the first of what should not be there.
const SEARCH_BODY: usize = 64;
/// Bytes of a page by which a product is known.
const PAGE_BODY: usize = 4 << 10;
/// An origin that nobody has (RFC 2606).
const ORIGIN: &str = "https://kluis-inspect.invalid";
const QIDO_HEADERS: &str = "Accept: application/dicom+json\r\nOrigin: https://kluis-inspect.invalid\r\n";
/// The default account of Orthanc's documentation.
const ORTHANC_ACCOUNT: &str = "orthanc:orthanc";

/// What was found out about a web service.
pub(crate) struct Found {
    pub(crate) web: Web,
    pub(crate) product: Product,
    pub(crate) level: Level,
    pub(crate) read_level: Level,
    pub(crate) proof: Proof,
    pub(crate) studies: Option<Bucket>,
    pub(crate) images: Option<Bucket>,
}

impl Found {
    fn reads(&mut self, level: Level, proof: Proof) {
        self.read_level = self.read_level.max(level);
        if level > self.level || (level == self.level && proof > self.proof) {
            (self.level, self.proof) = (level, proof);
        }
    }

    fn note(&mut self, what: &str, outcome: impl Into<String>) {
        self.web.outcomes.insert(what.to_owned(), outcome.into());
    }

    fn is(&self, product: &str) -> bool {
        self.product.name == product
    }
}

/// Goes on from the answer to `/`.
pub(crate) async fn check(peer: Peer<'_>, root: Response) -> Result<Found, Refusal> {
    let mut found = Found {
        web: Web { status: root.status, server: root.header("server").and_then(words_of_peer), ..Web::default() },
        product: Product::default(),
        level: Level::E1,
        read_level: Level::E1,
        proof: Proof::Proved,
        studies: None,
        images: None,
    };
    if (200..300).contains(&root.status) {
        found.reads(Level::E2, Proof::Proved);
    }
    headers(peer, &root, &mut found);
    products(peer, &mut found).await?;
    for prefix in fingerprint::qido_prefixes() {
        if search(peer, prefix, &mut found).await? {
            retrieve(peer, prefix, &mut found).await?;
            store(peer, prefix, &mut found).await?;
            break;
        }
    }
    if found.is("Orthanc") {
        orthanc(peer, &mut found).await?;
    }
    if files::is_listing(&root) {
        found.note("listing", "open");
        found.web.files = files::check(peer).await?;
        if found.web.files.is_some_and(|[_, dicom]| dicom > 0) {
            found.reads(Level::E4, Proof::Proved);
        }
    }
    Ok(found)
}

/// W07: what protects browsers.
fn headers(peer: Peer<'_>, root: &Response, found: &mut Found) {
    let mut missing = Vec::new();
    for name in ["content-security-policy", "x-content-type-options"] {
        if root.header(name).is_none() {
            missing.push(name);
        }
    }
    if peer.is_secure && root.header("strict-transport-security").is_none() {
        missing.push("strict-transport-security");
    }
    if !missing.is_empty() {
        found.note("headers-missing", missing.join(" "));
    }
    if let Some(cookie) = root.header("set-cookie") {
        let cookie = cookie.to_ascii_lowercase();
        if !cookie.contains("httponly") || !cookie.contains("secure") {
            found.note("cookie", "without Secure or HttpOnly");
        }
    }
}

/// W05: the pages by which products are known.
async fn products(peer: Peer<'_>, found: &mut Found) -> Result<(), Refusal> {
    for path in fingerprint::pages() {
        let Answer::Head(answer) = peer.ask("W05", "GET", path, "", PAGE_BODY).await? else { continue };
        let Some((row, product)) = fingerprint::web(path, &answer) else { continue };
        if row.is_admin && answer.status == 200 {
            found.note("admin", path);
        }
        if product.confidence > found.product.confidence {
            found.product = product;
        }
    }
    Ok(())
}

/// W01: a search for a study that cannot be. What follows is asked only where this was answered.
async fn search(peer: Peer<'_>, prefix: &str, found: &mut Found) -> Result<bool, Refusal> {
    let Some(uid) = identifier::impossible_uid() else { return Ok(false) };
    let target = format!("{prefix}/studies?StudyInstanceUID={uid}&limit=1");
    let Answer::Head(answer) = peer.ask("W01", "GET", &target, QIDO_HEADERS, SEARCH_BODY).await? else {
        return Ok(false);
    };
    if matches!(answer.header("access-control-allow-origin"), Some("*" | ORIGIN)) {
        found.note("cors", "any origin");
    }
    if matches!(answer.status, 401 | 403) {
        found.note("qido", format!("status {}", answer.status));
        return Ok(false);
    }
    if !is_search_result(&answer) {
        return Ok(false);
    }
    // a server that answers everything so has not searched
    let nonsense = format!("{prefix}/{}", identifier::random_title());
    let other = peer.ask("W01", "GET", &nonsense, QIDO_HEADERS, SEARCH_BODY).await?;
    if matches!(&other, Answer::Head(other) if is_search_result(other)) {
        found.note("qido", "answers everything alike");
        return Ok(false);
    }
    found.note("qido", format!("status {}", answer.status));
    found.reads(Level::E3, Proof::Proved);
    Ok(true)
}

/// An empty list in JSON, nothing, or (PS3.18 8.3.4.4 is not kept by all) a list that should be empty.
fn is_search_result(answer: &Response) -> bool {
    let is_json = answer.is_type("application/dicom+json") || answer.is_type("application/json");
    let first = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
    answer.status == 204 || (answer.status == 200 && is_json && first == Some(&b'['))
}

/// W03: an object that cannot be is absent, or forbidden.
async fn retrieve(peer: Peer<'_>, prefix: &str, found: &mut Found) -> Result<(), Refusal> {
    let Some(uid) = identifier::impossible_uid() else { return Ok(()) };
    let accept = "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=*\r\n";
    let target = format!("{prefix}/studies/{uid}");
    let Answer::Head(answer) = peer.ask("W03", "GET", &target, accept, 0).await? else { return Ok(()) };
    found.note("wado", format!("status {}", answer.status));
    if matches!(answer.status, 404 | 410) {
        found.reads(Level::E5, Proof::Negotiated);
    }
    Ok(())
}

/// W04: a message without a part is malformed, or forbidden.
async fn store(peer: Peer<'_>, prefix: &str, found: &mut Found) -> Result<(), Refusal> {
    let kind = "Content-Type: multipart/related; type=\"application/dicom\"; boundary=none\r\n";
    let target = format!("{prefix}/studies");
    let Answer::Head(answer) = peer.ask("W04", "POST", &target, kind, 0).await? else { return Ok(()) };
    found.note("stow", format!("status {}", answer.status));
    if matches!(answer.status, 200 | 202 | 204 | 400 | 409 | 411 | 415 | 500) && found.level < Level::E5 {
        (found.level, found.proof) = (Level::E5, Proof::Negotiated);
    }
    Ok(())
}

/// Orthanc's own interface, which is all of the archive or nothing.
async fn orthanc(peer: Peer<'_>, found: &mut Found) -> Result<(), Refusal> {
    if !found.web.outcomes.contains_key("admin") {
        found.note("rest", "asks for an account");
        if peer.guard.scope().file().allow_default_credentials {
            default_account(peer, found).await?;
        }
        return Ok(());
    }
    // W02: that the sums are shown is enough; they are read only where counting is allowed
    let is_counting = peer.guard.scope().file().allow_count;
    let body = if is_counting { PAGE_BODY } else { 0 };
    if let Answer::Head(answer) = peer.ask("W02", "GET", "/statistics", "", body).await? {
        found.note("rest", format!("status {}", answer.status));
        if answer.status == 200 {
            found.reads(Level::E4, Proof::Proved);
        }
        if is_counting {
            found.studies = number(&answer, "CountStudies").map(Bucket::of);
            found.images = number(&answer, "CountInstances").map(Bucket::of);
        }
    }
    // W03: an instance that cannot be: identifiers are SHA-1 of UIDs, and this one is of none
    let target = "/instances/ffffffff-ffffffff-ffffffff-ffffffff-ffffffff/file";
    if let Answer::Head(answer) = peer.ask("W03", "GET", target, "", 0).await? {
        found.note("rest-file", format!("status {}", answer.status));
        if answer.status == 404 {
            found.reads(Level::E5, Proof::Negotiated);
        }
    }
    Ok(())
}

/// W06: one attempt, where the scope allows it and the product is certain.
async fn default_account(peer: Peer<'_>, found: &mut Found) -> Result<(), Refusal> {
    let header = format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(ORTHANC_ACCOUNT));
    let Answer::Head(answer) = peer.ask("W06", "GET", "/system", &header, PAGE_BODY).await? else { return Ok(()) };
    found.note("default-account", format!("status {}", answer.status));
    if let Some((_, product)) = fingerprint::web("/system", &answer).filter(|_| answer.status == 200) {
        found.product = product;
        found.note("default-account", "lets in");
        found.reads(Level::E5, Proof::Inferred);
    }
    Ok(())
}

/// A number under a name; nothing else of the answer is looked at.
fn number(answer: &Response, name: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    value.get(name)?.as_u64()
}

/// Whether it is of imaging, as far as that is known.
pub(crate) fn is_imaging(product: &Product, web: &Web) -> bool {
    (product.confidence > Confidence::Unknown && product.name != "WildFly")
        || web.outcomes.get("qido").is_some_and(|outcome| outcome.starts_with("status 20"))
        || web.files.is_some_and(|[_, dicom]| dicom > 0)
}
