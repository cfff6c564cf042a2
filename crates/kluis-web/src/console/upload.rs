//! `/upload`: files by drag and drop. The script sends each file to `/dicom-web/studies` and shows what became of it.

use askama::Template;
use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::{Outcome, act};

use super::Frame;
use crate::{call::Call, errors::WebError};

#[derive(Template)]
#[template(path = "upload.html")]
struct Page {
    frame: Frame,
}

pub(crate) async fn page(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ViewUpload).await?;
    let frame = Frame::of(call.principal()?, call.app.settings().version);
    permit.finish(Outcome::Done);
    super::page(StatusCode::OK, &Page { frame })
}
