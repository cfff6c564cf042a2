//! `kluis demo`: a vault with synthetic studies, served, and the link to sign in.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context, Result};
use axum::body::Body;
use http::{Method, Request, header};
use indicatif::{ProgressBar, ProgressStyle};
use kluis_archive::{Clock, SystemClock};
use kluis_testkit::phantom::Phantom;
use serde_json::json;

use crate::{
    cli::{DemoArgs, InitArgs},
    client::Client,
    command::{
        Output,
        init::{self, administrator_link},
        serve,
    },
    data_dir::DataDir,
    local,
    say::say,
};

/// The same phantom each time.
const SEED: u64 = 1;

/// Makes, fills and serves the vault; ends with the node.
pub(crate) async fn run(data: Option<PathBuf>, args: &DemoArgs, output: &Output) -> Result<()> {
    let dir = DataDir::new(data.unwrap_or_else(|| PathBuf::from("demo-data")));
    if !dir.is_initialised() {
        init::create(&dir, &InitArgs { passphrase_file: None, key_file: None, hostname: Vec::new() })?;
        let opened = local::open(&dir).await?;
        let request = json!({ "name": init::ADMINISTRATOR, "role": "admin" });
        opened.client().json(Method::POST, "/control/users", Some(&request)).await?;
        fill(&opened.client(), output).await?;
        opened.close().await?;
    }
    let running = serve::start(&dir, &args.serve).await?;
    let client = Client::Socket(dir.control_socket());
    let link = administrator_link(&client, &running.https_url()).await?;
    drop(client);
    let document = json!({ "sign_in": link.url, "https": running.https_url(), "data": dir.path() });
    output.print(&document, || {
        say!();
        say!("Kluis runs. Sign in with this link, good once:");
        say!();
        say!("  {}", link.url);
        say!();
        say!("The browser does not know the authority of this demo yet and warns; its certificate is");
        say!("{}. Ctrl-C ends the demo.", dir.ca_certificate().display());
    });
    if !args.no_browser {
        open_browser(&link.url);
    }
    running.until_stopped().await
}

/// Stores the phantom.
async fn fill(client: &Client, output: &Output) -> Result<()> {
    let today = SystemClock.now().date();
    let date = format!("{:04}{:02}{:02}", today.year(), u8::from(today.month()), today.day());
    let phantom = Phantom::new(SEED).dated(&date);
    let progress =
        if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new(Phantom::file_count() as u64) };
    if let Ok(style) = ProgressStyle::with_template("making a demo archive {bar:40} {pos}/{len} images") {
        progress.set_style(style);
    }
    for file in phantom.all() {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/dicom-web/studies")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/dicom")
            .header(header::ACCEPT, "application/dicom+json")
            .body(Body::from(file.bytes))?;
        client.send(request).await?.into_json().context("the demo images were not stored")?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(())
}

/// Tries to show the page; that a machine has no browser is no failure, the link is printed.
fn open_browser(url: &str) {
    let opened = std::process::Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = opened {
        tracing::debug!(%error, "no browser was opened");
    }
}
