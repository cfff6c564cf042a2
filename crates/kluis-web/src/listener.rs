//! The accept loops: HTTPS for everyone, a local socket for the owner of the data directory.
//!
//! Each connection has its own task from the first byte on, so a silent one holds up nobody. Those on which nobody has
//! proved an identity wait in a room of bounded size, out of which a flood pushes itself; see [`crate::stay`].

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use kluis_identity::{Guest, Places, Room, SendAway, Sparse, WaitingRoom};
use kluis_policy::Door;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt as _;

use crate::{
    App,
    call::Peer,
    idle::IdleGuard,
    limits,
    routes::router,
    stay::{Held, LAST_WORDS, Stay},
};

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
                let source = peer.ip().to_canonical();
                let guest = door.room.enter(source);
                let seat = guest.seat();
                let task = tasks.spawn(door.clone().connection(stream, source, guest));
                door.room.seat(seat, door.means_to_end(task));
            }
            Err(error) => {
                // most often no more open files
                door.room.send_away(limits::SENT_AWAY_WHEN_OUT_OF_FILES);
                pause_after(&error).await?;
            }
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

/// Serves one connection to its end; when the node stops, or it is overdue, to the end of its open requests.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    service: Router,
    client: Option<(Peer, Arc<Stay>)>,
    protocol: Protocol,
    mut stop: watch::Receiver<bool>,
) {
    let stay = client.as_ref().map(|(_, stay)| Arc::clone(stay));
    let answer = service_fn(move |request: Request<Incoming>| answer(service.clone(), client.clone(), request));
    let builder = builder(protocol);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let overdue = async {
        match &stay {
            Some(stay) => stay.overdue().await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = overdue => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended early");
    }
}

/// Answers one request; its turn ends with the last byte of the answer.
async fn answer(
    service: Router,
    client: Option<(Peer, Arc<Stay>)>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    let Some((peer, stay)) = client else { return service.oneshot(request).await };
    let turn = stay.begin();
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(Arc::clone(&turn));
    let response = service.oneshot(request).await?;
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _under_way = &turn;
            frame
        }))
    }))
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
        .max_pending_accept_reset_streams(limits::PENDING_RESETS)
        .max_local_error_reset_streams(limits::FAULT_RESETS)
        .max_send_buf_size(limits::SEND_BUFFER_BYTES)
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
    room: Arc<WaitingRoom>,
    held: Held,
    failures: Arc<Sparse>,
    stop: watch::Receiver<bool>,
}

impl Doorway {
    fn new(acceptor: TlsAcceptor, app: App, stop: watch::Receiver<bool>) -> Self {
        let settings = app.settings();
        let connections = Room {
            total: settings.connections,
            per_holder: limits::CONNECTIONS_PER_IDENTITY,
            kept: limits::CONNECTIONS_KEPT.min(settings.connections / 4),
            few: limits::FEW_CONNECTIONS,
        };
        let requests = Room {
            total: limits::REQUESTS,
            per_holder: limits::REQUESTS_PER_IDENTITY,
            kept: limits::REQUESTS_KEPT,
            few: limits::FEW_REQUESTS,
        };
        Self {
            acceptor,
            service: router(app.clone(), Door::Web),
            room: WaitingRoom::new(settings.waiting),
            held: Held { connections: Places::new(connections), requests: Places::new(requests) },
            failures: Arc::new(Sparse::default()),
            app,
            stop,
        }
    }

    fn means_to_end(&self, task: AbortHandle) -> SendAway {
        let app = self.app.clone();
        Box::new(move || {
            app.metrics().connections_refused.fetch_add(1, Ordering::Relaxed);
            task.abort();
        })
    }

    /// A line about a connection that was of no use: a flood of them writes few.
    fn tell(&self, source: IpAddr, cause: &dyn std::fmt::Display) {
        if let Some(passed_over) = self.failures.admit(Instant::now().into_std()) {
            tracing::info!(%source, %cause, passed_over, "no TLS at the HTTPS door");
        }
    }

    async fn connection(self, stream: TcpStream, source: IpAddr, guest: Guest) {
        self.app.metrics().connections.fetch_add(1, Ordering::Relaxed);
        let local_port = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
            Ok(address) => address.port(),
            Err(error) => {
                tracing::debug!(error = %error, "a connection cannot be set up");
                return;
            }
        };
        let Some(stream) = self.shake_hands(stream, source).await else { return };
        // what was agreed in the handshake holds: the first bytes are not guessed at
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let stay = Stay::new(guest, self.held);
        let stream = IdleGuard::new(stream, limits::SILENCE, Arc::clone(&stay));
        serve(stream, self.service, Some((Peer { address: source, local_port }, stay)), protocol, self.stop).await;
    }

    async fn shake_hands(&self, stream: TcpStream, source: IpAddr) -> Option<TlsStream<TcpStream>> {
        let until = Instant::now() + limits::HANDSHAKE;
        // a silent connection costs its task and its socket; memory for TLS is taken at its first byte
        let mut first = [0];
        match timeout_at(until, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            _ => return None,
        }
        match timeout_at(until, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => self.tell(source, &error),
            Err(_) => self.tell(source, &"the TLS handshake was too slow"),
        }
        None
    }
}
