//! One stream: bytes in under deadlines, whole messages out.

use std::{future::pending, io, ops::Range, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::How;
use crate::{
    association::Violation,
    limits::{self, Timing},
    pdu::{Decoder, Incoming, Pdu, PduLimits},
};

/// What has come in; fragments are ranges of the buffer, see [`Connection::bytes`].
#[derive(Debug)]
pub(crate) enum Arrived {
    Pdu(Pdu),
    Data,
    Fragment { context_id: u8, is_command: bool, is_end: bool, range: Range<usize> },
}

/// For what the driver waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// The association request, until this moment.
    Request(Instant),
    /// The next message.
    Message,
    /// The rest of a message.
    Rest,
    /// Whatever the peer has to say while it is answered: it may be silent for as long as that takes.
    Operation,
}

#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: S,
    decoder: Decoder,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    timing: Timing,
    shutdown: watch::Receiver<bool>,
    pace: Pace,
    idle_since: Instant,
}

/// How fast the message under way comes. Only time spent waiting for the peer counts.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    pub(crate) fn new(stream: S, limits: PduLimits, timing: Timing, shutdown: watch::Receiver<bool>) -> Self {
        Self {
            stream,
            decoder: Decoder::new(limits),
            buffer: vec![0; limits::BUFFER_BEFORE_ASSOCIATION],
            start: 0,
            end: 0,
            timing,
            shutdown,
            pace: Pace::default(),
            idle_since: Instant::now(),
        }
    }

    /// The peer has its association: from now on large pieces pay.
    pub(crate) fn established(&mut self) {
        self.buffer.resize(limits::BUFFER, 0);
        self.message_done();
    }

    /// A message was answered: the next one is waited for.
    pub(crate) fn message_done(&mut self) {
        self.pace = Pace::default();
        self.idle_since = Instant::now();
    }

    /// Until when the peer may be silent between messages.
    pub(crate) fn patience_ends(&self) -> Instant {
        Instant::now() + self.timing.idle
    }

    /// How long the answer to a request for association or release may take.
    pub(crate) fn artim(&self) -> Duration {
        self.timing.artim
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        *self.shutdown.borrow()
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// The next PDU or fragment.
    pub(crate) async fn next(&mut self, patience: Patience) -> Result<Arrived, How> {
        loop {
            let input = self.buffer.get(self.start..self.end).unwrap_or_default();
            let step = self.decoder.next(input).map_err(Violation::Pdu)?;
            self.start = self.start.saturating_add(step.consumed);
            let arrived = match step.incoming {
                Some(Incoming::Pdu(pdu)) => Arrived::Pdu(pdu),
                Some(Incoming::Data) => Arrived::Data,
                Some(Incoming::Fragment { context_id, is_command, is_end, bytes }) => {
                    // a fragment is always the last that a step consumes
                    let range = self.start.saturating_sub(bytes.len())..self.start;
                    Arrived::Fragment { context_id, is_command, is_end, range }
                }
                None => {
                    self.fill(patience).await?;
                    continue;
                }
            };
            return Ok(arrived);
        }
    }

    async fn fill(&mut self, patience: Patience) -> Result<(), How> {
        // what is left over is less than a header
        self.buffer.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        let is_idle = self.end == 0 && !self.decoder.is_within_pdu();
        let read = match patience {
            Patience::Request(until) => {
                let read = timeout_at(until, self.read_or_shutdown()).await;
                read.map_err(|_| Violation::NoRequestInTime)??
            }
            Patience::Message if is_idle => {
                let until = self.idle_since + self.timing.idle;
                timeout_at(until, self.read_or_shutdown()).await.map_err(|_| Violation::Idle)??
            }
            Patience::Operation => self.read_or_shutdown().await?,
            Patience::Message | Patience::Rest => self.read_at_pace().await?,
        };
        self.end = self.end.saturating_add(read);
        Ok(())
    }

    async fn read_at_pace(&mut self) -> Result<usize, How> {
        loop {
            let left = self.timing.rate_window.saturating_sub(self.pace.waited);
            let began = Instant::now();
            let read = timeout(left, self.read()).await;
            self.pace.waited = self.pace.waited.saturating_add(began.elapsed());
            if let Ok(read) = read {
                let read = read?;
                self.pace.bytes = self.pace.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                return Ok(read);
            }
            if self.pace.bytes < self.timing.rate_window_bytes {
                return Err(Violation::TooSlow.into());
            }
            self.pace = Pace::default();
        }
    }

    async fn read_or_shutdown(&mut self) -> Result<usize, How> {
        let mut shutdown = self.shutdown.clone();
        let stops = async {
            if shutdown.wait_for(|is_stopping| *is_stopping).await.is_err() {
                // whoever could say so is gone
                pending::<()>().await;
            }
        };
        tokio::select! {
            read = self.read() => read,
            () = stops => Err(How::ShutDown),
        }
    }

    /// At least one byte. Safe to cancel.
    async fn read(&mut self) -> Result<usize, How> {
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(space).await {
            Ok(0) => Err(How::Closed),
            Ok(read) => Ok(read),
            Err(error) => Err(lost(&error)),
        }
    }

    /// One message: one write, one flush.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), How> {
        let sent = timeout(self.timing.write, async {
            self.stream.write_all(message).await?;
            self.stream.flush().await
        });
        sent.await.map_err(|_| Violation::DoesNotRead)?.map_err(|error| lost(&error))
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn end_sending(&mut self) {
        // the peer may be gone already, which is what is wanted
        let _ = timeout(self.timing.write, self.stream.shutdown()).await;
    }

    /// Sta13: what still comes is thrown away (AA-6) until the peer closes or ARTIM expires (AA-2). Closing at once
    /// with bytes unread would reset the connection and take our last PDU away from the peer.
    pub(crate) async fn await_close(&mut self) {
        let until = Instant::now() + self.timing.artim;
        self.end = 0;
        let mut left = limits::DRAINED_AFTER_ABORT;
        while let Ok(Ok(read)) = timeout_at(until, self.read()).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    }
}

/// A TLS peer that closes without a closing alert, or a reset, is a lost connection like any other.
fn lost(error: &io::Error) -> How {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => How::Closed,
        other => How::Io(other),
    }
}
