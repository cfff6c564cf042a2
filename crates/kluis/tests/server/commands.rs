//! The command line, with and without a running node.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use kluis_testkit::SmallInstance;
use tempfile::TempDir;

use crate::support::{Server, init, json, kluis};

#[test]
fn commands_answer_the_same_with_and_without_a_node() -> Result<()> {
    let mut server = Server::start()?;
    let folder = server.beside().join("files");
    std::fs::create_dir_all(folder.join("deeper"))?;
    std::fs::write(folder.join("one.dcm"), SmallInstance::new(1, 1, 1, 1).file())?;
    std::fs::write(folder.join("deeper").join("two"), SmallInstance::new(1, 1, 1, 2).file())?;
    let path = folder.to_str().unwrap_or_default();
    assert_eq!(server.command(&["import", path])?["stored"], 2);
    server.device("CT1", "store,find")?;
    server.command(&["user", "add", "ann", "--role", "radiologist"])?;
    server.command(&["token", "create", "robot", "--role", "uploader", "--ttl", "1h"])?;
    let look = |server: &Server| -> Result<Vec<serde_json::Value>> {
        [["study", "list"], ["device", "list"], ["user", "list"], ["token", "list"]]
            .iter()
            .map(|command| server.command(command))
            .collect()
    };
    let beside = look(&server)?;
    assert_eq!(server.stop()?, 0, "SIGTERM drains and exits 0");
    let without = look(&server)?;
    assert_eq!(beside, without);
    assert_eq!(without[0][0]["instance_count"], "2");
    assert_eq!(server.command(&["import", path])?["known"], 2, "the same files again");
    server.command(&["verify", "--full"])?;
    Ok(())
}

/// A medium must not lead out of itself, and a link is told, not passed over.
#[test]
fn t32_import_follows_no_links() -> Result<()> {
    let server = Server::start()?;
    let folder = server.beside().join("medium");
    let outside = server.beside().join("outside");
    std::fs::create_dir_all(&folder)?;
    std::fs::create_dir_all(&outside)?;
    std::fs::write(outside.join("one.dcm"), SmallInstance::new(1, 1, 1, 1).file())?;
    std::os::unix::fs::symlink(outside.join("one.dcm"), folder.join("one.dcm"))?;
    std::os::unix::fs::symlink(&outside, folder.join("folder"))?;
    let answer = server.command(&["import", folder.to_str().unwrap_or_default()])?;
    assert_eq!(answer["stored"], 0, "{answer}");
    assert_eq!(answer["skipped"].as_array().map(Vec::len), Some(2), "{answer}");
    Ok(())
}

/// The folder of the control socket is closed to others at each start, whatever a restored backup made of it.
#[test]
fn the_control_socket_is_the_owners_alone() -> Result<()> {
    let mut server = Server::start()?;
    let run = server.data().join("run");
    assert_eq!(server.stop()?, 0);
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755))?;
    server.restart()?;
    for (path, mode) in [(run.clone(), 0o700), (run.join("control.sock"), 0o600)] {
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, mode, "{}", path.display());
    }
    Ok(())
}

#[test]
fn wrong_use_is_told_by_exit_codes_and_sentences() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    for (arguments, code, sentence) in [
        (&["study", "list"][..], 1, "make one with `kluis init"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
        (&["serve", "--https", "nonsense"], 2, "invalid value"),
    ] {
        let output = kluis(&data, arguments)?;
        let text = crate::support::tools::text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    let refused = kluis(&data, &["init", "--hostname", "bad name!"])?;
    assert!(crate::support::tools::text(&refused).contains("bad name!"), "{refused:?}");
    init(&data, &[])?;
    let again = kluis(&data, &["init"])?;
    assert_eq!(again.status.code(), Some(1));
    for (arguments, sentence) in [
        (&["token", "create", "x", "--role", "king"][..], "admin, radiologist, uploader, auditor, referrer, scheduler"),
        (&["token", "create", "x", "--role", "admin", "--ttl", "8 weeks"], "such as 8h"),
        (&["device", "add", "THIS-IS-FAR-TOO-LONG", "--out", "/nonexistent"], "1 to 16"),
        (&["device", "add", "../evil", "--out", "out"], "only letters"),
        (&["device", "show", "NONE"], "not found"),
        (&["import", "/nonexistent/path"], "cannot read"),
    ] {
        let output = kluis(&data, arguments)?;
        let text = crate::support::tools::text(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn passphrase_protects_the_root_key() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple\n")?;
    let open = kluis(&data, &["init", "--passphrase-file", passphrase.to_str().unwrap_or_default()])?;
    assert!(crate::support::tools::text(&open).contains("chmod 600"), "{}", crate::support::tools::text(&open));
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600))?;
    init(&data, &["--passphrase-file", passphrase.to_str().unwrap_or_default()])?;
    assert!(!data.join("keys").join("root.key").exists());
    json(&kluis(&data, &["study", "list", "--json"])?)?;
    std::fs::write(&passphrase, "wrong\n")?;
    let output = kluis(&data, &["study", "list"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(crate::support::tools::text(&output).contains("passphrase"), "{}", crate::support::tools::text(&output));
    Ok(())
}

/// A vault without its study keys, or without its directory, does not start as if nothing had been there.
#[test]
fn what_cannot_be_made_anew_is_missed_at_the_start() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    init(&data, &[])?;
    let file = folder.path().join("one.dcm");
    std::fs::write(&file, SmallInstance::new(1, 1, 1, 1).file())?;
    json(&kluis(&data, &["import", file.to_str().unwrap_or_default(), "--json"])?)?;
    for lost in ["keys/keys.db", "index/directory.db"] {
        let (place, aside) = (data.join(lost), folder.path().join("aside"));
        std::fs::rename(&place, &aside)?;
        for command in [&["study", "list"][..], &["serve", "--https", "127.0.0.1:0"], &["index", "rebuild"]] {
            let output = kluis(&data, command)?;
            let text = crate::support::tools::text(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?} without {lost}: {text}");
            assert!(text.contains(lost) && text.contains("missing"), "{command:?}: {text}");
            assert!(!place.exists(), "{lost} was made anew by {command:?}");
        }
        std::fs::rename(&aside, &place)?;
    }
    assert_eq!(json(&kluis(&data, &["verify", "--full", "--json"])?)?["objects"], 1);
    Ok(())
}

/// The key of a device is told once: where it has no place, the device is not enrolled.
#[test]
fn device_whose_key_has_no_place_is_not_enrolled() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    init(&data, &[])?;
    let out = folder.path().join("out");
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("CT1.key.pem"), "an older key")?;
    let output = kluis(&data, &["device", "add", "CT1", "--out", out.to_str().unwrap_or_default()])?;
    assert_eq!(output.status.code(), Some(1), "{}", crate::support::tools::text(&output));
    assert_eq!(std::fs::read_to_string(out.join("CT1.key.pem"))?, "an older key");
    assert_eq!(json(&kluis(&data, &["device", "list", "--json"])?)?, serde_json::json!([]));
    Ok(())
}

/// A command whose reader has gone ends quietly.
#[test]
fn reader_that_goes_away_is_no_panic() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    init(&data, &[])?;
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kluis"))
        .args(["study", "list"])
        .env("KLUIS_DATA", &data)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    assert_eq!(output.status.code(), Some(141));
    Ok(())
}
