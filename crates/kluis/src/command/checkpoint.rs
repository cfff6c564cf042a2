//! `kluis checkpoint`

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Map, Value, json};

use crate::{cli::CheckpointArgs, client::Client, command::Output, data_dir::write_atomically, say::say};

/// What the name of a saved checkpoint ends in.
pub(crate) const SUFFIX: &str = "checkpoint";

/// Prints the heads of both logs, or saves them.
pub(crate) async fn run(client: &Client, args: &CheckpointArgs, output: &Output) -> Result<()> {
    let mut document = Map::new();
    let mut text = String::new();
    for log in ["objects", "audit"] {
        let note = fetch(client, log, "checkpoint").await?;
        let key = fetch(client, log, "key").await?;
        let size: u64 = note.lines().nth(1).and_then(|line| line.parse().ok()).context("the checkpoint has no size")?;
        let file = match &args.out {
            Some(folder) => Some(save(folder, log, size, &note, &key)?),
            None => None,
        };
        match &file {
            Some(file) => text.push_str(&format!("{log}: {size} entries, saved to {file}\n")),
            None => text.push_str(&format!("{note}\n")),
        }
        let entry = json!({ "size": size, "checkpoint": note, "key": key.trim_end(), "file": file });
        document.insert(log.to_owned(), entry);
    }
    output.print(&Value::Object(document), || say!("{}", text.trim_end()));
    Ok(())
}

async fn fetch(client: &Client, log: &str, file: &str) -> Result<String> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("/ledger/{log}/{file}"))
        .header(header::HOST, "localhost")
        .body(Body::empty())?;
    let answer = client.send(request).await?;
    if !answer.status.is_success() {
        answer.into_json()?;
        bail!("the {log} log has no {file}");
    }
    String::from_utf8(answer.body).with_context(|| format!("the {file} of the {log} log is no text"))
}

/// Each size has a file of its own, so that an older checkpoint is never lost to a newer one.
fn save(folder: &Path, log: &str, size: u64, note: &str, key: &str) -> Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let file = folder.join(format!("{log}-{size}.{SUFFIX}"));
    for (path, content) in [(&file, note), (&folder.join(format!("{log}.vkey")), key)] {
        match fs::read_to_string(path) {
            Ok(there) if there == content => {}
            Ok(_) => bail!("{} is there and holds something else: run `kluis verify --since` with it", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_atomically(path, content.as_bytes(), 0o644)?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    Ok(file.display().to_string())
}
