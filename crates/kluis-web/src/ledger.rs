//! `/ledger/objects/…` and `/ledger/audit/…`: the files of the logs as C2SP tlog-tiles names them.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use kluis_archive::act;
use kluis_policy::LogName;

use crate::{call::Call, errors::WebError};

pub(crate) async fn objects(call: Call) -> Result<Response<Body>, WebError> {
    file(call, LogName::Objects).await
}

pub(crate) async fn audit(call: Call) -> Result<Response<Body>, WebError> {
    file(call, LogName::Audit).await
}

async fn file(call: Call, log: LogName) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ReadLedger { log }).await?;
    let path = call.capture("file").to_owned();
    // names of files are ASCII words and numbers; nothing else reaches the disk
    let is_name = path.len() <= 128
        && path.split('/').all(|part| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        });
    if !is_name {
        permit.finish(kluis_archive::Outcome::Absent);
        return Err(WebError::NotFound);
    }
    let file = call.archive().ledger_file(permit, &path).await?.ok_or(WebError::NotFound)?;
    let kind = if path.starts_with("tile/") { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    let mut response = Response::new(Body::from(file.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    file.complete();
    Ok(response)
}
