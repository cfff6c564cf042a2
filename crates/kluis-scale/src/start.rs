//! How long a node takes from its start to its first answer, and what it holds in memory then.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::figures;

/// One start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From exec to the first answer over HTTPS.
    pub answered: Duration,
    /// Resident memory after it, in bytes.
    pub resident: u64,
}

/// Starts `kluis serve` on the directory, waits for its first answer over HTTPS, and ends it.
///
/// # Errors
/// Where it does not start or answer within a minute.
pub async fn once(program: &Path, dir: &Path) -> Result<Start> {
    let addresses = dir.join("run/addresses.json");
    let _ = fs::remove_file(&addresses);
    let authority = reqwest::Certificate::from_pem(&fs::read(dir.join("ca.pem"))?)?;
    let client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build()?;
    let begun = Instant::now();
    let mut node = Command::new(program)
        .arg("--data")
        .arg(dir)
        .args(["serve", "--https", "127.0.0.1:0", "--dicom-tls", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let answered = first_answer(&addresses, &client, begun).await;
    let (resident, _) = figures::memory(&node.id().to_string());
    stop(&mut node)?;
    Ok(Start { answered: answered?, resident })
}

async fn first_answer(addresses: &Path, client: &reqwest::Client, begun: Instant) -> Result<Duration> {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while begun.elapsed() < Duration::from_secs(60) {
        ticks.tick().await;
        let document = fs::read_to_string(addresses).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let Some(address) = document.as_ref().and_then(|all| all.get("https")).and_then(Value::as_str) else {
            continue;
        };
        // without proof the answer is a refusal: an answer all the same
        if client.get(format!("https://{address}/dicom-web/studies")).send().await.is_ok() {
            return Ok(begun.elapsed());
        }
    }
    bail!("the node does not answer within a minute")
}

fn stop(node: &mut Child) -> Result<()> {
    Command::new("kill").args(["-TERM", &node.id().to_string()]).status().context("cannot stop the node")?;
    node.wait().context("cannot wait for the node")?;
    Ok(())
}
