//! Exports as they leave the node: as folder and as ZIP file, read by others, whole or not at all.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use kluis_testkit::SmallInstance;
use kluis_verify::{Conclusion, Trust, Verdict};

use super::{Site, look, read_all};
use crate::support::{
    Server, json, kluis,
    tools::{program, python, run, text},
};

#[test]
fn exported_studies_are_intact_to_us_and_to_others() -> Result<()> {
    let mut site = Site::new(61)?;
    let trust = site.trust()?;
    let (folder, zip) = (site.export("beside")?, site.export("beside.zip")?);
    for path in [&folder, &zip] {
        let report = look(path, &trust)?;
        assert_eq!(report.conclusion, Conclusion::Intact, "{}", report.text());
        assert_eq!((report.count(Verdict::Intact), report.objects.len()), (6, 6), "{}", report.text());
        assert!(report.is_complete && report.findings.is_empty(), "{}", report.text());
        assert_eq!(report.notes.len(), 1, "the conflict is told: {}", report.text());
        assert!(report.objects.iter().all(|object| object.transport.as_deref() == Some("local")), "{}", report.text());
        // who made the proof is not known without a key
        let own = look(path, &Trust::default())?;
        assert_eq!((own.conclusion, own.conclusion.exit_code()), (Conclusion::IntactByOwnKey, 3), "{}", own.text());
    }
    // names say nothing, and nobody else reads them
    for (name, _) in read_all(&folder)? {
        let mode = std::fs::metadata(folder.join(&name))?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        let is_media_name = |part: &str| part.len() == 8 && part.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(name == "proof.jsonl" || name.split('/').all(is_media_name), "{name}");
    }
    assert_eq!(std::fs::metadata(&folder)?.permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&zip)?.permissions().mode() & 0o777, 0o600);

    let key = site.server.data().join("ledger/objects.vkey");
    let arguments = ["--vkey", key.to_str().context("path")?, "--folder", folder.to_str().context("path")?];
    let answer = python("proof.py", &arguments)?;
    assert_eq!(answer["objects"], 6, "{answer}");
    let dcmdump = program("dcmdump")?;
    for name in read_all(&folder)?.keys().filter(|name| *name != "proof.jsonl") {
        let output = run(std::process::Command::new(&dcmdump).arg(folder.join(name)))?;
        assert!(output.status.success() && text(&output).contains("SOPInstanceUID"), "{}", text(&output));
    }

    // without a node the same, but for what the node says later
    assert_eq!(site.server.stop()?, 0);
    let without = site.export("without")?;
    assert_eq!(look(&without, &trust)?.conclusion, Conclusion::Intact);
    let (mut before, mut after) = (read_all(&folder)?, read_all(&without)?);
    before.remove("proof.jsonl");
    after.remove("proof.jsonl");
    assert_eq!(before, after);
    // the trail knows of each
    let mut trail = String::new();
    for (_, bytes) in read_all(&site.server.data().join("ledger/audit"))? {
        trail.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(trail.contains("\"export\""), "the audit log does not name the export");
    Ok(())
}

/// An export is whole or not there, and takes nobody's place.
#[test]
fn exports_take_no_place_and_leave_no_halves() -> Result<()> {
    let server = Server::start()?;
    let instance = SmallInstance::new(62, 1, 1, 1);
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, instance.file())?;
    server.command(&["import", file.to_str().context("path")?])?;
    let data = server.data();
    let out = |name: &str| server.beside().join("out").join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(out("full"))?;
    std::fs::create_dir_all(out("empty"))?;
    std::fs::write(out("full/file"), "x")?;
    std::fs::write(out("taken.zip"), "x")?;
    let export = |study: &str, name: &str| kluis(&data, &["export", "--study", study, "--out", &out(name), "--json"]);
    for (study, name, sentence) in [
        (instance.study.as_str(), "full", "not empty"),
        (&instance.study, "taken.zip", "exists already"),
        (&instance.study, "nowhere/deeper/x", "cannot make"),
        ("1.2.3", "absent", "no such thing"),
        ("1.2.3", "absent.zip", "no such thing"),
        ("../x", "wrong", "no UID"),
    ] {
        let output = export(study, name)?;
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output));
        assert!(text(&output).contains(sentence), "{name}: {}", text(&output));
    }
    let left = || -> Result<Vec<String>> { Ok(read_all(&server.beside().join("out"))?.into_keys().collect()) };
    assert_eq!(left()?, ["full/file", "taken.zip"]);
    assert_eq!(std::fs::read_dir(server.beside().join("out"))?.count(), 3, "a temporary name was left");
    let answer = json(&export(&instance.study, "empty")?)?;
    assert_eq!((&answer["objects"], &answer["proof"]), (&1.into(), &false.into()), "{answer}");
    assert_eq!(left()?, ["empty/ST000001/SE000001/IM000001", "full/file", "taken.zip"]);
    // without a proof nothing is proved
    let report = look(&server.beside().join("out/empty"), &Trust::default())?;
    assert_eq!((report.conclusion, report.count(Verdict::Unproven)), (Conclusion::NotIntact, 1), "{}", report.text());
    Ok(())
}

/// A damaged object breaks the export off; nothing is left of it.
#[test]
fn a_damaged_object_is_not_exported_in_silence() -> Result<()> {
    let mut server = Server::start()?;
    let instance = SmallInstance::new(63, 1, 1, 1);
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, instance.file())?;
    server.command(&["import", file.to_str().context("path")?])?;
    assert_eq!(server.stop()?, 0);
    for (name, mut bytes) in read_all(&server.data().join("packs"))? {
        if bytes.len() > 2_000 {
            // behind the header of the record, in the first chunk
            let first = bytes.windows(8).position(|window| window == b"kluisrec").context("no record")?;
            bytes[first + 300] ^= 1;
            std::fs::write(server.data().join("packs").join(name), bytes)?;
        }
    }
    std::fs::create_dir(server.beside().join("out"))?;
    for name in ["out/x", "out/x.zip"] {
        let out = server.beside().join(name);
        let arguments = ["export", "--study", &instance.study, "--proof", "--out", out.to_str().context("path")?];
        let output = kluis(&server.data(), &arguments)?;
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(std::fs::read_dir(server.beside().join("out"))?.count(), 0, "{}", text(&output));
    }
    Ok(())
}
