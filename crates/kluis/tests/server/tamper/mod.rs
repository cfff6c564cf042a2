//! A node whose stores somebody changed: damaged objects are not given out as whole, and a node that was put back to an
//! older state is found by a checkpoint that was kept elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kluis_testkit::SmallInstance;

use crate::support::{
    Server,
    dicomweb::{get, stow},
    init, json, kluis,
    tools::{python, python_run, text},
};

/// The packs of a node, in order.
fn packs(data: &Path) -> Result<Vec<PathBuf>> {
    let mut packs = Vec::new();
    for entry in fs::read_dir(data.join("packs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            packs.push(path);
        }
    }
    packs.sort();
    Ok(packs)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn damaged_object_is_never_given_out_as_whole() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let mut instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(9, number, 1, number)).collect();
    // the damage is in the last chunk: much of it is read well before
    instances[1].side_pixels = 1_900;
    for instance in &instances {
        stow(&http, &server, &token, &[instance.file()]).await?;
    }
    let data_set = instances[1].data_set_bytes();
    let is_damaged = packs(&server.data())?.iter().any(|path| {
        let mut bytes = fs::read(path).unwrap_or_default();
        let at = (4_096..bytes.len().saturating_sub(256)).step_by(64).find(|at| {
            let length = bytes.get(at + 124..at + 132);
            bytes[*at..].starts_with(b"kluisrec")
                && length.is_some_and(|length| length == (data_set.len() as u64).to_le_bytes())
        });
        let Some(at) = at else { return false };
        bytes[at + 256 + data_set.len() - 9] ^= 4;
        fs::write(path, bytes).is_ok()
    });
    ensure!(is_damaged, "the object was not found in the packs");
    let SmallInstance { study, series, sop_instance, .. } = &instances[1];
    let place = format!("/dicom-web/studies/{study}/series/{series}/instances/{sop_instance}");
    for (path, accept) in [
        (place.clone(), "application/dicom; transfer-syntax=*"),
        (place.clone(), "multipart/related; type=\"application/dicom\"; transfer-syntax=*"),
        (format!("/dicom-web/studies/{study}"), "multipart/related; type=\"application/dicom\"; transfer-syntax=*"),
        (format!("{place}/frames/1"), "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*"),
    ] {
        let response = get(&http, &server, &token, &path, accept).await?;
        if response.status().is_success() {
            let body = response.bytes().await;
            assert!(body.is_err(), "{path} as {accept}: {} bytes came as if they were all", body?.len());
        } else {
            assert!(response.status().is_server_error(), "{path} as {accept}: {}", response.status());
        }
    }
    // the others are whole
    for instance in [&instances[0], &instances[2]] {
        let path = format!("/dicom-web/studies/{}", instance.study);
        assert_eq!(crate::support::dicomweb::retrieve(&http, &server, &token, &path).await?.len(), 1);
    }
    let output = kluis(&server.data(), &["verify", "--full", "--json"])?;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let finding = &report["findings"][0];
    let object = finding["object"].as_str().context("no object is named")?;
    assert!(finding["what"].as_str().is_some_and(|what| what.contains("chunk")), "{report}");
    assert!(finding["pack"].is_u64() && finding["offset"].is_u64(), "{report}");
    let log = fs::read_to_string(server.log())?;
    assert!(log.contains(object), "the log does not name {object}: {log}");
    assert!(!log.contains(&instances[1].patient_name) && !log.contains(study.as_str()), "{log}");
    Ok(())
}

fn import(data: &Path, folder: &Path, numbers: std::ops::Range<u32>) -> Result<()> {
    for number in numbers {
        let file = folder.join(format!("{number}.dcm"));
        fs::write(&file, SmallInstance::new(2, number, 1, 1).file())?;
        json(&kluis(data, &["import", file.to_str().unwrap_or_default(), "--json"])?)?;
    }
    Ok(())
}

