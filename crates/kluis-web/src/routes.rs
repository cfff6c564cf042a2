//! The table of all routes, and the router that is built from it.
//!
//! A handler is reached through its row and in no other way: [`router`] is the only place that makes a router. The
//! refusal tests walk the table, so a row without proof of refusal fails the build.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, rejection::RawPathParamsRejection},
    routing::any,
};
use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use kluis_policy::{Door, Level, LogName, Operation, Principal, Target};

use crate::{
    App, body,
    call::{self, BodySlot, Call, Proved, accept_header},
    console, control,
    errors::WebError,
    headers, health, identity, ledger, metrics, openapi, session,
    stay::Turn,
    studies, viewer, worklist,
};

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, WebError>> + Send>>;

type Captures = Result<RawPathParams, RawPathParamsRejection>;

/// Who gets as far as the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone: the answer holds nothing but our own words.
    Open,
    /// Only who has proved an identity; what that identity may do is decided by the gate.
    Proved,
}

/// One row of the table.
pub struct Route {
    /// The method; HEAD goes where GET goes.
    pub method: Method,
    /// The path; `{name}` is one segment, `{*name}` the rest.
    pub path: &'static str,
    /// The doors at which it is served.
    pub doors: &'static [Door],
    /// Who gets as far as the handler.
    pub access: Access,
    /// The act that the gate is asked for first, with UIDs of nothing that exists; none where the route is open.
    pub operation: fn() -> Option<Operation>,
    /// A path that matches, naming nothing that exists: for tests.
    pub sample: &'static str,
    /// One line for the description of the API.
    pub summary: &'static str,
    handler: fn(Call) -> Answer,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

const BOTH: &[Door] = &[Door::Web, Door::Control];
const WEB: &[Door] = &[Door::Web];
const CONTROL: &[Door] = &[Door::Control];

macro_rules! route {
    ($doors:ident $access:ident $method:ident $path:literal, $sample:literal, $summary:literal, $operation:expr, $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            doors: $doors,
            access: Access::$access,
            operation: $operation,
            sample: $sample,
            summary: $summary,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// All routes of the product.
pub static ROUTES: &[Route] = &[
    // search (PS3.18 10.6)
    route!(BOTH Proved GET "/dicom-web/studies", "/dicom-web/studies", "Search for studies",
        || Some(Operation::Search { level: Level::Study }), studies::search::studies),
    route!(BOTH Proved GET "/dicom-web/series", "/dicom-web/series", "Search for series",
        || Some(Operation::Search { level: Level::Series }), studies::search::series),
    route!(BOTH Proved GET "/dicom-web/instances", "/dicom-web/instances", "Search for instances",
        || Some(Operation::Search { level: Level::Instance }), studies::search::instances),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series", "/dicom-web/studies/1.2/series",
        "Search for series of a study",
        || Some(Operation::Search { level: Level::Series }), studies::search::series),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/instances", "/dicom-web/studies/1.2/instances",
        "Search for instances of a study",
        || Some(Operation::Search { level: Level::Instance }), studies::search::instances),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/instances",
        "/dicom-web/studies/1.2/series/1.3/instances", "Search for instances of a series",
        || Some(Operation::Search { level: Level::Instance }), studies::search::instances),
    // store (PS3.18 10.5)
    route!(BOTH Proved POST "/dicom-web/studies", "/dicom-web/studies", "Store instances",
        || Some(Operation::Store { study: None }), studies::store::store),
    route!(BOTH Proved POST "/dicom-web/studies/{study}", "/dicom-web/studies/1.2", "Store instances of one study",
        || Some(Operation::Store { study: "1.2".parse().ok() }), studies::store::store),
    // retrieve (PS3.18 10.4)
    route!(BOTH Proved GET "/dicom-web/studies/{study}", "/dicom-web/studies/1.2", "Retrieve a study",
        retrieve, studies::retrieve::retrieve),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/metadata", "/dicom-web/studies/1.2/metadata",
        "Retrieve the metadata of a study", retrieve, studies::metadata::metadata),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}", "/dicom-web/studies/1.2/series/1.3",
        "Retrieve a series", retrieve, studies::retrieve::retrieve),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/metadata",
        "/dicom-web/studies/1.2/series/1.3/metadata", "Retrieve the metadata of a series",
        retrieve, studies::metadata::metadata),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/instances/{instance}",
        "/dicom-web/studies/1.2/series/1.3/instances/1.4", "Retrieve an instance",
        retrieve, studies::retrieve::retrieve),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata",
        "/dicom-web/studies/1.2/series/1.3/instances/1.4/metadata", "Retrieve the metadata of an instance",
        retrieve, studies::metadata::metadata),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1", "Retrieve frames of an instance",
        retrieve, studies::frames::frames),
    route!(BOTH Proved GET "/dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{index}",
        "/dicom-web/studies/1.2/series/1.3/instances/1.4/bulkdata/0", "Retrieve a bulk value of an instance",
        retrieve, studies::bulkdata::bulkdata),
    // worklist (PS3.4 Annex K)
    route!(BOTH Proved GET "/worklist/entries", "/worklist/entries", "List entries of the modality worklist",
        || Some(Operation::SearchWorklist), worklist::list),
    route!(BOTH Proved POST "/worklist/entries", "/worklist/entries", "Add or replace an entry of the modality worklist",
        || Some(Operation::ManageWorklist), worklist::put),
    route!(BOTH Proved GET "/worklist/entries/{id}", "/worklist/entries/0", "Show an entry of the modality worklist",
        || Some(Operation::SearchWorklist), worklist::show),
    route!(BOTH Proved DELETE "/worklist/entries/{id}", "/worklist/entries/0",
        "Remove an entry of the modality worklist", || Some(Operation::ManageWorklist), worklist::remove),
    // ledger (C2SP tlog-tiles)
    route!(BOTH Proved GET "/ledger/objects/{*file}", "/ledger/objects/checkpoint", "Files of the objects log",
        || Some(Operation::ReadLedger { log: LogName::Objects }), ledger::objects),
    route!(BOTH Proved GET "/ledger/audit/{*file}", "/ledger/audit/checkpoint", "Files of the audit log",
        || Some(Operation::ReadLedger { log: LogName::Audit }), ledger::audit),
    // the node
    route!(BOTH Open GET "/healthz", "/healthz", "Whether the node serves requests", || None, health::healthz),
    route!(BOTH Proved GET "/metrics", "/metrics", "Counters", || Some(Operation::ReadMetrics), metrics::metrics),
    route!(BOTH Proved GET "/openapi.json", "/openapi.json", "This description",
        || Some(Operation::ReadApiDescription), openapi::openapi),
    // sessions
    route!(WEB Open GET "/enrol/{code}", "/enrol/none", "Redeem an enrolment link", || None, session::enrol),
    route!(WEB Open GET "/sign-in", "/sign-in", "How to sign in", || None, session::sign_in),
    route!(WEB Proved POST "/sign-out", "/sign-out", "End the session", || Some(Operation::SignOut), session::sign_out),
    // console
    route!(WEB Proved GET "/", "/", "List of studies", || Some(Operation::ViewConsole), console::list::newest),
    route!(WEB Proved POST "/", "/", "Search for studies by a form", || Some(Operation::ViewConsole), console::list::search),
    route!(WEB Proved GET "/upload", "/upload", "Upload page", || Some(Operation::ViewUpload), console::upload::page),
    route!(WEB Open GET "/assets/{file}", "/assets/kluis.css", "Style sheet and script of the console",
        || None, console::assets::asset),
    // viewer
    route!(WEB Proved GET "/viewer", "/viewer", "The viewer", || Some(Operation::ViewViewer), viewer::root),
    route!(WEB Proved GET "/viewer/", "/viewer/", "The viewer", || Some(Operation::ViewViewer), viewer::file),
    route!(WEB Proved GET "/viewer/{*file}", "/viewer/viewer", "Files of the viewer",
        || Some(Operation::ViewViewer), viewer::file),
    // management, at the control door only
    route!(CONTROL Proved GET "/control/status", "/control/status", "State of the node",
        || Some(Operation::VerifyArchive), control::status),
    route!(CONTROL Proved POST "/control/import", "/control/import", "Take in one DICOM file",
        || Some(Operation::Store { study: None }), control::import::import),
    route!(CONTROL Proved GET "/control/export/{study}", "/control/export/1.2", "Export a study",
        || Some(Operation::Export { study: "1.2".parse().ok()? }), control::export::export),
    route!(CONTROL Proved POST "/control/verify", "/control/verify", "Hold vault, index and ledger against each other",
        || Some(Operation::VerifyArchive), control::verify),
    route!(CONTROL Proved GET "/control/devices", "/control/devices", "List devices",
        || Some(Operation::ManageDevices), control::devices::list),
    route!(CONTROL Proved POST "/control/devices", "/control/devices", "Enrol a device",
        || Some(Operation::ManageDevices), control::devices::add),
    route!(CONTROL Proved GET "/control/devices/{ae}", "/control/devices/NONE", "Show a device",
        || Some(Operation::ManageDevices), control::devices::show),
    route!(CONTROL Proved DELETE "/control/devices/{ae}", "/control/devices/NONE", "Remove a device",
        || Some(Operation::ManageDevices), control::devices::remove),
    route!(CONTROL Proved GET "/control/users", "/control/users", "List people",
        || Some(Operation::ManageUsers), control::users::list),
    route!(CONTROL Proved POST "/control/users", "/control/users", "Add a person",
        || Some(Operation::ManageUsers), control::users::add),
    route!(CONTROL Proved POST "/control/users/{name}/link", "/control/users/none/link", "A new enrolment link",
        || Some(Operation::ManageUsers), control::users::link),
    route!(CONTROL Proved DELETE "/control/users/{name}", "/control/users/none", "Remove a person",
        || Some(Operation::ManageUsers), control::users::remove),
    route!(CONTROL Proved GET "/control/tokens", "/control/tokens", "List tokens",
        || Some(Operation::ManageTokens), control::tokens::list),
    route!(CONTROL Proved POST "/control/tokens", "/control/tokens", "Make a token",
        || Some(Operation::ManageTokens), control::tokens::create),
    route!(CONTROL Proved DELETE "/control/tokens/{name}", "/control/tokens/none", "Revoke a token",
        || Some(Operation::ManageTokens), control::tokens::revoke),
];

