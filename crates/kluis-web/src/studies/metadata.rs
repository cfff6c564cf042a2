//! WADO-RS: metadata of a study, series or instance in the DICOM JSON model (PS3.18 10.4.1.1.2).

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Response, header};
use kluis_archive::{Archive, Disclosed, Holding};
use kluis_dicomweb::{accept::Offer, dicom_json::ArrayWriter};

use super::{
    holding, instance_url,
    parts::{complete, fail},
};
use crate::{
    body::{self, AnswerSender},
    call::Call,
    compress::{self, Encoder},
    errors::{WebError, chain},
};

/// Bytes of JSON that are gathered before they are handed on.
const PIECE: usize = 64 * 1024;

pub(crate) async fn metadata(call: Call) -> Result<Response<Body>, WebError> {
    let holding = Arc::new(holding(&call).await?);
    let origin = call.public_origin();
    let (media_type, first) = match begin(&call, &holding, &origin).await {
        Ok(begun) => begun,
        Err(error) => {
            fail(holding);
            return Err(error);
        }
    };
    let is_gzip = compress::accepts_gzip(&call.parts.headers);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let archive = call.archive().clone();
    if call.is_head() {
        complete(holding);
        return Ok(response);
    }
    let (sender, body) = body::answer();
    tokio::spawn(async move {
        match run(&archive, &holding, &origin, first, is_gzip, &sender).await {
            Ok(true) => complete(holding),
            Ok(false) => drop(holding),
            Err(error) => {
                tracing::error!(error = chain(&error), "answer broken off");
                fail(holding);
                sender.fail().await;
            }
        }
    });
    *response.body_mut() = body;
    Ok(response)
}

/// The first one is read before the answer begins, so that what cannot be read is said by a status.
async fn begin(
    call: &Call,
    holding: &Disclosed<Holding>,
    origin: &str,
) -> Result<(&'static str, bytes::Bytes), WebError> {
    let offers = [Offer::single("application/dicom+json"), Offer::single("application/json")];
    let media_type = call.choose(&offers)?.media_type;
    Ok((media_type, one(call.archive(), holding, 0, origin).await?))
}

/// `false`: the peer has gone.
async fn run(
    archive: &Archive,
    holding: &Disclosed<Holding>,
    origin: &str,
    first: bytes::Bytes,
    is_gzip: bool,
    sender: &AnswerSender,
) -> Result<bool, WebError> {
    let mut array = ArrayWriter::default();
    let mut encoder = Encoder::new(is_gzip);
    let mut gathered = first.len();
    array.push(&first);
    for index in 1..holding.instances.len() {
        let object = one(archive, holding, index, origin).await?;
        gathered += object.len();
        array.push(&object);
        if gathered >= PIECE {
            gathered = 0;
            if sender.send(encoder.push(array.take())).await.is_err() {
                return Ok(false);
            }
        }
    }
    let last = encoder.push(array.finish());
    let is_there = sender.send(last).await.is_ok() && sender.send(encoder.finish()).await.is_ok();
    Ok(is_there)
}

async fn one(
    archive: &Archive,
    holding: &Disclosed<Holding>,
    index: usize,
    origin: &str,
) -> Result<bytes::Bytes, WebError> {
    let instance = holding.instances.get(index).ok_or(WebError::NotFound)?;
    Ok(archive.metadata(holding, instance, &instance_url(origin, &instance.ids)).await?)
}
