//! A connection on which nothing moves in either direction is closed: a peer that neither sends nor reads costs nothing
//! for long. HTTP/2 peers that are only quiet answer the pings of the server, which moves bytes. One that sends much
//! before anybody proves an identity is closed too.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::stay::Stay;

/// A stream with a longest silence.
pub(crate) struct IdleGuard<S> {
    stream: S,
    longest: Duration,
    alarm: Pin<Box<Sleep>>,
    stay: Arc<Stay>,
}

impl<S> IdleGuard<S> {
    pub(crate) fn new(stream: S, longest: Duration, stay: Arc<Stay>) -> Self {
        Self { stream, longest, alarm: Box::pin(tokio::time::sleep(longest)), stay }
    }

    /// Moves the alarm where something moved; looks at it where nothing did.
    fn watch<T>(&mut self, poll: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            let next = Instant::now() + self.longest;
            self.alarm.as_mut().reset(next);
            return poll;
        }
        match self.alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if !self.stay.came(buf.filled().len().saturating_sub(before)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.watch(poll, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(poll, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // a flush of nothing is ready at once and says nothing about the peer
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.watch(Poll::Pending, cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.watch(Poll::Pending, cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(poll, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::stay::testing::stay;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_bytes_keep_it() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = IdleGuard::new(near, Duration::from_secs(10), stay());
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(8)).await;
            far.write_all(b"x").await.unwrap();
            near.read_exact(&mut byte).await.unwrap();
        }
        let error = near.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_ends_a_connection() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = IdleGuard::new(near, Duration::from_secs(10), stay());
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
