//! `/healthz`: the process serves requests. Says nothing else, since anyone may ask.

use axum::body::Body;
use http::{HeaderValue, Response, header};

use crate::{call::Call, errors::WebError};

pub(crate) async fn healthz(_call: Call) -> Result<Response<Body>, WebError> {
    let mut response = Response::new(Body::from("ok\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}