fn retrieve() -> Option<Operation> {
    Some(Operation::Retrieve { target: Target::study("1.2".parse().ok()?) })
}

/// The router of one door: all rows of [`ROUTES`] that are served there, and nothing else.
///
/// At [`Door::Control`] the principal is the owner of the data directory; reach it only through a socket that is the
/// owner's alone, or in process.
pub fn router(app: App, door: Door) -> Router {
    let mut paths: Vec<&'static str> = served(door).map(|(_, route)| route.path).collect();
    paths.dedup();
    let mut seen: Vec<&'static str> = Vec::new();
    let mut router = Router::new();
    for path in paths {
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        let app = app.clone();
        let answer = move |captures: Captures, request: Request| {
            let app = app.clone();
            async move { dispatch(app, door, path, captures, request).await }
        };
        router = router.route(path, any(answer));
    }
    let fallback = move |request: Request| {
        let app = app.clone();
        async move { unmatched(&app, request) }
    };
    router.fallback(fallback)
}

fn served(door: Door) -> impl Iterator<Item = (usize, &'static Route)> {
    ROUTES.iter().enumerate().filter(move |(_, route)| route.doors.contains(&door))
}

async fn dispatch(app: App, door: Door, path: &'static str, captures: Captures, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = BodySlot::new(body);
    let is_http1 = parts.version <= Version::HTTP_11;
    let method = parts.method.clone();
    let accept = accept_header(&parts.headers);
    let asks_first = parts.headers.contains_key(header::EXPECT);
    let wanted = if method == Method::HEAD { Method::GET } else { method.clone() };
    let row = served(door).find(|(_, route)| route.path == path && route.method == wanted);
    let captures = captures
        .map(|captures| captures.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>());
    let result = match (row, captures) {
        (Some((_, route)), Ok(captures)) => answer(app.clone(), door, route, parts, body.clone(), captures).await,
        (Some(_), Err(_)) => Err(WebError::BadRequest("the path is not percent-encoded UTF-8".to_owned())),
        (None, _) => not_this_method(&app, door, path, &parts).await,
    };
    // an HTTP/1 client that is still sending reads no answer: a refusal would look like a broken connection
    // (one that asked first, by Expect, has not begun)
    if is_http1 && !asks_first && result.is_err() {
        body::drain(body.take()).await;
    }
    let response = result.unwrap_or_else(|error| error.into_response(&method, accept.as_deref()));
    app.metrics().count(row.map(|(index, _)| index), response.status());
    dress(response, &method)
}

