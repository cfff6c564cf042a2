//! The console: server-rendered pages that work without scripts, upload aside. Searches go by form, never in a URL.

pub(crate) mod assets;
pub(crate) mod list;
mod text;
pub(crate) mod upload;

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::Archive;
use kluis_policy::{Level, Operation, Principal};

use crate::errors::WebError;

/// What the frame of a page shows to who looks at it.
pub(crate) struct Frame {
    /// The name of the person; empty for nobody.
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) may_search: bool,
    pub(crate) may_store: bool,
    pub(crate) version: &'static str,
}

impl Frame {
    pub(crate) fn of(principal: &Principal, version: &'static str) -> Self {
        let name = match principal {
            Principal::Person { name, .. } | Principal::Service { name, .. } => name.clone(),
            Principal::Device { ae, .. } => ae.clone(),
            Principal::Operator => "operator".to_owned(),
        };
        Self {
            name,
            role: principal.role().map_or("", kluis_policy::Role::as_str),
            may_search: Archive::would_allow(principal, &Operation::Search { level: Level::Study }),
            may_store: Archive::would_allow(principal, &Operation::Store { study: None }),
            version,
        }
    }

    pub(crate) fn nobody(version: &'static str) -> Self {
        Self { name: String::new(), role: "", may_search: false, may_store: false, version }
    }
}

/// A page that says one thing: how to sign in, that a link is used up, where the viewer comes from.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct Message<'a> {
    pub(crate) frame: Frame,
    pub(crate) title: &'a str,
    pub(crate) lines: &'a [&'a str],
    /// A command to type, where one helps.
    pub(crate) command: &'a str,
    /// Where to go next; with `is_refresh` by itself.
    pub(crate) next: &'a str,
    pub(crate) next_label: &'a str,
    pub(crate) is_refresh: bool,
}

/// Renders a page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Result<Response<Body>, WebError> {
    let html = template.render().map_err(|error| {
        tracing::error!(error = %error, "page not rendered");
        WebError::Damaged(None)
    })?;
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}
