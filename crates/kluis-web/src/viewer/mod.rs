//! `/viewer/`: the program files of the viewer (OHIF), from a folder named at start.
//!
//! The folder is read once: only files found then are served, by their place in a table, so no path of a request ever
//! reaches the file system. Files beside with `.br` or `.gz` are sent to those who take them. The configuration is ours,
//! not the folder's: one data source, on this origin.

mod config;
mod load;

use std::{io, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{Outcome, act};
use tokio::io::AsyncReadExt as _;

use crate::{
    call::Call,
    compress,
    console::{self, Frame, Message},
    errors::{WebError, redirect},
};
use load::{Coding, File};

pub use load::{Viewer, ViewerError};

/// Bytes read from a file at once.
const PIECE: usize = 128 * 1024;

/// `/viewer`: its pages know themselves below `/viewer/` only.
pub(crate) async fn root(call: Call) -> Result<Response<Body>, WebError> {
    call.admit(act::ViewViewer).await?.finish(Outcome::Done);
    Ok(redirect("/viewer/"))
}

pub(crate) async fn file(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ViewViewer).await?;
    let result = serve(&call).await;
    permit.finish(match result {
        Ok(_) => Outcome::Done,
        Err(WebError::NotFound) => Outcome::Absent,
        Err(_) => Outcome::Failed,
    });
    result
}

async fn serve(call: &Call) -> Result<Response<Body>, WebError> {
    let Some(viewer) = call.app.viewer() else { return absent(call) };
    let path = call.capture("file");
    if path == "app-config.js" {
        return Ok(script(config::SCRIPT));
    }
    match viewer.file(path) {
        Some(file) => send(call, viewer, file).await,
        // places within the program are its own business; what looks like a file and is not there is not there
        None if path == "index.html" => Ok(page(call, viewer)),
        None if !path.rsplit('/').next().unwrap_or_default().contains('.') => Ok(page(call, viewer)),
        None => Err(WebError::NotFound),
    }
}

fn page(call: &Call, viewer: &Viewer) -> Response<Body> {
    let index = viewer.index();
    let is_known = call.header(header::IF_NONE_MATCH).is_some_and(|known| known.contains(index.tag.as_str()));
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(index.html.clone()) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, viewer.policy().clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(tag) = HeaderValue::from_str(&index.tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

async fn send(call: &Call, viewer: &Viewer, file: &Arc<File>) -> Result<Response<Body>, WebError> {
    let (coding, tag) = {
        let coding = file.codings.iter().find(|coding| compress::accepts(&call.parts.headers, coding.kind.name()));
        (coding, format!("\"{}{}\"", file.tag, coding.map_or("", |coding| coding.kind.name())))
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, viewer.policy().clone());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(if file.is_hashed {
            "private, max-age=31536000, immutable"
        } else {
            "private, no-cache"
        }),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(|_| WebError::Damaged(None))?);
    if call.header(header::IF_NONE_MATCH).is_some_and(|known| known.contains(tag.as_str())) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    let (path, length) = coding.map_or((&file.path, file.length), |coding| (&coding.path, coding.length));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(Coding { kind, .. }) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(kind.name()));
    }
    let opened = tokio::fs::File::open(path).await.map_err(|error| {
        tracing::error!(error = %error, "a file of the viewer cannot be read");
        WebError::NotFound
    })?;
    *response.body_mut() = Body::from_stream(pieces(opened, length));
    Ok(response)
}

/// A file piece by piece; one that has become shorter since the start breaks off.
fn pieces(file: tokio::fs::File, length: u64) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; size];
        file.read_exact(&mut piece).await?;
        Ok(Some((Bytes::from(piece), (file, left.saturating_sub(size as u64)))))
    })
}

fn script(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    response
}

fn absent(call: &Call) -> Result<Response<Body>, WebError> {
    let shown = Message {
        frame: Frame::of(call.principal()?, call.app.settings().version),
        title: "No viewer here",
        lines: &["This node was started without a viewer. Whoever runs it can prepare one and start with:"],
        command: "kluis serve --viewer DIR",
        next: "/",
        next_label: "Back to the studies",
        is_refresh: false,
    };
    console::page(StatusCode::NOT_FOUND, &shown)
}