/// The whole data directory restored to an older state looks whole from inside.
#[test]
fn node_put_back_to_an_older_state_is_found_by_a_kept_checkpoint() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let (data, older, kept) = (folder.path().join("data"), folder.path().join("older"), folder.path().join("kept"));
    init(&data, &[])?;
    import(&data, folder.path(), 1..3)?;
    copy(&data, &older)?;
    let out = kept.to_str().unwrap_or_default();
    let first = json(&kluis(&data, &["checkpoint", "--out", out, "--json"])?)?;
    assert_eq!(first["objects"]["size"], 2);
    import(&data, folder.path(), 3..5)?;
    let second = json(&kluis(&data, &["checkpoint", "--out", out, "--json"])?)?;
    assert_eq!(second["objects"]["size"], 4);
    assert_eq!(fs::read_dir(&kept)?.count(), 6, "two checkpoints of each log, and two keys");
    let output = kluis(&data, &["verify", "--full", "--since", out])?;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("grown from the 4 saved"), "{}", text(&output));

    fs::remove_dir_all(&data)?;
    copy(&older, &data)?;
    let output = kluis(&data, &["verify", "--full"])?;
    assert_eq!(output.status.code(), Some(0), "nothing inside can know: {}", text(&output));
    let output = kluis(&data, &["verify", "--since", out])?;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("ROLLED BACK"), "{}", text(&output));

    // it goes on from there, and gets as long as it was
    import(&data, folder.path(), 6..9)?;
    let output = kluis(&data, &["verify", "--since", out])?;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("FORKED"), "{}", text(&output));

    // another node in its place
    let other = folder.path().join("other");
    init(&other, &[])?;
    let output = kluis(&other, &["verify", "--since", out])?;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("FORKED"), "{}", text(&output));
    let output = kluis(&other, &["verify", "--since", folder.path().join("1.dcm").to_str().unwrap_or_default()])?;
    assert_eq!(output.status.code(), Some(1), "no checkpoint: {}", text(&output));
    Ok(())
}

/// A log that does not open because of what is wrong with it is a finding too.
#[test]
fn changed_log_that_does_not_open_is_a_finding() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let data = folder.path().join("data");
    init(&data, &[])?;
    import(&data, folder.path(), 1..3)?;
    let journal = data.join("ledger/objects/entries.log");
    let mut bytes = fs::read(&journal)?;
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&journal, &bytes)?;
    let output = kluis(&data, &["verify", "--json"])?;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&report["findings"][0]["log"], &report["findings"][0]["entry"]), (&"objects".into(), &1.into()));
    Ok(())
}

/// What ours finds, a verifier of others rejects too.
#[test]
fn independent_verifier_rejects_what_was_changed() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
    init(&data, &[])?;
    let files = folder.path().join("files");
    fs::create_dir(&files)?;
    for number in 0..300 {
        let instance = SmallInstance::new(4, number % 9, 1, number);
        fs::write(files.join(format!("{number}.dcm")), instance.file())?;
        if number == 40 {
            json(&kluis(&data, &["import", files.to_str().unwrap_or_default(), "--json"])?)?;
            json(&kluis(&data, &["checkpoint", "--out", kept.to_str().unwrap_or_default(), "--json"])?)?;
        }
    }
    json(&kluis(&data, &["import", files.to_str().unwrap_or_default(), "--json"])?)?;
    let (log, key) = (data.join("ledger/objects"), data.join("ledger/objects.vkey"));
    let saved = kept.join("objects-41.checkpoint");
    let path = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let (key, saved) = (path(&key)?, path(&saved)?);
    let check = |folder: &Path| -> Result<(bool, serde_json::Value)> {
        let run = python_run("ledger.py", &["--vkey", &key, "--folder", &path(folder)?, "--old", &saved, "--all"])?;
        Ok((run.is_well, run.answer))
    };
    let (is_well, answer) = check(&log)?;
    assert!(is_well, "{answer}");
    assert_eq!((&answer["size"], &answer["grown_from"], &answer["included"]), (&300.into(), &41.into(), &300.into()));

    let forged = folder.path().join("forged");
    for kind in
        ["flip-entry", "flip-hash", "flip-root", "flip-signature", "remove", "swap", "twice", "cut", "resign", "older"]
    {
        let _ = fs::remove_dir_all(&forged);
        let made = python(
            "forge.py",
            &["--folder", &path(&log)?, "--vkey", &key, "--old", &saved, "--kind", kind, "--out", &path(&forged)?],
        )?;
        assert_eq!(made["kind"], kind);
        let (is_well, answer) = check(&forged)?;
        assert!(!is_well, "{kind} was accepted: {answer}");
    }
    Ok(())
}
