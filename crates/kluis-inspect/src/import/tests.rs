//! Samples in the real forms of the tools, with addresses of documentation and private networks.

use std::path::PathBuf;

use tempfile::TempDir;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

const SHODAN: &str = concat!(
    r#"{"ip_str":"10.0.0.5","port":104,"transport":"tcp","data":"DICOM Server Response\n\\x02\\x00","location":{"country_code":"NL"},"tags":["medical"]}"#,
    "\n",
    r#"{"ip_str":"192.0.2.7","port":11112,"transport":"tcp","data":"DICOM Server Response","location":{"country_code":"US"}}"#,
    "\n",
    r#"{"ip_str":"192.0.2.8","port":8042,"data":"HTTP/1.1 200 OK","http":{"title":"Orthanc Explorer","server":null},"location":{"country_code":"US"}}"#,
    "\n",
    r#"{"ip_str":"192.0.2.9","port":8042,"data":"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"Orthanc Secure Area\"","http":{"title":null},"location":{"country_code":"DE"}}"#,
    "\n",
    r#"{"ip_str":"192.0.2.10","port":22,"data":"SSH-2.0-OpenSSH","location":{"country_code":"DE"}}"#,
    "\n"
);

const CENSYS: &str = r#"{"code":200,"result":{"hits":[
    {"ip":"10.0.0.6","services":[{"port":104,"service_name":"DICOM","transport_protocol":"TCP"},{"port":22,"service_name":"SSH"}],
     "location":{"country":"Netherlands","country_code":"NL"}},
    {"ip":"192.0.2.11","services":[{"port":8042,"service_name":"HTTP","http":{"response":{"status_code":200,"html_title":"Orthanc Explorer"}}}],
     "location":{"country_code":"BR"}}]}}"#;

const NMAP: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun [<!ENTITY x "dicom">]>
<nmaprun scanner="nmap" args="nmap -oX -" version="7.93">
<host><status state="up"/><address addr="10.0.0.7" addrtype="ipv4"/><address addr="00:11:22:33:44:55" addrtype="mac"/>
<ports><port protocol="tcp" portid="104"><state state="open" reason="syn-ack"/><service name="acr-nema" method="table"/>
<script id="dicom-ping" output="&#xa;  dicom: DICOM Service Provider discovered!&#xa;  config: Any AET is accepted (Insecure)"/></port>
<port protocol="tcp" portid="11112"><state state="open"/><service name="dicom"/><script id="dicom-ping" output="config: Called AET check enabled"/></port>
<port protocol="tcp" portid="4242"><state state="closed"/><service name="dicom"/></port>
<port protocol="tcp" portid="22"><state state="open"/><service name="ssh" product="OpenSSH"/></port>
</ports></host></nmaprun>"#;

const OPENVAS: &str = r#"<report id="1" format_id="x"><report id="1"><results start="1" max="2">
<result id="a"><name>Orthanc Default Credentials (HTTP)</name><host>10.0.0.8<asset asset_id="b"/></host><port>8042/tcp</port>
<nvt oid="1.3.6.1.4.1.25623.1.0.999999"><type>nvt</type><name>Orthanc Default Credentials (HTTP)</name></nvt><threat>High</threat><severity>9.8</severity></result>
<result id="c"><name>SSH Weak Ciphers</name><host>10.0.0.8</host><port>22/tcp</port><nvt oid="1.2"/><severity>4.3</severity></result>
</results></report></report>"#;

const NUCLEI: &str = concat!(
    r#"{"template-id":"orthanc-default-login","info":{"name":"Orthanc Default Login","severity":"high"},"type":"http","host":"http://10.0.0.9:8042","matched-at":"http://10.0.0.9:8042/system","ip":"10.0.0.9"}"#,
    "\n",
    r#"{"template-id":"tls-version","info":{"name":"TLS Version","severity":"info"},"host":"10.0.0.9","matched-at":"10.0.0.9:443","ip":"10.0.0.9","port":"443"}"#,
    "\n"
);

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn scope() -> Scope {
    let text = "schema = 1\nowner = \"Hospital\"\ncontact = \"soc\"\nauthority = \"Board\"\nvalid_from = \"2026-11-01T00:00:00Z\"\n\
                valid_until = \"2027-01-01T00:00:00Z\"\nnetworks = [\"10.0.0.0/24\"]\n[[site]]\nname = \"North\"\nnetworks = [\"10.0.0.0/24\"]\n";
    Scope::check(text.as_bytes(), "signer", NOW).unwrap()
}

