//! A TCP stream that never keeps its peer waiting for an acknowledgement.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP stream with TCP_NODELAY, and with TCP_QUICKACK armed again before each read.
///
/// Most peers in the field leave Nagle's algorithm on and write head and body of a PDU separately: their body then
/// waits 40 ms for our delayed acknowledgement. The kernel leaves quick acknowledgement again by itself, hence before
/// each read. TLS goes on top of this type, so that its handshake gains as well.
///
/// TLS asks for 4 KiB at a time. Where a peer has more to say than that, up to 32 KiB are read at once, so that
/// half a megabyte of image costs a dozen calls of the kernel and not two hundred and fifty.
#[derive(Debug)]
pub struct PromptTcp {
    stream: TcpStream,
    /// Read ahead; empty until a peer has filled a whole read.
    ahead: Box<[u8]>,
    from: usize,
    to: usize,
}

/// Bytes read ahead of what was asked for.
const AHEAD: usize = 32 * 1024;

impl PromptTcp {
    /// Takes over a connected stream.
    ///
    /// # Errors
    /// Where the operating system refuses TCP_NODELAY, which it does when the connection is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: Box::default(), from: 0, to: 0 })
    }

    #[cfg(target_os = "linux")]
    fn arm(&self) {
        // only a matter of speed: a read of a dead socket says so by itself
        let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
    }

    #[cfg(not(target_os = "linux"))]
    fn arm(&self) {}

    /// Gives what was read ahead. False where there is nothing.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let ahead = self.ahead.get(self.from..self.to).unwrap_or_default();
        let now = ahead.get(..ahead.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(now);
        self.from = self.from.saturating_add(now.len());
        !now.is_empty()
    }
}

impl AsyncRead for PromptTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.give(buf) || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        this.arm();
        if this.ahead.is_empty() || buf.remaining() >= AHEAD {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if this.ahead.is_empty() && buf.remaining() == 0 && buf.filled().len().saturating_sub(before) < AHEAD {
                this.ahead = vec![0; AHEAD].into_boxed_slice();
                (this.from, this.to) = (0, 0);
            }
            return Poll::Ready(Ok(()));
        }
        let mut ahead = ReadBuf::new(&mut this.ahead);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut ahead))?;
        (this.from, this.to) = (0, ahead.filled().len());
        this.give(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PromptTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Whatever is asked for at a time, the bytes come in order and the end is an end.
    #[tokio::test]
    async fn bytes_read_ahead_come_in_order() {
        let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        for step in [1_000, 4_096, 70_000] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = PromptTcp::new(listener.accept().await.unwrap().0).unwrap();
            let bytes = sent.clone();
            let sender = tokio::spawn(async move {
                peer.write_all(&bytes).await.unwrap();
                peer.shutdown().await.unwrap();
            });
            let (mut received, mut buffer) = (Vec::new(), vec![0; step]);
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => received.extend_from_slice(&buffer[..read]),
                }
            }
            sender.await.unwrap();
            assert!(received == sent, "{step} bytes at a time");
        }
    }
}
