//! QIDO-RS (PS3.18 10.6).

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{Match, act};
use kluis_dicom::query::{Level, Query};
use kluis_dicomweb::{
    accept::Offer,
    dicom_json,
    qido::{self, Warning},
};

use super::{ROOT, series_url, study_url};
use crate::{
    call::Call,
    compress::{self, Encoder},
    errors::WebError,
};

/// Answers shorter than this are not worth compressing, in bytes.
const GZIP_FROM: usize = 2048;

pub(crate) async fn studies(call: Call) -> Result<Response<Body>, WebError> {
    search(call, Level::Study).await
}

pub(crate) async fn series(call: Call) -> Result<Response<Body>, WebError> {
    search(call, Level::Series).await
}

pub(crate) async fn instances(call: Call) -> Result<Response<Body>, WebError> {
    search(call, Level::Instance).await
}

async fn search(call: Call, level: Level) -> Result<Response<Body>, WebError> {
    // the gate comes first: who may not search learns nothing from errors in the query
    let permit = call.admit(act::Search { level: policy_level(level) }).await?;
    let (asked, media_type) = match read(&call, level) {
        Ok(read) => read,
        Err(error) => {
            permit.finish(kluis_archive::Outcome::Failed);
            return Err(error);
        }
    };
    let found = call.archive().search(permit, &asked.query).await?;
    let mut warnings = asked.warnings;
    if found.has_unmatched_filter {
        warnings.push(Warning::NotMatched);
    }
    if found.has_more {
        warnings.push(Warning::MoreResults);
    }
    let mut response = Response::new(Body::empty());
    for warning in warnings {
        response.headers_mut().append(header::WARNING, HeaderValue::from_static(warning.header_value()));
    }
    if found.matches.is_empty() {
        *response.status_mut() = StatusCode::NO_CONTENT;
        found.complete();
        return Ok(response);
    }
    let body = write(&call, &asked.query, &found.matches);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    let is_gzip = body.len() >= GZIP_FROM && compress::accepts_gzip(&call.parts.headers);
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut encoder = Encoder::new(is_gzip);
    let mut coded = encoder.push(body).to_vec();
    coded.extend_from_slice(&encoder.finish());
    *response.body_mut() = Body::from(coded);
    found.complete();
    Ok(response)
}

fn read(call: &Call, level: Level) -> Result<(qido::Search, &'static str), WebError> {
    let named = |name: &'static str| {
        if call.capture(name).is_empty() { Ok(None) } else { call.uid(name).map(Some) }
    };
    let asked = qido::parse(level, named("study")?, named("series")?, call.query())
        .map_err(|error| WebError::BadRequest(error.to_string()))?;
    let offers = [Offer::single("application/dicom+json"), Offer::single("application/json")];
    let media_type = call.choose(&offers)?.media_type;
    Ok((asked, media_type))
}

fn write(call: &Call, query: &Query, matches: &[Match]) -> Vec<u8> {
    let origin = call.public_origin();
    dicom_json::write_matches(matches.iter().map(|found| {
        let mut attributes = found.attributes.clone();
        dicom_json::project(query, &mut attributes);
        (attributes, url(&origin, found))
    }))
}

/// The Retrieve URL (0008,1190) of a match.
fn url(origin: &str, found: &Match) -> String {
    match (&found.series, &found.instance) {
        (None, _) => study_url(origin, &found.study),
        (Some(series), None) => series_url(origin, &found.study, series),
        (Some(series), Some(instance)) => {
            format!("{origin}{ROOT}/studies/{}/series/{series}/instances/{instance}", found.study)
        }
    }
}

fn policy_level(level: Level) -> kluis_policy::Level {
    match level {
        Level::Study => kluis_policy::Level::Study,
        Level::Series => kluis_policy::Level::Series,
        Level::Instance => kluis_policy::Level::Instance,
    }
}
