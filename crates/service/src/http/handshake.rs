//! From a TCP connection to one with TLS, within a time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Tls;
use super::connection::{DISCARD_BYTES, DISCARD_TIME};

/// What is said to who speaks plain HTTP here.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
content-type: text/plain; charset=utf-8\r\ncontent-length: 65\r\n\r\n\
this port speaks TLS: use https:// for http://, wss:// for ws://\n";

/// Shakes hands. `None`: the client spoke no TLS, or was not ready within `limit`, or `stop` was
/// cancelled; nothing is left to do then.
pub(super) async fn shake(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &Tls,
    limit: Duration,
    stop: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let shaken = async {
        if speaks_http(&stream).await? {
            refuse(stream).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on a TLS port"));
        }
        TlsAcceptor::from(tls.config()).accept(stream).await
    };
    let shaken = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        shaken = timeout(limit, shaken) => shaken.unwrap_or_else(|late| Err(late.into())),
    };
    shaken
        .inspect_err(|error| tracing::debug!(peer = %peer, error = %error, "no TLS connection"))
        .ok()
}

/// Whether what comes first is a letter of a method; no TLS record begins with one (RFC 8446
/// section 5.1).
async fn speaks_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let seen = stream.peek(&mut first).await?;
    Ok(seen == 1 && first[0].is_ascii_uppercase())
}

/// Best effort: what was sent is read away, because a close with unread data is a reset and would
/// take the answer with it.
async fn refuse(mut stream: TcpStream) {
    if stream.write_all(PLAIN).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut sent = stream.take(DISCARD_BYTES as u64);
        let _ = timeout(DISCARD_TIME, tokio::io::copy(&mut sent, &mut tokio::io::sink())).await;
    }
}
