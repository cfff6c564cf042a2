//! `kluis index …`

use anyhow::{Result, bail};
use serde_json::json;

use crate::{cli::IndexCommand, command::Output, data_dir::DataDir, local, say::say};

/// Runs the subcommand; the node must be stopped.
pub(crate) async fn run(dir: &DataDir, command: &IndexCommand, output: &Output) -> Result<()> {
    match command {
        IndexCommand::Rebuild => rebuild(dir, output).await,
    }
}

async fn rebuild(dir: &DataDir, output: &Output) -> Result<()> {
    if dir.lock()?.is_none() {
        bail!("a node is running on {}; stop it first", dir.path().display());
    }
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let path = dir.index().join(file);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            bail!("cannot remove {}: {error}", path.display());
        }
    }
    // with an empty index everything is behind the watermark, so opening brings all of it in
    let opened = local::open(dir).await?;
    let replayed = opened.replayed();
    opened.close().await?;
    let document = json!({
        "records": replayed.records,
        "objects": replayed.objects,
        "leaves": replayed.leaves,
        "skipped": replayed.skipped,
        "damaged": replayed.damaged,
    });
    output.print(&document, || {
        say!(
            "{} objects from {} records; {} leaves added; {} records passed over, {} damaged",
            replayed.objects,
            replayed.records,
            replayed.leaves,
            replayed.skipped,
            replayed.damaged
        );
    });
    Ok(())
}
