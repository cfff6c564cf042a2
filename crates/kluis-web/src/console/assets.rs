//! Style sheet, script and sign of the console: the only files that anyone may have.

use axum::body::Body;
use http::{HeaderValue, Response, header};

use crate::{call::Call, errors::WebError};

/// Name, kind and content.
const ASSETS: [(&str, &str, &str); 3] = [
    ("kluis.css", "text/css; charset=utf-8", include_str!("../../assets/kluis.css")),
    ("upload.js", "text/javascript; charset=utf-8", include_str!("../../assets/upload.js")),
    ("kluis.svg", "image/svg+xml", include_str!("../../assets/kluis.svg")),
];

pub(crate) async fn asset(call: Call) -> Result<Response<Body>, WebError> {
    let name = call.capture("file");
    let (_, kind, content) = ASSETS.iter().find(|(file, ..)| *file == name).ok_or(WebError::NotFound)?;
    let mut response = Response::new(Body::from(*content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
