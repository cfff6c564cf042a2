//! A TCP stream that never keeps its peer waiting for an acknowledgement.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
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
#[derive(Debug)]
pub struct PromptTcp {
    stream: TcpStream,
}

impl PromptTcp {
    /// Takes over a connected stream.
    ///
    /// # Errors
    /// Where the operating system refuses TCP_NODELAY, which it does when the connection is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    #[cfg(target_os = "linux")]
    fn arm(&self) {
        // only a matter of speed: a read of a dead socket says so by itself
        let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
    }

    #[cfg(not(target_os = "linux"))]
    fn arm(&self) {}
}

impl AsyncRead for PromptTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.arm();
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
