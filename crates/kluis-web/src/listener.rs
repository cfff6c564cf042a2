//! The accept loops: HTTPS for everyone, a local socket for the owner of the data directory.
//!
//! Each connection has its own task from the first byte on, so a silent one holds up nobody. What is not yet encrypted
//! or is idle is bounded in number (in all, and by source), in time and in memory.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use kluis_policy::Door;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::{App, call::Peer, idle::IdleGuard, limits, routes::router};

/// Why a listener ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The socket failed.
    #[error("the listener failed")]
    Io(#[from] io::Error),
}

/// Protocols that are offered in the handshake (RFC 7301), best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Serves HTTPS until `stop` becomes true or its sender is gone; then lets open requests finish for
/// [`limits::DRAIN`].
///
/// # Errors
/// [`ListenError`] where the socket is of no further use.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    app: App,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ListenError> {
    let mut config = ServerConfig::clone(&tls);
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    let door = Doorway::new(TlsAcceptor::from(Arc::new(config)), app, stop.clone());
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = door.admit(peer.ip().to_canonical()) {
                    tasks.spawn(door.clone().connection(stream, place));
                }
            }
            Err(error) => pause_after(&error).await?,
        }
    }
    drop(listener);
    drain(tasks).await;
    Ok(())
}

/// Serves the control door on a local socket until `stop` becomes true. Whoever can open the socket is the owner: the
/// file must be the owner's alone (mode 0600).
///
/// # Errors
/// [`ListenError`] where the socket is of no further use.
pub async fn serve_control(
    listener: UnixListener,
    app: App,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ListenError> {
    let service = router(app, Door::Control);
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, service.clone(), None, Protocol::Http1, stop.clone()));
            }
            Err(error) => pause_after(&error).await?,
        }
    }
    drop(listener);
    drain(tasks).await;
    Ok(())
}

/// Ends when the node stops; also when nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

/// Lets open requests finish, for a while.
async fn drain(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(limits::DRAIN, all).await.is_err() {
        tracing::warn!("open requests were cut off");
    }
    tasks.shutdown().await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Serves one connection to its end; when the node stops, to the end of its open requests.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    service: Router,
    peer: Option<Peer>,
    protocol: Protocol,
    mut stop: watch::Receiver<bool>,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        service.clone().oneshot(request)
    });
    let builder = builder(protocol);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended early");
    }
}

fn builder(protocol: Protocol) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD)
        .max_headers(limits::HEADER_FIELDS)
        .max_buf_size(limits::HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(u32::try_from(limits::HEADER_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

/// Running out of descriptors passes; other errors of a listening socket do not.
async fn pause_after(error: &io::Error) -> Result<(), ListenError> {
    tracing::warn!(error = %error, "a connection could not be accepted");
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected => Err(io::Error::from(error.kind()).into()),
        _ => {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Ok(())
        }
    }
}

/// The HTTPS door.
#[derive(Clone)]
struct Doorway {
    acceptor: TlsAcceptor,
    app: App,
    service: Router,
    room: Arc<Semaphore>,
    sources: Arc<Sources>,
    stop: watch::Receiver<bool>,
}

/// A connection's place among the others; given back when dropped.
struct Place {
    _room: OwnedSemaphorePermit,
    sources: Arc<Sources>,
    source: IpAddr,
}

#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, usize>>);

impl Doorway {
    fn new(acceptor: TlsAcceptor, app: App, stop: watch::Receiver<bool>) -> Self {
        Self {
            acceptor,
            service: router(app.clone(), Door::Web),
            app,
            room: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            sources: Arc::new(Sources::default()),
            stop,
        }
    }

    /// A place for a connection from this source, unless there are too many: then it is closed at once.
    fn admit(&self, source: IpAddr) -> Option<Place> {
        let metrics = self.app.metrics();
        let place = Arc::clone(&self.room)
            .try_acquire_owned()
            .ok()
            .filter(|_| self.sources.enter(source))
            .map(|room| Place { _room: room, sources: Arc::clone(&self.sources), source });
        let counter = if place.is_some() { &metrics.connections } else { &metrics.connections_refused };
        counter.fetch_add(1, Ordering::Relaxed);
        place
    }

    async fn connection(self, stream: TcpStream, place: Place) {
        let local_port = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
            Ok(address) => address.port(),
            Err(error) => {
                tracing::debug!(error = %error, "a connection cannot be set up");
                return;
            }
        };
        let stream = match timeout(limits::HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(peer = %place.source, error = %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(peer = %place.source, "TLS handshake too slow");
                return;
            }
        };
        // what was agreed in the handshake holds: the first bytes are not guessed at
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let stream = IdleGuard::new(stream, limits::SILENCE);
        serve(stream, self.service, Some(Peer { address: place.source, local_port }), protocol, self.stop).await;
    }
}

impl Sources {
    fn enter(&self, source: IpAddr) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_insert(0);
        if *count >= limits::CONNECTIONS_PER_SOURCE {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, source: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sources.leave(self.source);
    }
}
