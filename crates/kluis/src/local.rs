//! A router in the command's own process, for when no node runs.

use anyhow::{Result, bail};
use axum::Router;
use kluis_archive::Replayed;
use kluis_policy::Door;
use kluis_web::{App, Settings, router};

use crate::{
    client::Client,
    config::Config,
    data_dir::DataDir,
    node::{self, Node},
};

/// Open stores and the way to them.
pub(crate) struct Local {
    router: Router,
    node: Node,
}

/// Opens the stores in this process.
pub(crate) async fn open(dir: &DataDir) -> Result<Local> {
    let Some(node) = node::open(dir).await? else {
        bail!("another process has {} open; is a command still running?", dir.path().display());
    };
    let app = App::new(node.archive.clone(), None, settings(&node.config));
    Ok(Local { router: router(app, Door::Control), node })
}

/// Settings of the web edge.
pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        public_origin: config.https.public_origin.clone(),
        version: env!("CARGO_PKG_VERSION"),
        ..Settings::default()
    }
}

impl Local {
    /// A client to these stores.
    pub(crate) fn client(&self) -> Client {
        Client::InProcess(self.router.clone())
    }

    /// What was brought from the packs into the index when it was opened.
    pub(crate) fn replayed(&self) -> Replayed {
        self.node.replayed
    }

    /// Writes down what is still in memory, so that the next start has nothing to replay.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { router, node } = self;
        drop(router);
        node.close().await
    }
}
