//! One port of one host, and the ways to it. Each connection passes the guard.

use std::net::SocketAddr;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    guard::{Connection, Guard, Refusal},
    scan::Tls,
    wire::{
        Foreign, Stream,
        association::{self, Answer},
        http,
        tls::{self, Handshake, Seen},
    },
};

/// A port, and whether TLS is spoken there.
#[derive(Clone, Copy)]
pub(crate) struct Peer<'g> {
    pub(crate) guard: &'g Guard,
    pub(crate) address: SocketAddr,
    /// The name in the scope, where it has one.
    pub(crate) name: Option<&'g str>,
    pub(crate) is_secure: bool,
}

/// A connection that is ready to be spoken over.
pub(crate) enum Way {
    Open(Box<dyn Stream>, Option<Seen>, u64),
    /// TLS was spoken, and ended by the peer.
    Refused(Seen),
    NotTls,
    /// It stands, and the handshake is not answered.
    Mute,
    Closed,
    /// Nothing came back at all.
    Silent,
    Absent,
}

impl Peer<'_> {
    /// Connects, and shakes hands where TLS is spoken.
    pub(crate) async fn open(&self, check: &str) -> Result<Way, Refusal> {
        let (stream, probe) = match self.guard.connect(self.address, check).await? {
            Connection::Open(stream, probe) => (stream, probe),
            Connection::Closed => return Ok(Way::Closed),
            Connection::Silent => return Ok(Way::Silent),
            Connection::Absent => return Ok(Way::Absent),
        };
        if !self.is_secure {
            return Ok(Way::Open(Box::new(stream), None, probe));
        }
        Ok(match tls::handshake(stream, self.address.ip(), self.name, self.guard.answer()).await {
            Handshake::Open(stream, seen) => Way::Open(stream, Some(seen), probe),
            Handshake::Refused(seen) => Way::Refused(seen),
            Handshake::Foreign => Way::NotTls,
            Handshake::Silent => Way::Mute,
        })
    }

    /// Asks for an association over a new connection.
    pub(crate) async fn associate(&self, check: &str, request: association::Request<'_>) -> Result<Answer, Refusal> {
        match self.open(check).await? {
            Way::Open(stream, _, probe) => Ok(self.associate_over(stream, probe, request).await),
            Way::Silent | Way::Mute => Ok(Answer::Silent),
            Way::NotTls => Ok(Answer::Foreign(Foreign::Other)),
            Way::Refused(_) | Way::Closed | Way::Absent => Ok(Answer::Closed),
        }
    }

    /// Asks for an association over a connection that stands.
    pub(crate) async fn associate_over(
        &self,
        stream: Box<dyn Stream>,
        probe: u64,
        request: association::Request<'_>,
    ) -> Answer {
        let answer = tokio::select! {
            biased;
            () = self.guard.stop().wait() => return Answer::Closed,
            answer = association::associate(stream, request, self.guard.answer()) => answer,
        };
        self.guard.note(
            probe,
            match &answer {
                Answer::Accepted(..) => "accepted",
                Answer::Rejected(_) => "rejected",
                Answer::Aborted => "aborted",
                Answer::Closed => "closed by peer",
                Answer::Silent => "no answer",
                Answer::Foreign(_) => "no dicom",
            },
        );
        answer
    }

    /// Asks once over HTTP.
    pub(crate) async fn ask(
        &self,
        check: &str,
        method: &str,
        target: &str,
        headers: &str,
        body: usize,
    ) -> Result<http::Answer, Refusal> {
        let (stream, probe) = match self.open(check).await? {
            Way::Open(stream, _, probe) => (stream, probe),
            Way::Silent | Way::Mute => return Ok(http::Answer::Silent),
            Way::NotTls => return Ok(http::Answer::Foreign(Foreign::Other)),
            Way::Refused(_) | Way::Closed | Way::Absent => return Ok(http::Answer::Closed),
        };
        Ok(self.ask_over(stream, probe, method, target, headers, body).await)
    }

    /// Asks once over a connection that stands.
    pub(crate) async fn ask_over(
        &self,
        stream: Box<dyn Stream>,
        probe: u64,
        method: &str,
        target: &str,
        headers: &str,
        body: usize,
    ) -> http::Answer {
        let host = self.host();
        let request = http::Request { method, target, host: &host, headers, body };
        let answer = tokio::select! {
            biased;
            () = self.guard.stop().wait() => return http::Answer::Closed,
            answer = http::ask(stream, request, self.guard.answer()) => answer,
        };
        match &answer {
            http::Answer::Head(response) => self.guard.note(probe, &format!("status {}", response.status)),
            http::Answer::Closed => self.guard.note(probe, "closed by peer"),
            http::Answer::Silent => self.guard.note(probe, "no answer"),
            http::Answer::Foreign(_) => self.guard.note(probe, "no http"),
        }
        answer
    }

    /// For the Host field.
    fn host(&self) -> String {
        match self.name {
            Some(name) => format!("{name}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }
}

/// What a handshake showed, in the form that is kept. The names in a certificate are not.
pub(crate) fn tls_of(seen: &Seen) -> Tls {
    let mut tls = Tls {
        version: seen.version.map(str::to_owned),
        asks_for_certificate: seen.asks_for_certificate,
        ..Tls::default()
    };
    let Some(der) = &seen.certificate else { return tls };
    if let Ok((_, certificate)) = X509Certificate::from_der(der) {
        tls.spki_sha256 = Some(crate::identity::sha256(certificate.public_key().raw));
        tls.not_after = Some(certificate.validity().not_after.to_datetime());
        tls.is_self_signed = certificate.subject() == certificate.issuer();
    }
    tls
}
