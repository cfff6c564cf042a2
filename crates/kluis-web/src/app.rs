//! What all handlers share.

use std::{net::IpAddr, sync::Arc};

use kluis_archive::Archive;
use kluis_identity::Backoff;
use tokio::{sync::Semaphore, time::Instant};

use crate::{limits, metrics::Metrics, viewer::Viewer};

/// What a site may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://host[:port]` under which clients reach this node, where it is not what they write into the Host header
    /// (behind a proxy). Used in Retrieve URLs and bulk data URIs (PS3.18 8.2).
    pub public_origin: Option<String>,
    /// Version of the program, for the API description.
    pub version: &'static str,
    /// Connections at one time that nobody has proved an identity on; [`limits::WAITING`] unless fewer files may be open.
    pub waiting: usize,
    /// Connections at one time with a proved identity; [`limits::CONNECTIONS`] unless fewer files may be open.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { public_origin: None, version: "", waiting: limits::WAITING, connections: limits::CONNECTIONS }
    }
}

/// What all handlers share. Clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    archive: Archive,
    viewer: Option<Viewer>,
    settings: Settings,
    metrics: Metrics,
    backoff: Backoff,
    held_back: Semaphore,
}

impl App {
    /// Puts it together. Without a viewer, `/viewer/` says how to get one.
    #[must_use]
    pub fn new(archive: Archive, viewer: Option<Viewer>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            archive,
            viewer,
            settings,
            metrics: Metrics::default(),
            backoff: Backoff::default(),
            held_back: Semaphore::new(limits::HELD_BACK),
        }))
    }

    pub(crate) fn archive(&self) -> &Archive {
        &self.0.archive
    }

    pub(crate) fn viewer(&self) -> Option<&Viewer> {
        self.0.viewer.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Counts a proof that was worth nothing, and waits before it is refused: the longer, the more of them came from this
    /// source. Who shows a good one never waits.
    pub(crate) async fn hold_back(&self, source: Option<IpAddr>) {
        let Some(source) = source else { return };
        let delay = self.0.backoff.note(source, Instant::now().into_std());
        if delay.is_zero() {
            return;
        }
        // where too many wait already, memory counts for more than their time
        let Ok(_place) = self.0.held_back.try_acquire() else { return };
        tokio::time::sleep(delay).await;
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}
