//! Answers made of parts that are read from the archive while they are sent: constant memory, whatever their number.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{ArchiveError, Disclosed, Holding};
use kluis_dicomweb::{
    accept::Framing,
    multipart::{Boundary, PartHead, Writer},
};

use crate::{
    body::{self, AnswerBroken, AnswerSender},
    call::Call,
    errors::{WebError, chain},
};

/// The body of one part, as it comes from the archive.
pub(super) type PartBody = BoxStream<'static, Result<Bytes, ArchiveError>>;

/// One part of an answer.
pub(super) struct Part {
    /// Content-Type with parameters.
    pub(super) content_type: String,
    /// Content-Location.
    pub(super) location: String,
    /// Bytes of the body, where known.
    pub(super) length: Option<u64>,
    /// The body.
    pub(super) body: PartBody,
}

/// Opens the parts one after the other. An error cuts the answer off: parts are never left out silently.
pub(super) type Parts = BoxStream<'static, Result<Part, WebError>>;

/// What a request is answered with, once it is known to be possible.
pub(super) enum Plan {
    /// The client holds the answer of this tag already.
    Known(String),
    /// These parts, and the tag of the answer where it may be kept.
    Parts { framing: Framing, media_type: &'static str, parts: Parts, tag: Option<String> },
}

/// Answers by the plan. Where there is none, or the first part cannot be opened, the audit entry says failed.
///
/// # Errors
/// That of the plan; those of [`send`].
pub(super) async fn answer(
    call: &Call,
    holding: Arc<Disclosed<Holding>>,
    plan: Result<Plan, WebError>,
) -> Result<Response<Body>, WebError> {
    match plan {
        Ok(Plan::Known(tag)) => {
            complete(holding);
            Ok(not_modified(&tag))
        }
        Ok(Plan::Parts { framing, media_type, parts, tag }) => {
            let mut response = send(call, holding, framing, media_type, parts).await?;
            if let Some(tag) = tag {
                cacheable(&mut response, &tag);
            }
            Ok(response)
        }
        Err(error) => {
            fail(holding);
            Err(error)
        }
    }
}

/// Sends parts in the chosen framing. The audit entry of `holding` closes when the last byte has been handed on.
///
/// # Errors
/// That of the first part, which is opened before the answer begins.
async fn send(
    call: &Call,
    holding: Arc<Disclosed<Holding>>,
    framing: Framing,
    media_type: &str,
    mut parts: Parts,
) -> Result<Response<Body>, WebError> {
    let (first, writer) = match first(&mut parts).await {
        Ok(opened) => opened,
        Err(error) => {
            drop(parts);
            fail(holding);
            return Err(error);
        }
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    match framing {
        Framing::Single => {
            headers.insert(header::CONTENT_TYPE, text(&first.content_type));
            headers.insert(header::CONTENT_LOCATION, text(&first.location));
            if let Some(length) = first.length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        Framing::Multipart => {
            headers.insert(header::CONTENT_TYPE, text(&writer.content_type(media_type)));
        }
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // what is opened in a browser must never be shown as a page of ours
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    if call.is_head() {
        drop((first, parts));
        complete(holding);
        return Ok(response);
    }
    let (sender, body) = body::answer();
    let app = call.app.clone();
    tokio::spawn(async move {
        let mut sent = 0;
        let result = run(&sender, framing, &writer, first, parts, &mut sent).await;
        app.metrics().sent_bytes.fetch_add(sent, std::sync::atomic::Ordering::Relaxed);
        match result {
            Ok(()) => complete(holding),
            // the peer has gone: the entry closes as interrupted
            Err(Broken::Peer) => drop(holding),
            Err(Broken::Archive(error)) => {
                tracing::error!(error = chain(&error), "answer broken off");
                fail(holding);
                sender.fail().await;
            }
        }
    });
    *response.body_mut() = body;
    Ok(response)
}

async fn first(parts: &mut Parts) -> Result<(Part, Writer), WebError> {
    let first = parts.next().await.ok_or(WebError::NotFound)??;
    Ok((first, Writer::new(random_boundary()?)))
}

/// The whole answer has left. `holding` is the last one, as the parts that also held it are gone.
pub(super) fn complete(holding: Arc<Disclosed<Holding>>) {
    if let Some(holding) = Arc::into_inner(holding) {
        holding.complete();
    }
}

/// The answer could not be made, or not to its end.
pub(super) fn fail(holding: Arc<Disclosed<Holding>>) {
    if let Some(holding) = Arc::into_inner(holding) {
        holding.fail();
    }
}

enum Broken {
    Peer,
    Archive(WebError),
}

impl From<AnswerBroken> for Broken {
    fn from(_: AnswerBroken) -> Self {
        Self::Peer
    }
}

async fn run(
    sender: &AnswerSender,
    framing: Framing,
    writer: &Writer,
    first: Part,
    mut parts: Parts,
    sent: &mut u64,
) -> Result<(), Broken> {
    let mut is_first = true;
    let mut next = Some(first);
    while let Some(mut part) = next {
        if framing == Framing::Multipart {
            let head = PartHead {
                content_type: &part.content_type,
                content_location: Some(&part.location),
                content_length: part.length,
            };
            sender.send(writer.part_head(is_first, &head)).await?;
        }
        is_first = false;
        while let Some(piece) = part.body.next().await {
            let piece = piece.map_err(|error| Broken::Archive(error.into()))?;
            *sent = sent.saturating_add(piece.len() as u64);
            sender.send(piece).await?;
        }
        if framing == Framing::Single {
            break;
        }
        // what it holds is free before the next one takes its own
        drop(part);
        next = parts.next().await.transpose().map_err(Broken::Archive)?;
    }
    drop(parts);
    if framing == Framing::Multipart {
        sender.send(writer.close()).await?;
    }
    Ok(())
}

/// A boundary that nobody can have put into an object beforehand.
fn random_boundary() -> Result<Boundary, WebError> {
    let mut bytes = [0_u8; 18];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| WebError::Unavailable(None))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Boundary::new(&text).map_err(|_| WebError::Unavailable(None))
}

/// Our own words and UIDs only, so this never falls back.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// 304; nothing was read, but the answer tells that the principal may see it.
fn not_modified(tag: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    cacheable(&mut response, tag);
    response
}

/// May be kept by the browser of this person, but every use asks here first: a session that has ended shows nothing.
fn cacheable(response: &mut Response<Body>, tag: &str) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, text(tag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization, cookie"));
}
