//! What all handlers share.

use std::sync::Arc;

use kluis_archive::Archive;

use crate::{metrics::Metrics, viewer::Viewer};

/// What a site may set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `https://host[:port]` under which clients reach this node, where it is not what they write into the Host header
    /// (behind a proxy). Used in Retrieve URLs and bulk data URIs (PS3.18 8.2).
    pub public_origin: Option<String>,
    /// Version of the program, for the API description.
    pub version: &'static str,
}

/// What all handlers share. Clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    archive: Archive,
    viewer: Option<Viewer>,
    settings: Settings,
    metrics: Metrics,
}

impl App {
    /// Puts it together. Without a viewer, `/viewer/` says how to get one.
    #[must_use]
    pub fn new(archive: Archive, viewer: Option<Viewer>, settings: Settings) -> Self {
        Self(Arc::new(Inner { archive, viewer, settings, metrics: Metrics::default() }))
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

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}
