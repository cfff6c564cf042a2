//! A verifier of others reads our logs.

use anyhow::{Context, Result};
use kluis_testkit::SmallInstance;

use crate::support::{Server, dicomweb::stow, tools::python};

#[tokio::test(flavor = "multi_thread")]
async fn independent_verifier_accepts_both_logs() -> Result<()> {
    let mut server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let files: Vec<Vec<u8>> = (0..300).map(|number| SmallInstance::new(5, number % 9, 1, number).file()).collect();
    stow(&http, &server, &token, &files).await?;
    let ledger = server.data().join("ledger");
    let key = |log: &str| ledger.join(format!("{log}.vkey")).to_str().map(str::to_owned).context("path");
    let auditor = server.token("auditor")?;
    for log in ["objects", "audit"] {
        // checkpoints are at most a second apart
        let url = format!("{}/ledger/{log}", server.https);
        let ca = server.ca();
        let arguments =
            ["--vkey", &key(log)?, "--url", &url, "--ca", ca.to_str().context("path")?, "--token", &auditor];
        let begun = std::time::Instant::now();
        let answer = loop {
            let answer = python("ledger.py", &arguments)?;
            if log == "audit" || answer["size"] == 300 || begun.elapsed().as_secs() > 10 {
                break answer;
            }
        };
        assert!(answer["size"].as_u64().unwrap_or_default() > 0, "{answer}");
        assert!(log == "audit" || answer["size"] == 300, "one leaf per object: {answer}");
    }
    drop(http);
    assert_eq!(server.stop()?, 0);
    for log in ["objects", "audit"] {
        let folder = ledger.join(log);
        let answer = python("ledger.py", &["--vkey", &key(log)?, "--folder", folder.to_str().context("path")?])?;
        assert!(answer["error"].is_null(), "{answer}");
    }
    // a flipped bit in what is under the checkpoint is not accepted
    let bundle = ledger.join("objects/tile/entries/000");
    let mut bytes = std::fs::read(&bundle)?;
    bytes[100] ^= 1;
    std::fs::write(&bundle, bytes)?;
    let folder = ledger.join("objects");
    let refused = python("ledger.py", &["--vkey", &key("objects")?, "--folder", folder.to_str().context("path")?]);
    assert!(refused.is_err(), "{refused:?}");
    Ok(())
}
