//! Reports of a scan whose every text is hostile.

use serde_json::Value;
use time::macros::datetime;

use super::*;
use crate::{
    judge,
    scan::{
        Asset, Confidence, Coverage, Dicom, Exposure, Grade, Level, Product, Proof, Protocol, SCHEMA, ScopeSummary,
        Service,
    },
};

const HOSTILE: &str = "=cmd|'/c calc'!A0\"><script>alert(1)</script>";

fn sample() -> Scan {
    let now = datetime!(2026-11-23 12:00 UTC);
    let dicom = Dicom {
        checks_called_ae: Some(false),
        offered: vec!["echo".to_owned(), "find-study".to_owned()],
        outcomes: [("find-study".to_owned(), "status 0000".to_owned())].into(),
        ..Dicom::default()
    };
    let service = Service {
        port: 104,
        protocol: Protocol::Dicom,
        level: Level::E3,
        proof: Proof::Proved,
        read_level: Level::E3,
        tls: None,
        product: Product { name: HOSTILE.to_owned(), version: Some("-1".to_owned()), confidence: Confidence::Likely },
        dicom: Some(dicom),
        web: None,
        studies: None,
        images: None,
    };
    let mut asset = Asset {
        id: "host-1".to_owned(),
        address: "10.0.0.1".to_owned(),
        name: Some(HOSTILE.to_owned()),
        site: Some(HOSTILE.to_owned()),
        department: None,
        country: Some("NL".to_owned()),
        exposure: Exposure::Public,
        grade: Grade::A,
        level: Level::E0,
        services: vec![service],
        findings: Vec::new(),
        is_decoy: false,
        is_spared: false,
        source: None,
    };
    judge::judge(&mut asset, HOSTILE, now);
    Scan {
        schema: SCHEMA.to_owned(),
        scope: ScopeSummary {
            owner: HOSTILE.to_owned(),
            contact: HOSTILE.to_owned(),
            authority: HOSTILE.to_owned(),
            digest: "00".to_owned(),
            signer: "lab+0+0".to_owned(),
        },
        begun: now,
        ended: now,
        stopped: None,
        coverage: Coverage { hosts: 1, alive: 1, refused: 0, spared: 0 },
        probes: None,
        assets: vec![asset],
    }
}

#[test]
fn sample_is_judged() {
    let scan = sample();
    assert_eq!(scan.grade(), Grade::F);
    let rules: Vec<String> = scan.findings().map(|(_, finding)| finding.rule.name()).collect();
    assert_eq!(rules, ["dicom-find-open", "dicom-associates-anyone", "dicom-clear"]);
}

#[test]
fn no_cell_is_a_formula() {
    let text = csv(&sample());
    assert_eq!(text.lines().count(), 4);
    assert!(text.contains("\"'=cmd|'/c calc'!A0\"\"><script>alert(1)</script>\""), "{text}");
    for line in text.lines() {
        for cell in line.split("\",\"") {
            let cell = cell.trim_start_matches('"');
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t']), "{cell}");
        }
    }
    for text in ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\u{ff1d}1"] {
        let mut out = String::new();
        super::csv::cell(&mut out, text);
        assert!(out.starts_with("\"'"), "{out}");
    }
}

#[test]
fn pages_hold_nothing_live_and_nothing_from_elsewhere() {
    for language in Language::ALL {
        let page = html::scan(&sample(), language);
        assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        for word in ["http://", "https://", "src=", "url(", "@import", "href="] {
            assert!(!page.contains(word), "{word}");
        }
        let title = &crate::rule::Rule::DicomFindOpen.entry().unwrap().words(language).title;
        assert!(page.contains(&html::escape(title)), "{language:?}");
    }
}

#[test]
fn machine_reports_follow_the_findings() {
    let scan = sample();
    let sarif = sarif(&scan);
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for (result, (_, finding)) in results.iter().zip(scan.findings()) {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        assert_eq!(result["partialFingerprints"]["kluisInspectFinding/v1"], Value::String(finding.id.clone()));
    }
    assert_eq!(results[0]["level"], "error");
    let csaf = csaf(&scan);
    assert_eq!(csaf["document"]["csaf_version"], "2.0");
    assert_eq!(csaf["document"]["notes"].as_array().unwrap().len(), 4);
    let cyclonedx = cyclonedx(&scan);
    assert_eq!(cyclonedx["components"][0]["bom-ref"], "host-1");
    assert_eq!(cyclonedx["services"][0]["endpoints"][0], "tcp://10.0.0.1:104");
    let openkat = openkat(&scan);
    let objects = openkat["objects"].as_array().unwrap();
    let count = |kind: &str| objects.iter().filter(|object| object["object_type"] == kind).count();
    assert_eq!((count("IPPort"), count("Finding"), count("KATFindingType")), (1, 3, 3));
}

#[test]
fn a_scan_file_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.json");
    let scan = sample();
    write_json(&path, &scan).unwrap();
    let read = Scan::read(&path).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&scan).unwrap());
    let files = write_all(&scan, folder.path()).unwrap();
    assert_eq!(files.len(), 8);
    assert!(files.iter().all(|file| file.metadata().is_ok_and(|held| held.len() > 100)));
    let mut other = scan;
    other.schema = "kluis-inspect/scan/2".to_owned();
    write_json(&path, &other).unwrap();
    assert!(matches!(Scan::read(&path), Err(InspectError::Form { .. })));
}
