//! One request on its way to its handler.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use axum::body::Body;
use http::{HeaderMap, HeaderName, Method, Uri, header, request::Parts};
use kluis_archive::{Archive, Origin, Permit, act::Act};
use kluis_dicom::Uid;
use kluis_dicomweb::accept::{Accept, Framing, Offer};
use kluis_policy::{Door, Principal};

use crate::{App, errors::WebError};

/// The address of the peer, put beside a request by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// One request on its way to its handler.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) parts: Parts,
    /// A body cannot be shared between threads, a call must be: so it is taken out once.
    body: Mutex<Body>,
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
        body: Body,
        door: Door,
        captures: Vec<(String, String)>,
        proved: Option<Proved>,
    ) -> Self {
        let origin = origin(&parts, door);
        Self { app, parts, body: Mutex::new(body), origin, captures, proved }
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

    pub(crate) fn session(&self) -> Option<&str> {
        self.proved.as_ref().and_then(|proved| proved.session.as_deref())
    }

    pub(crate) async fn admit<A: Act>(&self, act: A) -> Result<Permit<A>, WebError> {
        Ok(self.archive().admit(self.principal()?, self.origin, act).await?)
    }

    /// The body, which is empty from then on.
    pub(crate) fn take_body(&self) -> Body {
        std::mem::take(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner))
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
        Accept::parse(header.as_deref(), self.parameter("accept").as_deref())
            .map_err(|error| WebError::NotAcceptable(error.to_string()))
    }

    /// `https://host` as the client knows this node: for Retrieve URLs and bulk data URIs. Empty where it cannot be
    /// told, which leaves relative references.
    pub(crate) fn public_origin(&self) -> String {
        if let Some(origin) = &self.app.settings().public_origin {
            return origin.clone();
        }
        authority(&self.parts.uri, &self.parts.headers).map_or_else(String::new, |host| format!("https://{host}"))
    }
}

/// Where a request came from.
pub(crate) fn origin(parts: &Parts, door: Door) -> Origin {
    Origin { door, peer: parts.extensions.get::<Peer>().map(|peer| peer.0) }
}

/// The host that the client named, if it is one: letters, digits, `.`, `-`, `:`, and brackets around an address.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| text_header(headers, header::HOST))?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(is_host)).then_some(host)
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
