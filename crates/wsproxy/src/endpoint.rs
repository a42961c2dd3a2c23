//! One end of a session: a byte stream, and what the kernel knows about it.

use crate::limits::TcpTimers;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream the relay can drive.
///
/// Implemented for [`TcpStream`], which is the fast path, and for tokio's [`DuplexStream`]. Wrap
/// any other stream in [`Plain`]. With the feature `handshake` TLS on a `TcpStream` is one too.
pub trait Endpoint: AsyncRead + AsyncWrite + Unpin {
    /// Ready when a read is worth trying, so that an idle session borrows no buffer. A stream that
    /// cannot tell is always ready; the relay then tries with a borrowed buffer and gives it back.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Sets what the socket below should do: no delay, keep-alive, user timeout.
    ///
    /// # Errors
    ///
    /// Those of the socket. The relay logs them and goes on.
    fn configure(&self, timers: &TcpTimers) -> io::Result<()> {
        let _ = timers;
        Ok(())
    }

    /// Time since the peer's kernel last acknowledged anything. Tells a peer that does not read
    /// from one that is gone. `None` if nobody knows; the peer is then taken to be alive.
    fn since_last_ack(&self) -> Option<Duration> {
        None
    }

    /// The socket, if the bytes of this stream are what is on the wire and nothing is held in
    /// between. Long payloads between two such streams stay in the kernel.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Endpoint for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn configure(&self, timers: &TcpTimers) -> io::Result<()> {
        self.set_nodelay(true)?;
        crate::tcp::set_timers(self, timers)
    }

    fn since_last_ack(&self) -> Option<Duration> {
        crate::tcp::since_last_ack(self)
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Endpoint for DuplexStream {}

/// Makes an [`Endpoint`] of any stream.
#[derive(Debug)]
pub struct Plain<T>(
    /// The stream.
    pub T,
);

impl<T: AsyncRead + AsyncWrite + Unpin> Endpoint for Plain<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Plain<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Plain<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
