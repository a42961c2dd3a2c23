//! Why a request to a runner got no answer.

use std::io;

use crate::listener::Reason;

use super::guard::Blocked;
use super::wire::BadHttp;

/// Why a request got no answer, or its answer's body broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The guard forbids the place.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// No connection; no byte of the request was sent.
    #[error("the runner cannot be reached: {reason}")]
    Connect {
        /// Why.
        reason: Reason,
    },
    /// The connection failed after the request was begun.
    #[error("the connection to the runner failed: {reason}")]
    Broken {
        /// Why.
        reason: Reason,
    },
    /// Nothing, or not the whole head of an answer, came in time.
    #[error("the runner sent no answer in time")]
    HeaderTimeout,
    /// What came is not HTTP.
    #[error("the runner's answer is not HTTP/1.1: {what}")]
    BadHttp {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The caller's token was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
}

impl SendError {
    /// A short name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            Self::Connect { reason } | Self::Broken { reason } => reason.kind(),
            Self::HeaderTimeout => "header_timeout",
            Self::BadHttp { .. } => "bad_http",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the same request can be sent again: no byte of it was, and trying can help.
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { reason } => !reason.is_permanent(),
            Self::Blocked(_)
            | Self::Broken { .. }
            | Self::HeaderTimeout
            | Self::BadHttp { .. }
            | Self::Cancelled => false,
        }
    }

    /// As a listener says it.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Blocked(_) => Reason::Blocked,
            Self::Connect { reason } | Self::Broken { reason } => *reason,
            Self::HeaderTimeout => Reason::HeaderTimeout,
            Self::BadHttp { .. } => Reason::BadHttp,
            Self::Cancelled => Reason::SessionClosed,
        }
    }
}

impl From<BadHttp> for SendError {
    fn from(bad: BadHttp) -> Self {
        Self::BadHttp { what: bad.what }
    }
}

/// Why a body was not collected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// It broke off.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It is larger than the caller takes.
    #[error("the runner's answer is larger than {limit} bytes")]
    TooLarge {
        /// What the caller takes.
        limit: usize,
    },
}

/// What an error of the system means.
pub(super) fn io_reason(error: &io::Error) -> Reason {
    use io::ErrorKind as Kind;
    if let Some(tls) = tls_error(error) {
        return match tls {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Reason::Tls
            }
            _ => Reason::TlsBroken,
        };
    }
    match error.kind() {
        Kind::ConnectionRefused => Reason::Refused,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => Reason::Reset,
        // Timed out: keep-alive probes or sent bytes found no answer.
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::TimedOut => {
            Reason::Unreachable
        }
        _ => Reason::Io,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
