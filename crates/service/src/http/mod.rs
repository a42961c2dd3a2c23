//! Serving axum routes on a TCP listener: limits, timeouts, a graceful end, no task left behind.
//!
//! HTTP/1.1 with upgrades, and HTTP/2 for clients that begin with its preface; both plain or over TLS,
//! where ALPN offers them. A connection that was upgraded downcasts to
//! `hyper_util::rt::TokioIo<tokio::net::TcpStream>`, exactly what was accepted, and one with TLS to
//! `TokioIo<tokio_rustls::server::TlsStream<TcpStream>>`.

mod connection;
mod handshake;
mod head_timer;
mod http2;
mod in_time;
mod metrics;
mod observe;
mod server;
mod tls;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

pub use metrics::HttpMetrics;
pub use observe::observe_requests;
pub use server::{HttpReport, HttpServer, HttpStop};
pub use tls::{PemFile, Tls, TlsError};

/// What one listener puts up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Time for a whole request head, from its first byte on; the first one counts from the accept,
    /// or from the end of the TLS handshake, which has as much. Over it: 408, or closed in a handshake.
    pub header_timeout: Duration,
    /// Time for a whole request body, from the end of its head on. Over it: 408.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is on its way to it; then its connection ends. On
    /// Linux only. Of an HTTP/2 connection it is the connection that has to be read, not each stream.
    pub stall_timeout: Duration,
    /// Size of a request head in bytes. Over it: 431.
    pub header_bytes: usize,
    /// Number of header fields. Over it: 431.
    pub headers: usize,
    /// Size of a request body in bytes. Over it: 413.
    pub body_bytes: usize,
    /// Connections at once, those in a TLS handshake too, upgraded ones not. Over it: 503 and closed,
    /// over TLS closed without a word.
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection; more are refused one by one.
    pub streams: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            header_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
            connections: 4096,
            streams: 100,
        }
    }
}

/// Why an address could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error(
        "{address} is taken by another process; stop it, or choose another address with {setting}"
    )]
    Taken {
        /// Which address.
        address: SocketAddr,
        /// The setting it came from.
        setting: &'static str,
    },
    /// Ports below 1024 need a right.
    #[error("{address} may not be used by this user; choose a port above 1023 with {setting}")]
    Forbidden {
        /// Which address.
        address: SocketAddr,
        /// The setting it came from.
        setting: &'static str,
    },
    /// The machine has no such address, or something else is wrong.
    #[error("{address} cannot be listened on: {cause}; change it with {setting}")]
    Other {
        /// Which address.
        address: SocketAddr,
        /// The setting it came from.
        setting: &'static str,
        /// What the system says.
        cause: String,
    },
}

impl BindError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "address_taken",
            Self::Forbidden { .. } => "address_forbidden",
            Self::Other { .. } => "address_unusable",
        }
    }
}

/// Listens on `address`, which came from the setting `setting` (its full name, for the message).
///
/// # Errors
/// When it cannot, with the remedy.
///
/// # Cancel safety
/// Dropping the future leaves nothing bound.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => BindError::Taken { address, setting },
        std::io::ErrorKind::PermissionDenied => BindError::Forbidden { address, setting },
        _ => BindError::Other { address, setting, cause: error.to_string() },
    })
}
