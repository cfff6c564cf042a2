//! One page without scripts and without anything from elsewhere, in English, Dutch or German. Every value is escaped.

use std::fmt::Write;

use super::{rfc3339, word};
use crate::{
    rule::Language,
    scan::{Asset, Scan, Severity},
};

pub use super::comparison::comparison;

const STYLE: &str = include_str!("../../data/report.css");

/// What the pages say beside the rules.
struct Labels {
    title: &'static str,
    grade: &'static str,
    summary: &'static str,
    hosts: &'static str,
    answered: &'static str,
    refused: &'static str,
    findings: &'static str,
    nothing: &'static str,
    stopped: &'static str,
    authority: &'static str,
    period: &'static str,
    assets: &'static str,
    address: &'static str,
    product: &'static str,
    level: &'static str,
    services: &'static str,
    risk: &'static str,
    fix: &'static str,
    retest: &'static str,
    owner: &'static str,
    decoy: &'static str,
    privacy: &'static str,
    evidence: &'static str,
    severities: [&'static str; 5],
    /// Imported, inferred, negotiated, proved.
    proofs: [&'static str; 4],
    levels: [&'static str; 6],
}

const EN: Labels = Labels {
    title: "Exposure of imaging systems",
    grade: "Grade",
    summary: "Summary",
    hosts: "hosts looked at",
    answered: "answered",
    refused: "refused by the guard rails",
    findings: "Findings",
    nothing: "Nothing was found to be open.",
    stopped: "The run was stopped before its end: what is not named here was not looked at.",
    authority: "Authority",
    period: "From … until",
    assets: "What answered",
    address: "Address",
    product: "Product",
    level: "Level",
    services: "Ports",
    risk: "What it means",
    fix: "What to do",
    retest: "Look again",
    owner: "Owner",
    decoy: "Signs of a decoy: not counted.",
    privacy: "No patient was read: access was proved by asking for what cannot exist.",
    evidence: "Each connection is a leaf of the log of probes",
    severities: ["info", "low", "medium", "high", "critical"],
    proofs: ["said by another tool", "inferred", "negotiated", "proved"],
    levels: [
        "closed",
        "refuses strangers",
        "answers anybody",
        "anybody may search",
        "anybody may count",
        "anybody may retrieve or write",
    ],
};

const NL: Labels = Labels {
    title: "Blootstelling van beeldsystemen",
    grade: "Cijfer",
    summary: "Samenvatting",
    hosts: "hosts bekeken",
    answered: "antwoordden",
    refused: "door de vangrails geweigerd",
    findings: "Bevindingen",
    nothing: "Er is niets gevonden dat openstaat.",
    stopped: "De inspectie is voortijdig gestopt: wat hier niet staat, is niet bekeken.",
    authority: "Mandaat",
    period: "Van … tot",
    assets: "Wat antwoordde",
    address: "Adres",
    product: "Product",
    level: "Niveau",
    services: "Poorten",
    risk: "Wat het betekent",
    fix: "Wat te doen",
    retest: "Opnieuw bekijken",
    owner: "Eigenaar",
    decoy: "Tekenen van een lokvogel: niet meegeteld.",
    privacy: "Er is geen patiënt gelezen: toegang is bewezen door te vragen naar wat niet kan bestaan.",
    evidence: "Elke verbinding is een blad van het logboek van proeven",
    severities: ["info", "laag", "middel", "hoog", "kritiek"],
    proofs: ["gemeld door een ander programma", "afgeleid", "overeengekomen", "bewezen"],
    levels: [
        "gesloten",
        "weigert onbekenden",
        "antwoordt iedereen",
        "iedereen mag zoeken",
        "iedereen mag tellen",
        "iedereen mag ophalen of schrijven",
    ],
};

const DE: Labels = Labels {
    title: "Erreichbarkeit von Bildsystemen",
    grade: "Note",
    summary: "Zusammenfassung",
    hosts: "Hosts angesehen",
    answered: "antworteten",
    refused: "von den Leitplanken abgelehnt",
    findings: "Befunde",
    nothing: "Nichts Offenes wurde gefunden.",
    stopped: "Der Lauf wurde vor seinem Ende angehalten: was hier nicht steht, wurde nicht angesehen.",
    authority: "Auftrag",
    period: "Von … bis",
    assets: "Was antwortete",
    address: "Adresse",
    product: "Produkt",
    level: "Stufe",
    services: "Ports",
    risk: "Was es bedeutet",
    fix: "Was zu tun ist",
    retest: "Nochmals ansehen",
    owner: "Zuständig",
    decoy: "Anzeichen einer Attrappe: nicht mitgezählt.",
    privacy: "Kein Patient wurde gelesen: Zugang wurde bewiesen, indem nach Unmöglichem gefragt wurde.",
    evidence: "Jede Verbindung ist ein Blatt des Protokolls der Proben",
    severities: ["Hinweis", "gering", "mittel", "hoch", "kritisch"],
    proofs: ["von einem anderen Programm gemeldet", "abgeleitet", "vereinbart", "bewiesen"],
    levels: [
        "geschlossen",
        "weist Fremde ab",
        "antwortet jedem",
        "jeder darf suchen",
        "jeder darf zählen",
        "jeder darf abrufen oder schreiben",
    ],
};

fn labels(language: Language) -> &'static Labels {
    match language {
        Language::En => &EN,
        Language::Nl => &NL,
        Language::De => &DE,
    }
}

/// The page of a scan.
#[must_use]
pub fn scan(scan: &Scan, language: Language) -> String {
    let labels = labels(language);
    let mut out = head(language, labels.title);
    // writing to a String cannot fail
    let _ = summary(&mut out, scan, labels);
    let _ = findings(&mut out, scan, language, labels);
    let _ = assets(&mut out, scan, labels);
    let _ = write!(out, "<p class=\"small\">{}</p>", labels.privacy);
    if let Some(probes) = &scan.probes {
        let _ = write!(
            out,
            "<p class=\"small\">{} ({}):</p><pre>{}</pre>",
            labels.evidence,
            probes.size,
            escape(&probes.checkpoint)
        );
    }
    out.push_str("</main></body></html>\n");
    out
}

pub(crate) fn head(language: Language, title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>",
        language.tag()
    )
}

fn summary(out: &mut String, scan: &Scan, labels: &Labels) -> std::fmt::Result {
    let grade = scan.grade();
    write!(
        out,
        "<section class=\"summary\"><p class=\"grade g{grade:?}\"><span>{}</span> {grade:?}</p><div><h2>{}</h2>",
        labels.grade, labels.summary
    )?;
    write!(
        out,
        "<p><b>{}</b>. {} {}, {} {}, {} {}.</p>",
        escape(&scan.scope.owner),
        scan.coverage.hosts,
        labels.hosts,
        scan.coverage.alive,
        labels.answered,
        scan.coverage.refused,
        labels.refused
    )?;
    if scan.stopped.is_some() {
        write!(out, "<p class=\"warn\">{}</p>", labels.stopped)?;
    }
    write!(out, "<ul class=\"counts\">")?;
    for severity in [Severity::Critical, Severity::High, Severity::Medium, Severity::Low] {
        let count = scan.findings().filter(|(_, finding)| finding.severity == severity).count();
        let name = severity_label(severity, labels);
        write!(out, "<li class=\"{}\"><b>{count}</b> {name}</li>", word(&severity))?;
    }
    write!(out, "</ul><dl>")?;
    write!(out, "<dt>{}</dt><dd>{}</dd>", labels.authority, escape(&scan.scope.authority))?;
    write!(out, "<dt>{}</dt><dd>{} … {}</dd>", labels.period, rfc3339(scan.begun), rfc3339(scan.ended))?;
    write!(out, "</dl></div></section>")
}

fn severity_label(severity: Severity, labels: &Labels) -> &'static str {
    let [info, low, medium, high, critical] = labels.severities;
    match severity {
        Severity::Info => info,
        Severity::Low => low,
        Severity::Medium => medium,
        Severity::High => high,
        Severity::Critical => critical,
    }
}