fn import_all(source: Source, text: &str) -> (Imported, Scan) {
    let scope = scope();
    let mut scan = empty_scan(&scope, NOW);
    let (_folder, path) = file(text);
    let imported = import(source, &path, Some((&scope, &mut scan)), NOW).unwrap();
    (imported, scan)
}

#[test]
fn each_tool_is_read_and_what_is_of_others_is_only_counted() {
    for (source, text, systems, passed_over, added, others) in [
        (Source::Shodan, SHODAN, 4, 1, 1, 3),
        (Source::Censys, CENSYS, 2, 1, 1, 1),
        (Source::Nmap, NMAP, 1, 2, 1, 0),
        (Source::Openvas, OPENVAS, 1, 1, 1, 0),
        (Source::Nuclei, NUCLEI, 1, 1, 1, 0),
    ] {
        let (imported, scan) = import_all(source, text);
        let found = (imported.systems, imported.passed_over, imported.added, imported.others.systems);
        assert_eq!(found, (systems, passed_over, added, others), "{source:?}");
        assert!(!serde_json::to_string(&imported).unwrap().contains("192.0.2."), "{source:?}");
        let asset = &scan.assets[0];
        assert!(asset.address.starts_with("10.0.0.") && asset.site.as_deref() == Some("North"), "{source:?}");
        assert!(asset.source.is_some() && asset.services.iter().all(|service| service.proof == Proof::Imported));
        assert!(asset.findings.iter().all(|finding| finding.proof == Proof::Imported), "{:#?}", asset.findings);
    }
}

#[test]
fn what_a_tool_says_becomes_no_more_than_it_says() {
    let (imported, scan) = import_all(Source::Shodan, SHODAN);
    assert_eq!(imported.others.countries, BTreeMap::from([("DE".to_owned(), 1), ("US".to_owned(), 2)]));
    assert_eq!(imported.others.levels, BTreeMap::from([("E1".to_owned(), 1), ("E2".to_owned(), 2)]));
    assert_eq!((scan.assets[0].level, scan.assets[0].grade), (Level::E2, Grade::C));
    let (_, scan) = import_all(Source::Nmap, NMAP);
    let levels: Vec<(u16, Level)> = scan.assets[0].services.iter().map(|held| (held.port, held.level)).collect();
    assert_eq!(levels, [(104, Level::E2), (11112, Level::E1)]);
    let (_, scan) = import_all(Source::Openvas, OPENVAS);
    let finding = scan.assets[0].findings.iter().find(|held| held.rule == Rule::ReportedElsewhere).unwrap();
    assert_eq!((finding.severity, finding.score), (Severity::Critical, 9.8));
    assert_eq!(finding.reference.as_deref(), Some("1.3.6.1.4.1.25623.1.0.999999"));
    let (_, scan) = import_all(Source::Nuclei, NUCLEI);
    assert_eq!(scan.assets[0].services[0].port, 8042);
}

#[test]
fn what_was_measured_stays() {
    let (_, mut scan) = import_all(Source::Nmap, NMAP);
    scan.assets[0].source = None;
    let before = serde_json::to_value(&scan.assets[0]).unwrap();
    let scope = scope();
    let (_folder, path) = file(&SHODAN.replace("10.0.0.5", "10.0.0.7"));
    let imported = import(Source::Shodan, &path, Some((&scope, &mut scan)), NOW).unwrap();
    assert_eq!((imported.known, imported.added), (1, 0));
    assert_eq!((scan.assets.len(), serde_json::to_value(&scan.assets[0]).unwrap()), (1, before));
}

#[test]
fn without_a_scope_nothing_of_a_single_system_is_kept() {
    let (_folder, path) = file(SHODAN);
    let imported = import(Source::Shodan, &path, None, NOW).unwrap();
    assert_eq!((imported.added, imported.others.systems), (0, 4));
}

#[test]
fn what_is_of_no_tool_is_refused() {
    let sources = [Source::Shodan, Source::Censys, Source::Nmap, Source::Openvas, Source::Nuclei];
    let deep = "<report>".repeat(1_000);
    for text in ["", "no", "{}", "[]", "<html/>", "{\"a\":1}\n{", "<nmaprun", deep.as_str()] {
        for source in sources {
            let (_folder, path) = file(text);
            assert!(import(source, &path, None, NOW).is_err(), "{source:?} {text:.20}");
        }
    }
}
