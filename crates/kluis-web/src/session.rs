//! Sessions of browsers: redeeming an enrolment link, the page that tells how to get one, and signing out.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{Outcome, act};

use crate::{
    call::{Call, text_header},
    console::{self, Frame, Message},
    errors::{WebError, chain, redirect},
    identity::COOKIE,
};

/// `/enrol/{code}`: one use, then a session.
///
/// Where the link was typed or opened by another program the answer is a redirect. Where it was followed from another site
/// (a mail in a web mailer) it is a page that leads on: a `SameSite=Strict` cookie would not travel with that redirect.
pub(crate) async fn enrol(call: Call) -> Result<Response<Body>, WebError> {
    // what only looks at links, or fetches them ahead, must not use them up
    let purpose = text_header(&call.parts.headers, http::HeaderName::from_static("sec-purpose")).unwrap_or_default();
    if call.is_head() || purpose.contains("prefetch") {
        return Ok(Response::new(Body::empty()));
    }
    let version = call.app.settings().version;
    let now = call.archive().clock().now();
    let session = match call.archive().authenticator().redeem(call.capture("code"), now).await {
        Ok(session) => session,
        Err(error) => match crate::identity::unproved(error) {
            WebError::Unproved => {
                call.app.hold_back(call.origin.peer).await;
                call.archive().note_unproved(call.origin, "enrol").await?;
                return console::page(StatusCode::UNAUTHORIZED, &used_up(version));
            }
            other => return Err(other),
        },
    };
    let shown = Message {
        frame: Frame::nobody(version),
        title: "You are signed in",
        lines: &[
            "The link has been used and is now worthless. This browser stays signed in for up to 12 hours, or until you sign out or do nothing for an hour.",
        ],
        command: "",
        next: "/",
        next_label: "Go to the studies",
        is_refresh: true,
    };
    let site = text_header(&call.parts.headers, http::HeaderName::from_static("sec-fetch-site")).unwrap_or_default();
    let mut response = match site {
        "none" | "same-origin" => redirect("/"),
        _ => console::page(StatusCode::OK, &shown)?,
    };
    let cookie = format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict", session.cookie.as_str());
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| WebError::Unavailable(None))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

fn used_up(version: &'static str) -> Message<'static> {
    Message {
        frame: Frame::nobody(version),
        title: "This link does not work",
        lines: &[
            "An enrolment link works once and for a limited time. This one has been used, is too old, or is not complete.",
            "If you used it in this browser before, you may still be signed in. Otherwise ask whoever runs this archive for a new one. They type:",
        ],
        command: "kluis user link NAME",
        next: "/",
        next_label: "Try the list of studies",
        is_refresh: false,
    }
}

/// `/sign-in`: how to get in. There is no password to type.
pub(crate) async fn sign_in(call: Call) -> Result<Response<Body>, WebError> {
    let shown = Message {
        frame: Frame::nobody(call.app.settings().version),
        title: "Sign in",
        lines: &[
            "This archive knows no passwords. You sign in with a personal link that works once; then this browser is known.",
            "Ask whoever runs this archive for your link. They type:",
        ],
        command: "kluis user link NAME",
        next: "/",
        next_label: "I have used my link",
        is_refresh: false,
    };
    console::page(StatusCode::OK, &shown)
}

pub(crate) async fn sign_out(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::SignOut).await?;
    if let Some(session) = call.session()
        && let Err(error) = call.archive().authenticator().sign_out(session).await
    {
        tracing::error!(error = chain(&error), "session not ended");
        permit.finish(Outcome::Failed);
        return Err(WebError::Unavailable(None));
    }
    permit.finish(Outcome::Done);
    let mut response = redirect("/sign-in");
    let headers = response.headers_mut();
    let cookie = HeaderValue::from_static("__Host-kluis=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    headers.insert(header::SET_COOKIE, cookie);
    headers
        .insert(http::HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}
