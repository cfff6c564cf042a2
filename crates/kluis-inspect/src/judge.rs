//! From what was found out to what is wrong, how bad it is, and the grade. Pure: no network, no clock.

use time::OffsetDateTime;

use crate::{
    check::web::is_imaging,
    identity,
    rule::Rule,
    scan::{Asset, Exposure, Finding, Grade, Level, Proof, Protocol, Service, Severity},
};

/// Fills in findings, level, grade and whether it is a decoy. `owner` is who is to mend it.
pub(crate) fn judge(asset: &mut Asset, owner: &str, now: OffsetDateTime) {
    let mut findings = Vec::new();
    for service in &asset.services {
        for (rule, level, proof) in rules(service, now) {
            // what others say proves nothing
            let proof = if service.proof == Proof::Imported { Proof::Imported } else { proof };
            findings.extend(finding(asset, service, rule, level, proof, owner));
        }
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.port.cmp(&b.port)).then(a.rule.cmp(&b.rule)));
    asset.is_decoy = asset.services.iter().any(is_decoy);
    asset.level = asset.services.iter().map(|service| service.level).max().unwrap_or_default();
    asset.grade = grade(asset, &findings);
    asset.findings = findings;
}

/// Who takes a class that does not exist and finds a study that does not exist is no archive.
fn is_decoy(service: &Service) -> bool {
    service.dicom.as_ref().is_some_and(|dicom| dicom.takes_any_class && dicom.ignores_keys)
}

type Broken = (Rule, Level, Proof);

fn rules(service: &Service, now: OffsetDateTime) -> Vec<Broken> {
    let mut broken = Vec::new();
    if service.protocol == Protocol::Dicom {
        dicom(service, &mut broken);
    }
    if service.protocol == Protocol::Http {
        web(service, &mut broken);
    }
    if let Some(tls) = &service.tls {
        if tls.not_after.is_some_and(|until| until < now) {
            broken.push((Rule::TlsCertificateExpired, Level::E1, Proof::Proved));
        }
        if tls.old_version.is_some() {
            broken.push((Rule::TlsVersionOld, Level::E1, Proof::Proved));
        }
        if tls.is_self_signed {
            broken.push((Rule::TlsCertificateSelfSigned, Level::E1, Proof::Proved));
        }
    }
    broken
}

fn dicom(service: &Service, broken: &mut Vec<Broken>) {
    let Some(dicom) = &service.dicom else { return };
    let is = |what: &str, outcome: &str| dicom.outcomes.get(what).is_some_and(|held| held.starts_with(outcome));
    let is_searched = |what: &str| is(what, "status 0000") || is(what, "found something");
    let is_in = service.level >= Level::E2;
    if service.tls.is_none() {
        broken.push((Rule::DicomClear, Level::E1, Proof::Proved));
    }
    if is_in && dicom.checks_called_ae == Some(true) {
        broken.push((Rule::DicomAeTitleOnly, Level::E2, Proof::Proved));
    } else if is_in && service.tls.is_some() {
        broken.push((Rule::DicomTlsAnyone, Level::E2, Proof::Proved));
    } else if is_in {
        broken.push((Rule::DicomAssociatesAnyone, Level::E2, Proof::Proved));
    }
    if is_searched("find-study") || is_searched("find-patient") {
        broken.push((Rule::DicomFindOpen, Level::E3, Proof::Proved));
    }
    if is_searched("find-worklist") {
        broken.push((Rule::DicomWorklistOpen, Level::E3, Proof::Proved));
    }
    if is("get-study", "status 0000") || is("move-study", "status 0000") {
        broken.push((Rule::DicomRetrieveOpen, Level::E5, Proof::Proved));
    }
    if dicom.offered.iter().any(|word| word.starts_with("store-")) {
        broken.push((Rule::DicomStoreOpen, Level::E5, Proof::Negotiated));
    }
    if service.studies.is_some() {
        broken.push((Rule::DicomCountOpen, Level::E4, Proof::Proved));
    }
}

