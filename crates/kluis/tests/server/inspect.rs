//! `kluis inspect` at a node as it is shipped, from the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Server, json, kluis};

/// Ports of both doors.
fn ports(server: &Server) -> Result<[u16; 2]> {
    let port = |text: &str| -> Result<u16> { Ok(text.rsplit(':').next().context("port")?.parse()?) };
    Ok([port(&server.https)?, port(&server.dicom_tls)?])
}

#[allow(clippy::disallowed_methods, reason = "a scope is valid at the time of the test")]
fn scope(folder: &Path, ports: [u16; 2]) -> Result<PathBuf> {
    let now = OffsetDateTime::now_utc();
    let time = |days| (now + Duration::days(days)).format(&Rfc3339);
    let path = folder.join("scope.toml");
    let text = format!(
        "schema = 1\nowner = \"Us\"\ncontact = \"us@example.org\"\nauthority = \"test\"\nvalid_from = \"{}\"\n\
         valid_until = \"{}\"\nnetworks = [\"127.0.0.1\"]\nports = {ports:?}\n[care]\nconnects_per_s = 100\n",
        time(-1)?,
        time(1)?
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("path")
}

#[test]
fn a_node_as_it_is_shipped_has_grade_a() -> Result<()> {
    let server = Server::start()?;
    let folder = server.beside();
    let path = scope(folder, ports(&server)?)?;
    let (scope, out) = (text(&path)?, folder.join("scan"));
    let run = |arguments: &[&str]| kluis(&server.data(), arguments);
    // without a signature nothing is sent
    let refused = run(&["inspect", "run", scope, "--out", text(&out)?, "--json"])?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    ensure!(!out.exists(), "a refused run made its folder");
    json(&run(&["inspect", "scope", "key", "--name", "us", "--out", text(folder)?, "--json"])?)?;
    let key = folder.join("authority.key");
    json(&run(&["inspect", "scope", "sign", scope, "--key", text(&key)?, "--json"])?)?;

    let found = run(&["inspect", "run", scope, "--out", text(&out)?, "--json"])?;
    let summary: Value = serde_json::from_slice(&found.stdout)?;
    let scan: Value = serde_json::from_slice(&std::fs::read(out.join("scan.json"))?)?;
    ensure!(found.status.code() == Some(0), "{summary} {scan:#}");
    ensure!(summary["grade"] == "A", "{summary}");
    let services = scan["assets"][0]["services"].as_array().context("services")?;
    ensure!(services.len() == 2, "{scan:#}");
    for service in services {
        ensure!(service["level"] == "E1", "{service:#}");
        ensure!(service["tls"]["version"] == "TLS 1.3", "{service:#}");
    }
    for file in ["report.en.html", "report.nl.html", "report.de.html", "findings.csv", "report.sarif", "csaf.json"] {
        ensure!(out.join(file).exists(), "{file} is missing");
    }
    // the same scan twice is a good way
    let compared = run(&["inspect", "compare", text(&out)?, text(&out)?, "--json"])?;
    let comparison: Value = serde_json::from_slice(&compared.stdout)?;
    ensure!(compared.status.code() == Some(0) && comparison["days"] == 0, "{comparison}");
    Ok(())
}