fn findings(out: &mut String, scan: &Scan, language: Language, labels: &Labels) -> std::fmt::Result {
    write!(out, "<h2>{}</h2>", labels.findings)?;
    let mut sorted: Vec<_> = scan.findings().filter(|(_, finding)| finding.severity > Severity::Info).collect();
    if sorted.is_empty() {
        return write!(out, "<p>{}</p>", labels.nothing);
    }
    sorted.sort_by(|a, b| b.1.severity.cmp(&a.1.severity).then_with(|| a.0.address.cmp(&b.0.address)));
    for (asset, finding) in sorted {
        let Some(entry) = finding.rule.entry() else { continue };
        let words = entry.words(language);
        write!(
            out,
            "<article class=\"{}\"><h3><span class=\"tag\">{}</span> {}</h3><p class=\"where\">{} · {} · {} · CVSS {:.1}</p>",
            word(&finding.severity),
            severity_label(finding.severity, labels),
            escape(&words.title),
            place(asset, Some(finding.port)),
            escape(&finding.check),
            labels.proofs.get(finding.proof as usize).copied().unwrap_or_default(),
            finding.score
        )?;
        write!(
            out,
            "<p><b>{}.</b> {}</p><p><b>{}.</b> {}</p><p class=\"small\"><b>{}:</b> {} · <b>{}:</b> <code>{}</code></p></article>",
            labels.risk,
            escape(&words.risk),
            labels.fix,
            escape(&words.fix),
            labels.owner,
            escape(&finding.owner),
            labels.retest,
            escape(&finding.retest)
        )?;
    }
    Ok(())
}

fn assets(out: &mut String, scan: &Scan, labels: &Labels) -> std::fmt::Result {
    write!(
        out,
        "<h2>{}</h2><table><thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr></thead><tbody>",
        labels.assets, labels.grade, labels.address, labels.product, labels.level, labels.services
    )?;
    for asset in &scan.assets {
        let products = asset.services.iter().map(|service| service.product.name.as_str());
        let mut products: Vec<&str> = products.filter(|name| *name != "unknown").collect();
        products.dedup();
        let ports: Vec<String> = asset.services.iter().map(|service| service.port.to_string()).collect();
        let level = labels.levels.get(asset.level as usize).copied().unwrap_or_default();
        write!(
            out,
            "<tr><td class=\"g{:?}\">{:?}</td><td>{}</td><td>{}</td><td>{:?}: {level}{}</td><td>{}</td></tr>",
            asset.grade,
            asset.grade,
            place(asset, None),
            escape(&products.join(", ")),
            asset.level,
            if asset.is_decoy { format!(" ({})", labels.decoy) } else { String::new() },
            ports.join(", ")
        )?;
    }
    write!(out, "</tbody></table>")
}

fn place(asset: &Asset, port: Option<u16>) -> String {
    let mut text =
        asset.name.clone().map_or_else(|| asset.address.clone(), |name| format!("{name} ({})", asset.address));
    if let Some(port) = port {
        let _ = write!(text, ", {port}");
    }
    for part in [&asset.site, &asset.department, &asset.country].into_iter().flatten() {
        let _ = write!(text, " · {part}");
    }
    escape(&text)
}

/// For text and for attributes in double quotes.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}
