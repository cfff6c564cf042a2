//! The only way out. Every connection of the inspector is made here, after everything that could forbid it was asked.
//!
//! Nothing else of the crate may open a socket. The address that is asked about is the one that is connected to: a name is
//! resolved once and never again.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    clock,
    journal::Journal,
    limits,
    pace::Pace,
    scope::{AddressRefusal, Class, Scope},
    stop::{Stop, StopReason},
};

/// What stands between a check and the network.
pub struct Guard {
    scope: Scope,
    pace: Pace,
    journal: Journal,
    stop: Stop,
    /// Public addresses that have shown today that the owner controls them.
    controlled: Mutex<BTreeSet<IpAddr>>,
}

/// What came of a connection.
#[derive(Debug)]
pub enum Connection {
    /// It stands; the number of its leaf.
    Open(TcpStream, u64),
    /// The host says that nobody listens there.
    Closed,
    /// Nothing came back.
    Silent,
    /// A neighbour or router says that there is no such host.
    Absent,
}

/// Why a connection was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The run ended.
    #[error("the run was stopped")]
    Stopped,
    /// The scope does not allow the address.
    #[error("{0}")]
    Address(#[from] AddressRefusal),
    /// The public address has not shown that the owner controls it.
    #[error("the public address does not show that it is controlled by who signed the scope")]
    NotControlled,
}

impl Guard {
    /// Between a signed scope and its journal.
    #[must_use]
    pub fn new(scope: Scope, journal: Journal, stop: Stop) -> Self {
        let pace = Pace::new(scope.file().care.connects_per_s);
        Self { scope, pace, journal, stop, controlled: Mutex::new(BTreeSet::new()) }
    }

    /// The scope.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The kill switch.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// How long a peer may take to answer.
    #[must_use]
    pub fn answer(&self) -> Duration {
        Duration::from_millis(u64::from(self.scope.file().care.answer_ms))
    }

    /// Connects, if nothing forbids it.
    ///
    /// # Errors
    /// [`Refusal`]; it is in the journal.
    pub async fn connect(&self, to: SocketAddr, check: &str) -> Result<Connection, Refusal> {
        let class = self.ask(to, check)?;
        if class == Class::Public && !self.is_controlled(to.ip()) {
            return Err(self.refuse(to, check, Refusal::NotControlled));
        }
        self.go(to, check).await
    }

    /// Whether this address may be connected to at all; a refusal is in the journal.
    pub(crate) fn permit(&self, to: SocketAddr) -> Result<Class, Refusal> {
        self.ask(to, "scope")
    }

    /// A public address did not show that it is controlled.
    pub(crate) fn refuse_control(&self, address: IpAddr) -> Refusal {
        self.refuse(SocketAddr::new(address, 0), CONTROL, Refusal::NotControlled)
    }

    /// Connects to a public address to ask whether it is controlled: the one thing that is asked of it before.
    pub(crate) async fn connect_for_control(&self, to: SocketAddr) -> Result<Connection, Refusal> {
        self.ask(to, CONTROL)?;
        self.go(to, CONTROL).await
    }

    /// The address has shown that it is controlled.
    pub(crate) fn take_as_controlled(&self, address: IpAddr) {
        self.controlled.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }

    fn is_controlled(&self, address: IpAddr) -> bool {
        self.controlled.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// Everything that can be asked before the moment of the connection.
    fn ask(&self, to: SocketAddr, check: &str) -> Result<Class, Refusal> {
        self.scope.allows(to.ip()).map_err(|reason| self.refuse(to, check, reason.into()))
    }

    async fn go(&self, to: SocketAddr, check: &str) -> Result<Connection, Refusal> {
        tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Refusal::Stopped),
            () = tokio::time::sleep_until(self.pace.moment()) => {}
        }
        let now = clock::now();
        if now >= self.scope.file().valid_until {
            self.stop.now(StopReason::Expired);
        } else if !self.scope.hours().are_open(now) {
            self.stop.now(StopReason::Hours);
        }
        if self.stop.reason().is_some() {
            return Err(Refusal::Stopped);
        }
        let Ok(probe) = self.journal.probe(now, to, check) else {
            self.stop.now(StopReason::Log);
            return Err(Refusal::Stopped);
        };
        let connection = tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Refusal::Stopped),
            connection = timeout(limits::CONNECT, TcpStream::connect(to)) => connection,
        };
        let (connection, outcome) = match connection {
            Ok(Ok(stream)) => (Connection::Open(stream, probe), "open"),
            Ok(Err(error)) => not_open(&error),
            Err(_) => (Connection::Silent, "silent"),
        };
        if let Connection::Open(stream, _) = &connection {
            // a request is one write; nothing is gained by waiting for more
            let _ = stream.set_nodelay(true);
        }
        self.note(probe, outcome);
        Ok(connection)
    }

    /// Writes down what came of a connection. What was sent is logged already: a log that fails ends the run.
    pub(crate) fn note(&self, probe: u64, outcome: &str) {
        if self.journal.answer(clock::now(), probe, outcome).is_err() {
            self.stop.now(StopReason::Log);
        }
    }

    fn refuse(&self, to: SocketAddr, check: &str, reason: Refusal) -> Refusal {
        if self.journal.refusal(clock::now(), to, check, &reason.to_string()).is_err() {
            self.stop.now(StopReason::Log);
        }
        reason
    }
}

/// Name of the question whether a public address is controlled.
pub(crate) const CONTROL: &str = "control";

fn not_open(error: &io::Error) -> (Connection, &'static str) {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    match error.kind() {
        ConnectionRefused | ConnectionReset => (Connection::Closed, "closed"),
        HostUnreachable | NetworkUnreachable => (Connection::Absent, "absent"),
        _ => (Connection::Silent, "silent"),
    }
}
