//! How long the stages of a store took, for `cargo xtask bench --profile`: events on a target of their own that nobody
//! hears unless asked for (`KLUIS_LOG=kluis_archive::stages=debug`). They name a stage and a time, and no object.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tracing::Level;

/// Does a piece of work and tells how long it took.
pub(crate) async fn timed<F: Future>(stage: &'static str, work: F) -> F::Output {
    if !tracing::enabled!(Level::DEBUG) {
        return work.await;
    }
    let begun = Instant::now();
    let output = work.await;
    tell(stage, begun.elapsed());
    output
}

/// Tells how long a stage took.
pub(crate) fn tell(stage: &'static str, took: Duration) {
    tracing::debug!(stage, took_us = took.as_micros(), "stage");
}
