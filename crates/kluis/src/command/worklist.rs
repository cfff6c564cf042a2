//! `kluis worklist …`

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    cli::WorklistCommand,
    client::Client,
    command::{Output, segment, text_of},
    say::say,
};

/// Bytes of one file at most: no entry that the node takes is longer.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Runs the subcommand; `false` where a file was not taken in.
pub(crate) async fn run(client: &Client, command: &WorklistCommand, output: &Output) -> Result<bool> {
    match command {
        WorklistCommand::Import { files } => import(client, files, output).await,
        WorklistCommand::List { limit, offset } => {
            let path = format!("/worklist/entries?limit={limit}&offset={offset}");
            let entries = client.json(Method::GET, &path, None).await?;
            output.print(&entries, || print(&entries));
            Ok(true)
        }
        WorklistCommand::Remove { id } => {
            client.json(Method::DELETE, &format!("/worklist/entries/{}", segment(id)), None).await?;
            output.print(&json!({ "removed": id }), || say!("removed {id}"));
            Ok(true)
        }
    }
}

/// A bad file does not stop the others.
async fn import(client: &Client, files: &[PathBuf], output: &Output) -> Result<bool> {
    let (mut entries, mut failed) = (Vec::new(), Vec::new());
    for file in files {
        match send(client, file).await {
            Ok(answer) => entries.push(answer),
            Err(error) => failed.push(json!({ "file": file, "message": format!("{error:#}") })),
        }
    }
    let replaced = entries.iter().filter(|entry| entry.get("replaced") == Some(&Value::Bool(true))).count();
    let added = entries.len().saturating_sub(replaced);
    output.print(&json!({ "entries": entries, "failed": failed }), || {
        say!("{added} entries added, {replaced} replaced, {} files failed", failed.len());
        for failure in &failed {
            say!("  {}: {}", text_of(failure, "file"), text_of(failure, "message"));
        }
    });
    Ok(failed.is_empty())
}

async fn send(client: &Client, file: &Path) -> Result<Value> {
    let mut bytes = Vec::new();
    let opened = File::open(file).context("cannot be opened")?;
    opened.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).context("cannot be read")?;
    ensure!(u64::try_from(bytes.len())? <= FILE_BYTES_MAX, "longer than any entry of a worklist");
    let is_json = bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['));
    let media_type = if is_json { "application/dicom+json" } else { "application/dicom" };
    let request = Request::builder()
        .method(Method::POST)
        .uri("/worklist/entries")
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, media_type)
        .body(Body::from(bytes))?;
    client.send(request).await?.into_json()
}

fn print(entries: &Value) {
    let text = |entry: &Value, pointer: &str| {
        entry.pointer(&format!("/attributes{pointer}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in entries {
        let step = |tag: &str| text(entry, &format!("/00400100/Value/0/{tag}/Value/0"));
        say!(
            "{}  {:12}  {:8} {:6}  {:16} {:4}  {}",
            text_of(entry, "id"),
            text_of(entry, "state"),
            step("00400002"),
            step("00400003"),
            step("00400001"),
            step("00080060"),
            text(entry, "/00100010/Value/0/Alphabetic"),
        );
    }
    if entries.is_empty() {
        say!("no entries");
    }
}
