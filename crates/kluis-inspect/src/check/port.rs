//! What one port speaks, and then what it lets a stranger do.
//!
//! The first connection already asks in the language that the port most likely speaks, so that none is ever opened to listen.

use std::net::{IpAddr, SocketAddr};

use super::{
    dicom::{self, Stranger},
    peer::{Peer, Way, tls_of},
    web,
};
use crate::{
    guard::{Connection, Guard, Refusal},
    scan::{Level, Product, Proof, Protocol, Service, Tls},
    wire::{Foreign, association::Answer, http, old_tls},
};

/// A host, as far as a port needs to know it.
#[derive(Clone, Copy)]
pub(crate) struct HostView<'g> {
    pub(crate) guard: &'g Guard,
    pub(crate) address: IpAddr,
    pub(crate) name: Option<&'g str>,
    pub(crate) called_ae: Option<&'g str>,
}

/// What came of a port.
pub(crate) enum Port {
    /// Nobody listens, or nothing came back.
    Closed,
    /// There is no such host.
    Absent,
    /// Something listens; the peer became slow.
    Open(Box<Service>, bool),
}

/// TLS is spoken here first.
const SECURE: [u16; 7] = [443, 2762, 8443, 8843, 9443, 9993, 3443];
/// The web is spoken here first.
const WEB: [u16; 14] = [80, 81, 443, 3000, 8000, 8042, 8080, 8081, 8088, 8443, 8843, 9000, 9990, 9993];
/// Bytes of `/`, by which a listing is known.
const ROOT_BODY: usize = 2 << 10;

/// Asks one port everything.
pub(crate) async fn check(host: HostView<'_>, port: u16) -> Result<Port, Refusal> {
    let address = SocketAddr::new(host.address, port);
    let peer = Peer { guard: host.guard, address, name: host.name, is_secure: SECURE.contains(&port) };
    let found = match first(peer, host).await? {
        First::Port(port) => port,
        // the other way round, once
        First::OtherWay => match first(Peer { is_secure: !peer.is_secure, ..peer }, host).await? {
            // it listened before, whatever it does now
            First::OtherWay | First::Port(Port::Closed | Port::Absent) => open(service(port, Protocol::Other)),
            First::Port(port) => port,
        },
    };
    old_versions(peer, found).await
}

/// D11: a service that speaks TLS is asked whether it speaks an old one too.
async fn old_versions(peer: Peer<'_>, found: Port) -> Result<Port, Refusal> {
    let Port::Open(mut service, false) = found else { return Ok(found) };
    if let Some(tls) = &mut service.tls
        && let Connection::Open(stream, probe) = peer.guard.connect(peer.address, "D11").await?
    {
        tls.old_version = old_tls::offered(stream, peer.guard.answer()).await.map(str::to_owned);
        peer.guard.note(probe, tls.old_version.as_deref().unwrap_or("no old version"));
    }
    Ok(Port::Open(service, false))
}

enum First {
    Port(Port),
    /// TLS where there is none, or none where there is.
    OtherWay,
}

async fn first(peer: Peer<'_>, host: HostView<'_>) -> Result<First, Refusal> {
    let is_web = WEB.contains(&peer.address.port());
    let (stream, seen, probe) = match peer.open(if is_web { "W05" } else { "D01" }).await? {
        Way::Open(stream, seen, probe) => (stream, seen, probe),
        Way::Refused(seen) => return Ok(First::Port(refused(peer, tls_of(&seen)))),
        Way::NotTls | Way::Mute => return Ok(First::OtherWay),
        Way::Closed | Way::Silent => return Ok(First::Port(Port::Closed)),
        Way::Absent => return Ok(First::Port(Port::Absent)),
    };
    let tls = seen.as_ref().map(tls_of);
    let spoken = if is_web {
        let answer = peer.ask_over(stream, probe, "GET", "/", "", ROOT_BODY).await;
        Spoken::Web(answer)
    } else {
        let stranger = Stranger::new();
        let answer = peer.associate_over(stream, probe, stranger.request()).await;
        Spoken::Dicom(stranger, answer)
    };
    go_on(peer, host, spoken, tls).await
}

enum Spoken {
    Dicom(Stranger, Answer),
    Web(http::Answer),
}

