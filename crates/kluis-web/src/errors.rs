//! The one mapping from what can go wrong to HTTP status, and to the failure reasons of a store answer (PS3.18 8.5, I.2).

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use kluis_archive::{ArchiveError, Refused, RetrieveError, SearchError, StoreError};
use kluis_dicom::part10::Refusal;
use kluis_dicomweb::{
    status::{ReportForm, StatusReport},
    stow::reason,
};

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WebError {
    /// No proof of identity, or one that is worth nothing: the two answer alike.
    #[error("sign in, or send a bearer token")]
    Unproved,
    /// The gate said no to an act that is about something named, or there is no such thing: the two answer alike.
    #[error("there is no such thing here")]
    NotFound,
    /// There is no device, person or token of this name: told to who may manage them.
    #[error("{0}")]
    Missing(String),
    /// The role does not include the act.
    #[error("your role does not include this")]
    Forbidden,
    /// A request with a cookie that did not come from our own pages.
    #[error("this request did not come from a page of this site")]
    ForeignPage,
    /// The path has no such method.
    #[error("this resource does not have this method")]
    Method { allow: String },
    /// The request is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// Something of this name exists already.
    #[error("{0}")]
    Exists(String),
    /// There is no room for it.
    #[error("{0}")]
    NoRoom(String),
    /// Nothing that the client accepts can be had.
    #[error("nothing acceptable: {0}")]
    NotAcceptable(String),
    /// The body is of a kind that is not taken here.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// The body or the answer would be too large.
    #[error("{0}")]
    TooLarge(String),
    /// The body came too slowly or not at all.
    #[error("the request came too slowly")]
    TooSlow,
    /// The body broke off.
    #[error("the request broke off")]
    BrokenOff,
    /// The archive cannot do it now.
    #[error("the archive cannot do this now; try again later")]
    Unavailable(#[source] Option<ArchiveError>),
    /// What is stored cannot be read.
    #[error("this cannot be read from the archive")]
    Damaged(#[source] Option<ArchiveError>),
}

impl WebError {
    /// Status and a word for programs.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unproved => (StatusCode::UNAUTHORIZED, "unproved"),
            Self::NotFound | Self::Missing(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::ForeignPage => (StatusCode::FORBIDDEN, "foreign-page"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::Exists(_) => (StatusCode::CONFLICT, "exists"),
            Self::NoRoom(_) => (StatusCode::INSUFFICIENT_STORAGE, "no-room"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "not-acceptable"),
            Self::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
            Self::BrokenOff => (StatusCode::BAD_REQUEST, "broken-off"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Damaged(_) => (StatusCode::INTERNAL_SERVER_ERROR, "damaged"),
        }
    }

    /// The answer to a request that asked by this method and with this Accept header.
    pub(crate) fn into_response(self, method: &Method, accept: Option<&str>) -> Response<Body> {
        if let Self::Unavailable(Some(cause)) | Self::Damaged(Some(cause)) = &self {
            tracing::error!(error = chain(cause), "request failed");
        }
        let form = ReportForm::for_accept(accept);
        if matches!(self, Self::Unproved) && form == ReportForm::Html && matches!(*method, Method::GET | Method::HEAD) {
            return redirect("/sign-in");
        }
        let (status, code) = self.status();
        let report = StatusReport { status, code, message: self.to_string() };
        let mut response = Response::new(Body::from(report.body(form)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        match &self {
            Self::Unproved => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kluis\""));
            }
            Self::Method { allow } => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, allow);
                }
            }
            Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            }
            // what is left of such a body must not be taken for the next request
            Self::TooSlow | Self::BrokenOff => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// Sends a browser to another of our pages.
pub(crate) fn redirect(place: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(place));
    response
}

impl From<Refused> for WebError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(kluis_policy::Denial::NotOwnStudy) => Self::NotFound,
            Refused::Denied(_) => Self::Forbidden,
            Refused::Unavailable(error) => Self::Unavailable(Some(error)),
            _ => Self::Forbidden,
        }
    }
}

impl From<ArchiveError> for WebError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::KeyDestroyed => Self::NotFound,
            ArchiveError::Record | ArchiveError::WrongRecord => Self::Damaged(Some(error)),
            other => Self::Unavailable(Some(other)),
        }
    }
}

impl From<RetrieveError> for WebError {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::NotFound => Self::NotFound,
            RetrieveError::Archive(error) => error.into(),
            _ => Self::Unavailable(None),
        }
    }
}

impl From<SearchError> for WebError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::TooMuch(text) => Self::TooLarge(text),
            SearchError::WrongLevel => Self::BadRequest(error.to_string()),
            SearchError::Archive(error) => error.into(),
            _ => Self::Unavailable(None),
        }
    }
}

/// Failure reason of a store answer, and the status where nothing else was stored.
pub(crate) fn store_failure(error: &StoreError) -> (u16, StatusCode) {
    match error {
        StoreError::Refused(refusal) => refusal_reason(refusal),
        StoreError::Attributes(_) => (reason::CANNOT_UNDERSTAND, StatusCode::CONFLICT),
        StoreError::SopClassMismatch { .. }
        | StoreError::SopInstanceMismatch { .. }
        | StoreError::StudyMismatch { .. } => (reason::DOES_NOT_MATCH, StatusCode::CONFLICT),
        StoreError::Conflict { .. } => (reason::DUPLICATE_INSTANCE, StatusCode::CONFLICT),
        StoreError::StorageFull => (reason::OUT_OF_RESOURCES, StatusCode::INSUFFICIENT_STORAGE),
        StoreError::Unavailable(cause) if matches!(**cause, ArchiveError::Busy) => {
            (reason::OUT_OF_RESOURCES, StatusCode::SERVICE_UNAVAILABLE)
        }
        StoreError::Unavailable(_) => (reason::PROCESSING, StatusCode::SERVICE_UNAVAILABLE),
        _ => (reason::PROCESSING, StatusCode::CONFLICT),
    }
}

fn refusal_reason(refusal: &Refusal) -> (u16, StatusCode) {
    match refusal {
        Refusal::UnknownTransferSyntax { .. } | Refusal::InvalidTransferSyntax => {
            (reason::TRANSFER_SYNTAX_NOT_SUPPORTED, StatusCode::CONFLICT)
        }
        Refusal::ObjectTooLarge { .. } | Refusal::HeaderTooLarge { .. } => {
            (reason::OUT_OF_RESOURCES, StatusCode::PAYLOAD_TOO_LARGE)
        }
        Refusal::NotDicom | Refusal::NoElements => (reason::CANNOT_UNDERSTAND, StatusCode::BAD_REQUEST),
        _ => (reason::CANNOT_UNDERSTAND, StatusCode::CONFLICT),
    }
}

/// The error with its causes in one line; none of them carries patient data.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