async fn answer(
    app: App,
    door: Door,
    route: &'static Route,
    parts: Parts,
    body: BodySlot,
    captures: Vec<(String, String)>,
) -> Result<Response<Body>, WebError> {
    let proved = match (route.access, door) {
        (Access::Open, _) => None,
        (Access::Proved, Door::Control) => Some(Proved { principal: Principal::Operator, session: None }),
        (Access::Proved, _) => Some(prove(&app, door, route.operation, &parts).await?),
    };
    (route.handler)(Call::new(app, parts, body, door, captures, proved)).await
}

async fn prove(app: &App, door: Door, operation: fn() -> Option<Operation>, parts: &Parts) -> Result<Proved, WebError> {
    let proved = identity::prove(app.archive(), parts).await;
    if matches!(proved, Err(WebError::Unproved)) {
        let origin = call::origin(parts, door);
        if identity::shows_proof(&parts.headers) {
            app.hold_back(origin.peer).await;
        }
        let act = operation().map_or("none", |operation| operation.name());
        app.archive().note_unproved(origin, act).await?;
    }
    let proved = proved?;
    if let Some(turn) = parts.extensions.get::<Arc<Turn>>() {
        turn.prove(&proved.principal.label()).map_err(|_| WebError::Unavailable(None))?;
    }
    Ok(proved)
}

