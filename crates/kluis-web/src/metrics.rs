//! `/metrics`: counters in the Prometheus text format. Labels are our own words; never patient data, never a UID.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{Outcome, act};

use crate::{call::Call, errors::WebError, routes::ROUTES};

/// Counters since the start of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By row of the table of routes and class of status (1xx to 5xx).
    requests: Vec<[AtomicU64; 5]>,
    /// Requests that matched no route.
    unmatched: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) stored_bytes: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: ROUTES.iter().map(|_| Default::default()).collect(),
            unmatched: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            store_failures: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts an answer to the route in this row of the table.
    pub(crate) fn count(&self, row: Option<usize>, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        match row.and_then(|row| self.requests.get(row)).and_then(|classes| classes.get(class)) {
            Some(counter) => counter.fetch_add(1, Ordering::Relaxed),
            None => self.unmatched.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn write(&self) -> String {
        let mut out = String::from("# TYPE kluis_http_requests_total counter\n");
        for (route, classes) in ROUTES.iter().zip(&self.requests) {
            for (class, counter) in (1..).zip(classes) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let (method, path) = (&route.method, route.path);
                    // writing to a string cannot fail
                    let _ = writeln!(
                        out,
                        "kluis_http_requests_total{{method=\"{method}\",route=\"{path}\",class=\"{class}xx\"}} {count}"
                    );
                }
            }
        }
        for (name, counter) in [
            ("kluis_http_requests_unmatched_total", &self.unmatched),
            ("kluis_stored_instances_total", &self.stored),
            ("kluis_store_failures_total", &self.store_failures),
            ("kluis_stored_bytes_total", &self.stored_bytes),
            ("kluis_sent_bytes_total", &self.sent_bytes),
            ("kluis_http_connections_total", &self.connections),
            ("kluis_http_connections_refused_total", &self.connections_refused),
        ] {
            let _ = writeln!(out, "# TYPE {name} counter\n{name} {}", counter.load(Ordering::Relaxed));
        }
        out
    }
}

pub(crate) async fn metrics(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ReadMetrics).await?;
    let mut response = Response::new(Body::from(call.app.metrics().write()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    permit.finish(Outcome::Done);
    Ok(response)
}
