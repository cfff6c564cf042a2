//! Proof of identity in a request: a bearer token, or the session cookie of a browser.
//!
//! A cookie travels without the page's doing, so with it a request that changes something counts only when it comes
//! from one of our own pages: besides `SameSite=Strict`, its `Sec-Fetch-Site` or `Origin` must say so.

use http::{HeaderMap, Method, header, request::Parts};
use kluis_archive::Archive;
use kluis_identity::{Cause, NotProved};

use crate::{
    call::{Proved, authority, text_header},
    errors::WebError,
};

/// Name of the session cookie. The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain`.
pub(crate) const COOKIE: &str = "__Host-kluis";

/// Who asks.
///
/// # Errors
/// [`WebError::Unproved`] whatever is wrong with the proof; [`WebError::ForeignPage`]; [`WebError::Unavailable`].
pub(crate) async fn prove(archive: &Archive, parts: &Parts) -> Result<Proved, WebError> {
    let now = archive.clock().now();
    if let Some(value) = text_header(&parts.headers, header::AUTHORIZATION) {
        let token = bearer(value).ok_or(WebError::Unproved)?;
        let principal = archive.authenticator().bearer(token, now).await.map_err(unproved)?;
        return Ok(Proved { principal, session: None });
    }
    let cookie = session_cookie(&parts.headers).ok_or(WebError::Unproved)?;
    let principal = archive.authenticator().session(cookie, now).await.map_err(unproved)?;
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe && !is_from_own_page(parts) {
        return Err(WebError::ForeignPage);
    }
    Ok(Proved { principal, session: Some(cookie.to_owned()) })
}

/// Whether something is shown that is meant as proof: who shows nothing guesses nothing.
pub(crate) fn shows_proof(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || session_cookies(headers).next().is_some()
}

/// All failed proofs answer alike; only a directory that cannot be read is another matter.
pub(crate) fn unproved(error: NotProved) -> WebError {
    match error.cause() {
        Cause::DirectoryUnavailable => WebError::Unavailable(None),
        _ => WebError::Unproved,
    }
}

/// The token of an Authorization header (RFC 6750 2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The one session cookie; two of them are none.
fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = session_cookies(headers);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn session_cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn is_from_own_page(parts: &Parts) -> bool {
    if let Some(site) = text_header(&parts.headers, http::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let origin = text_header(&parts.headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    origin.is_some() && origin == authority(&parts.uri, &parts.headers)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn bearer_tokens_are_read() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
        ] {
            assert_eq!(bearer(value), token, "{value}");
        }
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        for (value, cookie) in [
            ("__Host-kluis=abc", Some("abc")),
            ("a=b; __Host-kluis=abc; c=d", Some("abc")),
            ("kluis=abc", None),
            ("__Host-kluis=abc; __Host-kluis=def", None),
        ] {
            let headers = parts(&[("cookie", value)]).headers;
            assert_eq!(session_cookie(&headers), cookie, "{value}");
            assert_eq!(shows_proof(&headers), value.contains("__Host-kluis="), "{value}");
        }
    }

    #[test]
    fn t17_only_own_pages_may_change_something() {
        for (headers, expected) in [
            (&[("host", "a:1"), ("sec-fetch-site", "same-origin")][..], true),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site"), ("origin", "https://a:1")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "none")], false),
            (&[("host", "a:1"), ("origin", "https://a:1")], true),
            (&[("host", "a:1"), ("origin", "https://a:2")], false),
            (&[("host", "a:1"), ("origin", "http://a:1")], false),
            (&[("host", "a:1"), ("origin", "null")], false),
            (&[("host", "a:1")], false),
        ] {
            assert_eq!(is_from_own_page(&parts(headers)), expected, "{headers:?}");
        }
    }
}