/// Methods are told only to those who may know that the path exists.
async fn not_this_method(app: &App, door: Door, path: &'static str, parts: &Parts) -> Result<Response<Body>, WebError> {
    let rows = || served(door).filter(move |(_, route)| route.path == path);
    if door != Door::Control && rows().all(|(_, route)| route.access == Access::Proved) {
        prove(app, door, || None, parts).await?;
    }
    let mut methods: Vec<&str> = rows().map(|(_, route)| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    Err(WebError::Method { allow: methods.join(", ") })
}

fn unmatched(app: &App, request: Request) -> Response<Body> {
    let accept = accept_header(request.headers());
    let response = WebError::NotFound.into_response(request.method(), accept.as_deref());
    app.metrics().count(None, response.status());
    dress(response, request.method())
}

/// What every answer gets, whoever made it.
fn dress(mut response: Response<Body>, method: &Method) -> Response<Body> {
    headers::secure(response.headers_mut());
    if response.status() == StatusCode::INSUFFICIENT_STORAGE {
        // somebody has to make room first
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("300"));
    }
    if method == Method::HEAD {
        let length = http_body::Body::size_hint(response.body()).exact();
        if let (Some(length), false) = (length, response.headers().contains_key(header::CONTENT_LENGTH)) {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::empty();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_distinct_and_say_what_they_ask_for() {
        for (index, route) in ROUTES.iter().enumerate() {
            let is_open = route.access == Access::Open;
            assert_eq!((route.operation)().is_none(), is_open, "{route:?}");
            assert!(!route.doors.is_empty() && !route.summary.is_empty(), "{route:?}");
            let is_twice =
                ROUTES.iter().skip(index + 1).any(|other| other.path == route.path && other.method == route.method);
            assert!(!is_twice, "{route:?}");
        }
    }

    #[test]
    fn management_has_no_web_door() {
        for route in ROUTES {
            let is_management = route.path.starts_with("/control/");
            assert_eq!(route.doors.contains(&Door::Web), !is_management, "{route:?}");
            assert!(route.doors.contains(&Door::Web) || route.doors.contains(&Door::Control), "{route:?}");
        }
    }

    /// Files of this crate that speak of axum's router, by what they say.
    #[test]
    fn no_route_is_made_outside_the_table() {
        let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut looked_at = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                looked_at += 1;
                if path.ends_with("routes.rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for word in ["Router::new", "axum::routing", ".nest(", ".merge(", ".route(", ".fallback("] {
                    assert!(!text.contains(word), "{} has {word}", path.display());
                }
            }
        }
        assert!(looked_at > 10);
    }
}
