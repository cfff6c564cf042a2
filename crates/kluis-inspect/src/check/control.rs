//! Whether a public address is controlled by who signed the scope: it serves the signer's verifier key under a path of its
//! own (RFC 8615). Asked anew in each run, of each address, and nothing else is asked before.

use std::net::{IpAddr, SocketAddr};

use crate::{
    guard::{Connection, Guard, Refusal},
    wire::{
        Stream, http,
        tls::{self, Handshake},
    },
};

/// Where the key is served.
pub(crate) const PATH: &str = "/.well-known/kluis-inspect";
/// A verifier key and its line end.
const BODY_MAX: usize = 1_024;

/// Asks over HTTP, then over HTTPS. `true` where one of them shows the key.
pub(crate) async fn is_controlled(guard: &Guard, address: IpAddr, name: Option<&str>) -> Result<bool, Refusal> {
    for port in [80, 443] {
        let to = SocketAddr::new(address, port);
        let Connection::Open(stream, probe) = guard.connect_for_control(to).await? else { continue };
        let stream: Box<dyn Stream> = if port == 80 {
            Box::new(stream)
        } else {
            match tls::handshake(stream, address, name, guard.answer()).await {
                Handshake::Open(stream, _) => stream,
                _ => continue,
            }
        };
        let host = name.map_or_else(|| to.to_string(), str::to_owned);
        let request = http::Request { method: "GET", target: PATH, host: &host, headers: "", body: BODY_MAX };
        let http::Answer::Head(response) = http::ask(stream, request, guard.answer()).await else { continue };
        let shown = String::from_utf8_lossy(&response.body);
        let is_shown = response.status == 200 && shown.lines().any(|line| line.trim() == guard.scope().signer());
        guard.note(probe, if is_shown { "controlled" } else { "not controlled" });
        if is_shown {
            guard.take_as_controlled(address);
            return Ok(true);
        }
    }
    Ok(false)
}
