//! `/worklist/entries`: entries of the modality worklist as data sets in the DICOM JSON model (PS3.18 F.2), or as files
//! (PS3.10). A URL names an entry by a random id: nothing of a patient stands in it.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{EntryRow, WorklistError, act};
use kluis_dicom::{
    part10::Source,
    worklist::{self, Entry},
};
use serde_json::{Value, json};

use crate::{
    body,
    call::Call,
    control::{asked, json_answer},
    errors::WebError,
};

/// Entries of one answer, where nothing else is asked for, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;

impl From<WorklistError> for WebError {
    fn from(error: WorklistError) -> Self {
        match error {
            WorklistError::NotFound => Self::NotFound,
            WorklistError::Full | WorklistError::StorageFull => Self::NoRoom(error.to_string()),
            WorklistError::TooLong => Self::BadRequest(error.to_string()),
            WorklistError::Archive(error) => error.into(),
            _ => Self::Unavailable(None),
        }
    }
}

/// `?offset=&limit=`: by date and time of their start, whatever their state.
pub(crate) async fn list(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::SearchWorklist).await?;
    let number = |name: &str, default: u32| match call.parameter(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| WebError::BadRequest(format!("{name} is not a number"))),
    };
    let page = number("offset", 0).and_then(|offset| Ok((offset, number("limit", PAGE)?)));
    let (permit, (offset, limit)) = asked(permit, page)?;
    let entries = call.archive().entries(permit, offset, limit.min(PAGE_MAX)).await?;
    let answer: Vec<Value> = entries.iter().map(describe).collect();
    entries.complete();
    json_answer(StatusCode::OK, &Value::Array(answer))
}

pub(crate) async fn show(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::SearchWorklist).await?;
    let entry = call.archive().entry(permit, call.capture("id")).await?;
    let answer = describe(&entry);
    entry.complete();
    json_answer(StatusCode::OK, &answer)
}

/// 201 for a new entry; 200 where it took the place of one with the same study and step.
pub(crate) async fn put(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageWorklist).await?;
    let (permit, entry) = asked(permit, read(&call).await)?;
    let put = call.archive().put_entry(permit, entry).await?;
    let answer = json!({ "id": put.id, "replaced": put.is_replaced });
    let status = if put.is_replaced { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = json_answer(status, &answer)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/worklist/entries/{}", put.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    put.complete();
    Ok(response)
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageWorklist).await?;
    call.archive().remove_entry(permit, call.capture("id")).await?.complete();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn read(call: &Call) -> Result<Entry, WebError> {
    let named = call.header(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let media_type = named.split(';').next().unwrap_or_default().trim().to_owned();
    let is_file = match media_type.as_str() {
        "application/dicom+json" | "application/json" => false,
        "application/dicom" => true,
        _ => {
            let text = "an entry is application/dicom+json or application/dicom";
            return Err(WebError::UnsupportedMediaType(text.to_owned()));
        }
    };
    let bytes = body::small(call.take_body()).await?;
    let attributes = if is_file { worklist::read(Source::File, &bytes) } else { worklist::read_json(&bytes) };
    attributes.and_then(Entry::new).map_err(|error| WebError::BadRequest(error.to_string()))
}

fn describe(entry: &EntryRow) -> Value {
    json!({ "id": entry.id, "state": entry.state.name(), "attributes": entry.attributes })
}