fn web(service: &Service, broken: &mut Vec<Broken>) {
    let Some(web) = &service.web else { return };
    let outcome = |what: &str| web.outcomes.get(what).map(String::as_str).unwrap_or_default();
    let is_status = |what: &str, wanted: &[&str]| {
        outcome(what).strip_prefix("status ").is_some_and(|status| wanted.contains(&status))
    };
    let is_imaging = is_imaging(&service.product, web);
    if is_imaging && service.tls.is_none() {
        broken.push((Rule::WebClear, Level::E1, Proof::Proved));
    }
    if is_status("qido", &["200", "204"]) {
        broken.push((Rule::WebQueryOpen, Level::E3, Proof::Proved));
    }
    if is_status("rest", &["200"]) {
        broken.push((Rule::WebCountOpen, Level::E4, Proof::Proved));
    }
    if is_status("wado", &["404", "410"]) || is_status("rest-file", &["404"]) {
        broken.push((Rule::WebRetrieveOpen, Level::E5, Proof::Negotiated));
    }
    if is_status("stow", &["200", "202", "204", "400", "409", "411", "415", "500"]) {
        broken.push((Rule::WebStoreOpen, Level::E5, Proof::Negotiated));
    }
    if !outcome("admin").is_empty() {
        broken.push((Rule::WebAdminOpen, Level::E2, Proof::Proved));
    }
    if outcome("default-account") == "lets in" {
        broken.push((Rule::DefaultAccount, Level::E5, Proof::Proved));
    }
    if web.files.is_some_and(|[_, dicom]| dicom > 0) {
        broken.push((Rule::FilesDicomOpen, Level::E4, Proof::Proved));
    }
    if !outcome("listing").is_empty() {
        broken.push((Rule::WebListingOpen, Level::E2, Proof::Proved));
    }
    // of a page that has nothing to do with imaging these would only be noise
    if is_imaging {
        if !outcome("cors").is_empty() {
            broken.push((Rule::WebCorsAny, Level::E2, Proof::Proved));
        }
        if !outcome("headers-missing").is_empty() {
            broken.push((Rule::WebHeadersMissing, Level::E1, Proof::Proved));
        }
        if !outcome("cookie").is_empty() {
            broken.push((Rule::WebCookieOpen, Level::E1, Proof::Proved));
        }
    }
}

fn finding(asset: &Asset, service: &Service, rule: Rule, level: Level, proof: Proof, owner: &str) -> Option<Finding> {
    let entry = rule.entry()?;
    let host = asset.name.as_deref().unwrap_or(&asset.address);
    Some(Finding {
        id: identity::finding(&asset.id, rule, service.port),
        rule,
        check: entry.check.clone(),
        port: service.port,
        severity: entry.severity(asset.exposure),
        score: entry.score,
        vector: entry.vector.clone(),
        level,
        proof,
        owner: owner.to_owned(),
        retest: format!("kluis inspect run SCOPE.toml --out DIR --only {host} --port {}", service.port),
        reference: None,
    })
}

/// F: open to the world. D: open within, or to the world in clear. C: in clear, or held by a title alone. B: minor.
pub(crate) fn grade(asset: &Asset, findings: &[Finding]) -> Grade {
    let is_public = asset.exposure == Exposure::Public;
    let level = asset.services.iter().map(|service| service.level).max().unwrap_or_default();
    let has = |rules: &[Rule]| findings.iter().any(|finding| rules.contains(&finding.rule));
    let is_clear = has(&[Rule::DicomClear, Rule::WebClear]);
    if has(&[Rule::DefaultAccount, Rule::FilesDicomOpen]) || (is_public && level >= Level::E3) {
        return Grade::F;
    }
    if level >= Level::E3 || (is_public && level >= Level::E2 && is_clear) {
        return Grade::D;
    }
    let is_medium = findings.iter().any(|finding| finding.severity >= Severity::Medium);
    if is_clear || is_medium {
        return Grade::C;
    }
    if findings.iter().any(|finding| finding.severity >= Severity::Low) { Grade::B } else { Grade::A }
}