async fn go_on(peer: Peer<'_>, host: HostView<'_>, spoken: Spoken, tls: Option<Tls>) -> Result<First, Refusal> {
    let is_plain = tls.is_none();
    match spoken {
        Spoken::Dicom(stranger, answer) => match answer {
            Answer::Accepted(..) | Answer::Rejected(_) | Answer::Aborted => {
                dicom_service(peer, host, stranger, answer, tls).await
            }
            Answer::Foreign(Foreign::Tls) if is_plain => Ok(First::OtherWay),
            // who wants a certificate says so by closing
            Answer::Closed if tls.as_ref().is_some_and(|tls| tls.asks_for_certificate) => {
                Ok(First::Port(refused(peer, tls.unwrap_or_default())))
            }
            Answer::Foreign(Foreign::Http) | Answer::Closed | Answer::Silent | Answer::Foreign(_) => {
                let answer = peer.ask("W05", "GET", "/", "", ROOT_BODY).await?;
                match answer {
                    http::Answer::Head(root) => web_service(peer, root, tls).await,
                    // some servers of TLS close without a word to who speaks in clear
                    _ if is_plain => Ok(First::OtherWay),
                    _ => Ok(First::Port(unknown(peer, tls))),
                }
            }
        },
        Spoken::Web(http::Answer::Head(root)) if is_plain && wants_tls(&root) => Ok(First::OtherWay),
        Spoken::Web(http::Answer::Head(root)) => web_service(peer, root, tls).await,
        Spoken::Web(http::Answer::Foreign(Foreign::Tls)) if is_plain => Ok(First::OtherWay),
        Spoken::Web(_) => {
            let stranger = Stranger::new();
            match peer.associate("D01", stranger.request()).await? {
                answer @ (Answer::Accepted(..) | Answer::Rejected(_) | Answer::Aborted) => {
                    dicom_service(peer, host, stranger, answer, tls).await
                }
                _ if is_plain => Ok(First::OtherWay),
                _ => Ok(First::Port(unknown(peer, tls))),
            }
        }
    }
}

/// A web server that was spoken to in clear and wants TLS says so in clear.
fn wants_tls(root: &http::Response) -> bool {
    root.status == 400 && (root.has("HTTPS port") || root.has("TLS-enabled"))
}

async fn dicom_service(
    peer: Peer<'_>,
    host: HostView<'_>,
    stranger: Stranger,
    answer: Answer,
    tls: Option<Tls>,
) -> Result<First, Refusal> {
    let found = dicom::check(peer, &stranger, answer, host.called_ae).await?;
    let service = Service {
        level: found.level,
        proof: found.proof,
        read_level: found.read_level,
        tls,
        product: found.product,
        dicom: Some(found.dicom),
        studies: found.studies,
        ..service(peer.address.port(), Protocol::Dicom)
    };
    Ok(First::Port(Port::Open(Box::new(service), found.is_spared)))
}

async fn web_service(peer: Peer<'_>, root: http::Response, tls: Option<Tls>) -> Result<First, Refusal> {
    let found = web::check(peer, root).await?;
    Ok(First::Port(open(Service {
        level: found.level,
        proof: found.proof,
        read_level: found.read_level,
        tls,
        product: found.product,
        web: Some(found.web),
        studies: found.studies,
        images: found.images,
        ..service(peer.address.port(), Protocol::Http)
    })))
}

/// TLS that ends before anything was said: whoever asks for a certificate refuses, and that is level E1.
fn refused(peer: Peer<'_>, tls: Tls) -> Port {
    open(Service {
        level: Level::E1,
        read_level: Level::E1,
        tls: Some(tls),
        ..service(peer.address.port(), Protocol::Tls)
    })
}

/// It listens and says nothing that is understood.
fn unknown(peer: Peer<'_>, tls: Option<Tls>) -> Port {
    let protocol = if tls.is_some() { Protocol::Tls } else { Protocol::Other };
    open(Service { tls, ..service(peer.address.port(), protocol) })
}

fn open(service: Service) -> Port {
    Port::Open(Box::new(service), false)
}

fn service(port: u16, protocol: Protocol) -> Service {
    Service {
        port,
        protocol,
        level: Level::E0,
        proof: Proof::Proved,
        read_level: Level::E0,
        tls: None,
        product: Product::default(),
        dicom: None,
        web: None,
        studies: None,
        images: None,
    }
}
