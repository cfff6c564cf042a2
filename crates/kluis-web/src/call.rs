//! One request on its way to its handler.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use http::{HeaderMap, HeaderName, Method, Uri, header, request::Parts};
use kluis_archive::{Archive, Origin, Permit, act::Act};
use kluis_dicom::Uid;
use kluis_dicomweb::accept::{Accept, AcceptError, Framing, Offer};
use kluis_policy::{Door, Principal};

use crate::{App, errors::WebError};

/// The two ends of the connection, put beside a request by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The address of the client.
    pub(crate) address: IpAddr,
    /// The port that the client reached.
    pub(crate) local_port: u16,
}

/// The body of a request. It cannot be shared between threads, a call must be: so it is taken out once. What no handler
/// took can still be taken when the answer is known.
#[derive(Clone)]
pub(crate) struct BodySlot(Arc<Mutex<Body>>);

impl BodySlot {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// The body, which is empty from then on.
    pub(crate) fn take(&self) -> Body {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request on its way to its handler.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) parts: Parts,
    body: BodySlot,
    pub(crate) origin: Origin,
    /// Captures of the path by name, percent-decoded once.
    pub(crate) captures: Vec<(String, String)>,
    proved: Option<Proved>,
}

/// Who asks, and by which proof.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    pub(crate) principal: Principal,
    /// The session cookie, where that was the proof.
    pub(crate) session: Option<String>,
}

impl Call {
    pub(crate) fn new(
        app: App,
        parts: Parts,
        body: BodySlot,
        door: Door,
        captures: Vec<(String, String)>,
        proved: Option<Proved>,
    ) -> Self {
        let origin = origin(&parts, door);
        Self { app, parts, body, origin, captures, proved }
    }

    pub(crate) fn archive(&self) -> &Archive {
        self.app.archive()
    }

    /// Who asks.
    ///
    /// # Errors
    /// [`WebError::Unproved`] on a route that is open and was called without proof.
    pub(crate) fn principal(&self) -> Result<&Principal, WebError> {
        self.proved.as_ref().map(|proved| &proved.principal).ok_or(WebError::Unproved)
    }

    /// Looks again whether the proof still holds; at the control door, where there is none, it always does.
    ///
    /// # Errors
    /// As of the first look.
    pub(crate) async fn prove_again(&self) -> Result<(), WebError> {
        if self.origin.door == Door::Control {
            return Ok(());
        }
        crate::identity::prove(self.archive(), &self.parts).await.map(drop)
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.proved.as_ref().and_then(|proved| proved.session.as_deref())
    }

    pub(crate) async fn admit<A: Act>(&self, act: A) -> Result<Permit<A>, WebError> {
        Ok(self.archive().admit(self.principal()?, self.origin, act).await?)
    }

    /// The body, which is empty from then on.
    pub(crate) fn take_body(&self) -> Body {
        self.body.take()
    }

    pub(crate) fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// A parameter of the query, decoded once.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.query().split('&').filter_map(|piece| piece.split_once('=')).find_map(|(key, value)| {
            (kluis_dicomweb::decode(key, true)? == name).then(|| kluis_dicomweb::decode(value, true))?
        })
    }

    pub(crate) fn capture(&self, name: &str) -> &str {
        self.captures.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// A UID in the path.
    ///
    /// # Errors
    /// 400 where it is none: no such thing can exist (G29, N06).
    pub(crate) fn uid(&self, name: &'static str) -> Result<Uid, WebError> {
        self.capture(name).parse().map_err(|_| WebError::BadRequest(format!("the {name} in the path is no UID")))
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        text_header(&self.parts.headers, name)
    }

    /// Negotiates among the offers.
    ///
    /// # Errors
    /// [`WebError::NotAcceptable`].
    pub(crate) fn choose<'o>(&self, offers: &'o [Offer]) -> Result<&'o Offer, WebError> {
        let accept = self.accept()?;
        accept.choose(offers).ok_or_else(|| WebError::NotAcceptable(describe(offers)))
    }

    pub(crate) fn accept(&self) -> Result<Accept, WebError> {
        let header = accept_header(&self.parts.headers);
        Accept::parse(header.as_deref(), self.parameter("accept").as_deref()).map_err(|error| match error {
            AcceptError::Mixed => WebError::BadRequest(error.to_string()),
            _ => WebError::NotAcceptable(error.to_string()),
        })
    }

    /// `https://host` as the client knows this node: for Retrieve URLs and bulk data URIs. Empty where it cannot be
    /// told, which leaves relative references.
    pub(crate) fn public_origin(&self) -> String {
        if let Some(origin) = &self.app.settings().public_origin {
            return origin.clone();
        }
        let Some(host) = authority(&self.parts.uri, &self.parts.headers) else { return String::new() };
        let port = self.parts.extensions.get::<Peer>().map(|peer| peer.local_port);
        format!("https://{}", with_port(host, port))
    }
}

/// Where a request came from.
pub(crate) fn origin(parts: &Parts, door: Door) -> Origin {
    Origin { door, peer: parts.extensions.get::<Peer>().map(|peer| peer.address) }
}

/// The host that the client named, if it is one: letters, digits, `.`, `-`, `:`, and brackets around an address.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| text_header(headers, header::HOST))?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(is_host)).then_some(host)
}

/// The host with the port that was reached. Clients must name a port that is not the default one, and some do not
/// (dicomweb-client among them): links without it would lead nowhere. Where ports are mapped in front of this node,
/// `public_origin` is to be set.
fn with_port(host: &str, port: Option<u16>) -> String {
    let behind_address = host.rsplit(']').next().unwrap_or(host);
    match port {
        Some(port) if port != 443 && !behind_address.contains(':') => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

pub(crate) fn text_header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// All Accept fields as one.
pub(crate) fn accept_header(headers: &HeaderMap) -> Option<String> {
    let fields: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    (!fields.is_empty()).then(|| fields.join(","))
}

fn describe(offers: &[Offer]) -> String {
    let mut forms: Vec<String> = offers
        .iter()
        .map(|offer| {
            let syntax =
                offer.transfer_syntax.as_ref().map(|uid| format!("; transfer-syntax={uid}")).unwrap_or_default();
            match offer.framing {
                Framing::Single => format!("{}{syntax}", offer.media_type),
                Framing::Multipart => format!("multipart/related; type=\"{}\"{syntax}", offer.media_type),
            }
        })
        .collect();
    forms.dedup();
    format!("what can be had: {}", forms.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f21_links_lead_to_the_port_that_was_reached() {
        for (host, port, expected) in [
            ("a", Some(8443), "a:8443"),
            ("a:1", Some(8443), "a:1"),
            ("[::1]", Some(8443), "[::1]:8443"),
            ("[::1]:1", Some(8443), "[::1]:1"),
            ("a", Some(443), "a"),
            ("a", None, "a"),
        ] {
            assert_eq!(with_port(host, port), expected);
        }
    }

    #[test]
    fn n06_a_host_is_only_a_host() {
        for (host, is_host) in [("a.b:1", true), ("[::1]:1", true), ("a/b", false), ("a@b", false), ("a\tb", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, http::HeaderValue::from_str(host).unwrap());
            assert_eq!(authority(&Uri::from_static("/x"), &headers).is_some(), is_host, "{host}");
        }
    }
}
