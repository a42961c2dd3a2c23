//! The client's half, towards the browser.

use super::{STANDARD, accept_value, lists};
use crate::entropy;
use base64::Engine as _;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// Most bytes that hyper buffers for the head of an answer.
const MAX_HEAD: usize = 16 * 1024;

/// A stream that is upgraded.
#[derive(Debug)]
pub struct Connected<S> {
    /// The stream.
    pub io: S,
    /// Bytes that came together with the answer: relay them first.
    pub prefix: Bytes,
}

/// Why an upstream was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The authority or the path does not fit into a request.
    #[error("upstream handshake: the address {0:?} does not fit into a request")]
    Address(String),
    /// The connection failed.
    #[error("upstream handshake: the connection failed: {0}")]
    Io(io::ErrorKind),
    /// What came back is not HTTP, or its head is over 16 KiB.
    #[error("upstream handshake: the answer is not HTTP")]
    NotHttp,
    /// It answered, but not with 101.
    #[error("upstream handshake: answered {0} instead of 101")]
    Status(StatusCode),
    /// The 101 does not name the upgrade to `websocket`.
    #[error("upstream handshake: the 101 is not for websocket")]
    NotWebSocket,
    /// `Sec-WebSocket-Accept` is missing or does not answer our key.
    #[error("upstream handshake: Sec-WebSocket-Accept is missing or wrong")]
    Accept,
    /// It names an extension or a sub-protocol that we did not offer.
    #[error("upstream handshake: it insists on {0}")]
    NotOffered(&'static str),
}

impl HandshakeError {
    /// Name of the failure, fit for a metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Io(_) => "io",
            Self::NotHttp => "not_http",
            Self::Status(_) => "status",
            Self::NotWebSocket => "not_websocket",
            Self::Accept => "accept",
            Self::NotOffered(_) => "not_offered",
        }
    }
}

impl From<hyper::Error> for HandshakeError {
    fn from(error: hyper::Error) -> Self {
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                return Self::Io(io.kind());
            }
            source = inner.source();
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::Io(io::ErrorKind::UnexpectedEof);
        }
        Self::NotHttp
    }
}

/// Upgrades a connected stream. The request is built from nothing: `Host`, the upgrade, a fresh
/// key and the version are all it carries.
///
/// There is no timeout: wrap the call in one.
///
/// # Errors
///
/// Why the stream is not upgraded. It is dropped then.
///
/// # Cancel safety
///
/// Dropping the future drops the stream.
pub async fn connect<S>(
    stream: S,
    authority: &str,
    path: &str,
) -> Result<Connected<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let key = STANDARD.encode(entropy::bytes::<16>());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())
        .map_err(|_| HandshakeError::Address(format!("{authority}{path}")))?;

    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let mut talk = pin!(async {
        let response = sender.send_request(request).await?;
        check(&response, &key)?;
        Ok::<_, HandshakeError>(hyper::upgrade::on(response).await?)
    });
    // The connection does the work of the request, and ends with the upgrade it hands over.
    let connection = connection.with_upgrades();
    let upgraded = tokio::select! {
        biased;
        upgraded = &mut talk => upgraded?,
        ended = connection => match (talk.await, ended) {
            (Ok(upgraded), _) => upgraded,
            // The request only knows that its connection is gone; the connection knows why.
            (Err(HandshakeError::Io(_)), Err(error)) => return Err(error.into()),
            (Err(error), _) => return Err(error),
        },
    };
    let parts =
        upgraded.downcast::<TokioIo<S>>().map_err(|_| HandshakeError::Io(io::ErrorKind::Other))?;
    Ok(Connected { io: parts.io.into_inner(), prefix: parts.read_buf })
}

fn check<B>(response: &http::Response<B>, key: &str) -> Result<(), HandshakeError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Status(response.status()));
    }
    let headers = response.headers();
    if !lists(headers, header::UPGRADE, "websocket")
        || !lists(headers, header::CONNECTION, "upgrade")
    {
        return Err(HandshakeError::NotWebSocket);
    }
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT).ok_or(HandshakeError::Accept)?;
    if accept.as_bytes().trim_ascii() != accept_value(key.as_bytes()).as_bytes() {
        return Err(HandshakeError::Accept);
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(HandshakeError::NotOffered("an extension"));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(HandshakeError::NotOffered("a sub-protocol"));
    }
    Ok(())
}
