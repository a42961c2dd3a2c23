//! Pure: the server's half, towards the client.

use super::{STANDARD, accept_value, lists};
use base64::Engine as _;
use http::{HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};

/// Why an upgrade is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeRefused {
    /// The method is not GET.
    #[error("a WebSocket upgrade is a GET")]
    Method,
    /// The request is not HTTP/1.1.
    #[error("a WebSocket upgrade needs HTTP/1.1")]
    HttpVersion,
    /// `Connection: upgrade` or `Upgrade: websocket` is missing: an ordinary request.
    #[error("this address takes WebSocket upgrades only")]
    NotAnUpgrade,
    /// The protocol version is not 13.
    #[error("Sec-WebSocket-Version must be 13")]
    WebSocketVersion,
    /// The key is missing, or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
}

impl HandshakeRefused {
    /// Name of the refusal, fit for a metric label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::HttpVersion => "http_version",
            Self::NotAnUpgrade => "not_an_upgrade",
            Self::WebSocketVersion => "websocket_version",
            Self::Key => "key",
        }
    }

    /// The status that says so: 405, 426 or 400.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::HttpVersion | Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// The header that belongs to that status: `Allow`, `Upgrade`, or the version we speak.
    #[must_use]
    pub fn header(self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("GET"))),
            Self::NotAnUpgrade => Some((header::UPGRADE, HeaderValue::from_static("websocket"))),
            Self::WebSocketVersion => {
                Some((header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")))
            }
            Self::HttpVersion | Self::Key => None,
        }
    }
}

/// Checks a client's upgrade and makes the 101 that answers it. It names no extension and no
/// sub-protocol, whatever the client offers, so both are declined.
///
/// # Errors
///
/// What the request lacks.
pub fn accept(parts: &Parts) -> Result<Response<()>, HandshakeRefused> {
    if parts.method != Method::GET {
        return Err(HandshakeRefused::Method);
    }
    if !lists(&parts.headers, header::CONNECTION, "upgrade")
        || !lists(&parts.headers, header::UPGRADE, "websocket")
    {
        return Err(HandshakeRefused::NotAnUpgrade);
    }
    if parts.version != Version::HTTP_11 {
        return Err(HandshakeRefused::HttpVersion);
    }
    let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != b"13") {
        return Err(HandshakeRefused::WebSocketVersion);
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).ok_or(HandshakeRefused::Key)?;
    let key = key.as_bytes().trim_ascii();
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err(HandshakeRefused::Key);
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::try_from(accept_value(key)).map_err(|_| HandshakeRefused::Key)?;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}
