//! From what hyper hands over after a 101 to a stream the relay can drive.

use crate::endpoint::Endpoint;
use crate::limits::TcpTimers;
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The client's stream after its upgrade.
#[derive(Debug)]
pub enum ClientStream {
    /// The TCP socket itself: the fast path.
    Tcp(TcpStream),
    /// TLS on a TCP socket.
    Tls(Box<TlsStream<TcpStream>>),
    /// Something else under hyper.
    Other(TokioIo<Upgraded>),
}

/// Takes the stream out of hyper, with the bytes that came together with the handshake.
///
/// The TCP socket itself is found if the connection was served by hyper's
/// `server::conn::http1` over `TokioIo<TcpStream>`, and the one below TLS if it was served over
/// `TokioIo<TlsStream<TcpStream>>`. Anything else stays inside hyper and works, without what the
/// kernel knows about the socket.
#[must_use]
pub fn into_stream(upgraded: Upgraded) -> (ClientStream, Bytes) {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return (ClientStream::Tcp(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
        Ok(parts) => (ClientStream::Tls(Box::new(parts.io.into_inner())), parts.read_buf),
        // Hyper itself gives the bytes it read first.
        Err(upgraded) => (ClientStream::Other(TokioIo::new(upgraded)), Bytes::new()),
    }
}

/// What the kernel knows is the socket's below; what is to be read may be here already.
impl Endpoint for TlsStream<TcpStream> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (tcp, session) = self.get_ref();
        // There is plaintext, or the peer has said that it sends no more.
        if !session.wants_read() {
            return Poll::Ready(Ok(()));
        }
        tcp.poll_readable(cx)
    }

    fn configure(&self, timers: &TcpTimers) -> io::Result<()> {
        self.get_ref().0.configure(timers)
    }

    fn since_last_ack(&self) -> Option<Duration> {
        self.get_ref().0.since_last_ack()
    }
}

impl Endpoint for ClientStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_readable(cx),
            Self::Tls(tls) => tls.poll_readable(cx),
            Self::Other(_) => Poll::Ready(Ok(())),
        }
    }

    fn configure(&self, timers: &TcpTimers) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.configure(timers),
            Self::Tls(tls) => tls.configure(timers),
            Self::Other(_) => Ok(()),
        }
    }

    fn since_last_ack(&self) -> Option<Duration> {
        match self {
            Self::Tcp(tcp) => tcp.since_last_ack(),
            Self::Tls(tls) => tls.since_last_ack(),
            Self::Other(_) => None,
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Tls(_) | Self::Other(_) => None,
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buf),
            Self::Other(other) => Pin::new(other).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, buf),
            Self::Other(other) => Pin::new(other).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
            Self::Other(other) => Pin::new(other).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
            Self::Other(other) => Pin::new(other).poll_shutdown(cx),
        }
    }
}
