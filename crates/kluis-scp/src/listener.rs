//! The listener: takes connections, never waits for one, and stops gracefully.

use std::{net::IpAddr, sync::Arc, time::Duration};

use kluis_dicom::AeTitle;
use kluis_dimse::{driver::Config, limits::Timing, pdu::PduLimits};
use kluis_identity::{Backoff, Places, Room, Sparse, WaitingRoom};
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};
use tokio_rustls::TlsAcceptor;

use crate::{
    Edge,
    acceptor::acceptor,
    connection::{self, House, Shared},
    limits,
};

/// What a site may move.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our AE titles. A request that calls another one is rejected.
    pub called: Vec<AeTitle>,
    /// How long a peer is waited for.
    pub timing: Timing,
    /// Associations at a time.
    pub associations: usize,
    /// Associations at a time from one source address.
    pub associations_per_source: usize,
    /// Associations at a time of one device.
    pub associations_per_device: usize,
    /// Connections at a time that have no association.
    pub waiting: usize,
    /// For messages under way when the node stops.
    pub grace: Duration,
}

impl Settings {
    /// The shipped values, for these AE titles.
    #[must_use]
    pub fn new(called: Vec<AeTitle>) -> Self {
        Self {
            called,
            timing: Timing::default(),
            associations: limits::ASSOCIATIONS,
            associations_per_source: limits::ASSOCIATIONS_PER_SOURCE,
            associations_per_device: limits::ASSOCIATIONS_PER_DEVICE,
            waiting: limits::WAITING,
            grace: limits::GRACE,
        }
    }
}

/// Serves the listener until `shutdown` turns true, or its sender is gone; then takes no more connections, lets messages
/// under way finish, and returns within the grace time.
///
/// `tls` must demand a client certificate (`kluis_identity::tls::dimse_config`): a connection without one is closed.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    edge: Edge,
    settings: Settings,
    shutdown: watch::Receiver<bool>,
) {
    run(listener, tls, edge, settings, shutdown).await;
}

async fn run<H: House>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    house: H,
    settings: Settings,
    mut shutdown: watch::Receiver<bool>,
) {
    let shared = Arc::new(Shared {
        house,
        tls: TlsAcceptor::from(tls),
        config: Config {
            acceptor: acceptor(settings.called),
            timing: settings.timing,
            pdu_limits: PduLimits::default(),
        },
        sources: Places::new(Room {
            total: settings.associations,
            per_holder: settings.associations_per_source,
            kept: 0,
            few: 0,
        }),
        devices: Places::new(Room {
            total: settings.associations,
            per_holder: settings.associations_per_device,
            kept: limits::ASSOCIATIONS_KEPT.min(settings.associations / 4),
            few: limits::FEW_ASSOCIATIONS,
        }),
        backoff: Backoff::default(),
        failures: Sparse::default(),
    });
    let room = WaitingRoom::new(settings.waiting);
    let mut tasks = JoinSet::new();
    let (tell, told) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|is_stopping| *is_stopping) => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // most often no more open files; a connection that is gone again does no harm here either
                tracing::warn!(%error, "a connection could not be taken");
                room.send_away(limits::SENT_AWAY_WHEN_OUT_OF_FILES);
                tokio::time::sleep(limits::REST_WHEN_OUT_OF_FILES).await;
                continue;
            }
        };
        let source: IpAddr = from.ip().to_canonical();
        let guest = room.enter(source);
        let seat = guest.seat();
        let task = tasks.spawn(connection::serve(stream, guest, source, Arc::clone(&shared), told.clone()));
        room.seat(seat, Box::new(move || task.abort()));
    }
    drop(listener);
    room.send_all_away();
    tell.send_replace(true);
    let ended = timeout(settings.grace, async { while tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!(associations = tasks.len(), "cut off at the end of the grace time");
    }
    tasks.shutdown().await;
}

#[cfg(test)]
mod tests;
