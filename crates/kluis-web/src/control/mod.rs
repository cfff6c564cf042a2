//! `/control/…`: management for the command line, as JSON. Served at the control door only, where the principal is the
//! owner of the data directory.

pub(crate) mod devices;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod tokens;
pub(crate) mod users;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{
    ManageError, Outcome, Permit, VerifyOptions,
    act::{self, Act},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{body, call::Call, errors::WebError};

/// What runs here.
pub(crate) async fn status(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::VerifyArchive).await?;
    let answer = json!({"version": call.app.settings().version, "has_viewer": call.app.viewer().is_some()});
    permit.finish(Outcome::Done);
    json_answer(StatusCode::OK, &answer)
}

/// What a verification is to look at.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    /// Signed notes that were kept elsewhere.
    #[serde(default)]
    since: Vec<String>,
}

/// `?full=true` reads and decrypts every byte. A body, where there is one, holds checkpoints that were kept elsewhere.
pub(crate) async fn verify(call: Call) -> Result<Response<Body>, WebError> {
    let full = match call.parameter("full").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(WebError::BadRequest("full must be true or false".to_owned())),
    };
    let permit = call.admit(act::VerifyArchive).await?;
    let read = optional_body::<VerifyBody>(&call).await;
    let (permit, body) = asked(permit, read)?;
    let report = call.archive().verify(permit, VerifyOptions { full, since: body.since }).await?;
    json_answer(StatusCode::OK, &report)
}

impl From<ManageError> for WebError {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::AlreadyExists(_) => Self::Exists(error.to_string()),
            ManageError::NotFound(_) => Self::Missing(error.to_string()),
            ManageError::Invalid(text) => Self::BadRequest(text),
            ManageError::Archive(error) => error.into(),
            _ => Self::Unavailable(None),
        }
    }
}

/// What was asked with a permit; where it is wrong, the audit entry says failed.
pub(crate) fn asked<A: Act, T>(permit: Permit<A>, read: Result<T, WebError>) -> Result<(Permit<A>, T), WebError> {
    match read {
        Ok(value) => Ok((permit, value)),
        Err(error) => {
            permit.finish(Outcome::Failed);
            Err(error)
        }
    }
}

pub(crate) fn json_answer(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, WebError> {
    let text = serde_json::to_vec(value).map_err(|_| WebError::Damaged(None))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The body as JSON of a known form; unknown fields are refused by the types.
async fn json_body<T: DeserializeOwned>(call: &Call) -> Result<T, WebError> {
    let bytes = body::small(call.take_body()).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| WebError::BadRequest(format!("the body is not as expected: {error}")))
}

/// The same, where no body stands for the default.
async fn optional_body<T: DeserializeOwned + Default>(call: &Call) -> Result<T, WebError> {
    let bytes = body::small(call.take_body()).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| WebError::BadRequest(format!("the body is not as expected: {error}")))
}

fn time_text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

/// An account as the command line names it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    name: String,
    role: String,
    #[serde(default)]
    referring: Option<String>,
    /// Seconds; tokens only.
    #[serde(default)]
    ttl_s: Option<u64>,
}

impl AccountBody {
    fn account(&self) -> Result<kluis_archive::NewAccount, WebError> {
        let role =
            self.role.parse().map_err(|error: kluis_policy::ParseRoleError| WebError::BadRequest(error.to_string()))?;
        Ok(kluis_archive::NewAccount { name: self.name.clone(), role, referring: self.referring.clone() })
    }
}
