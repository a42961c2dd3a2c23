//! Why a connection failed or ended, and whether trying again can help.

use std::fmt;

/// Why a connection to a runner failed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// 200 with another content type than an event stream, or none.
    ContentType,
    /// 204: the runner asks not to come back.
    StoppedByServer,
    /// A redirect without a usable address, or one too many.
    Redirect,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404, three times in a row.
    NotFound,
    /// 410.
    Gone,
    /// Any other status.
    Http(u16),
    /// The runner's certificate is not to be trusted.
    Tls,
    /// The address is not one that we may connect to.
    Blocked,
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// No way to the host or network.
    Unreachable,
    /// The host's name was not found.
    Dns,
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    HeaderTimeout,
    /// What came back is not HTTP.
    BadHttp,
    /// The TLS handshake or stream broke off.
    TlsBroken,
    /// The runner ended the stream.
    Ended,
    /// Nothing came for the idle timeout, not even a heartbeat.
    Idle,
    /// One event was so large, or took so long to skip, that the connection was closed.
    TooLarge,
    /// The session's log accepted nothing for too long.
    LogStalled,
    /// The session is closed.
    SessionClosed,
    /// The system refused us something, such as a file descriptor.
    Io,
}

impl Reason {
    /// A short name for metrics; `http` for every status that has no name of its own.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ContentType => "content_type",
            Self::StoppedByServer => "stopped_by_server",
            Self::Redirect => "redirect",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::Http(_) => "http",
            Self::Tls => "tls",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Dns => "dns",
            Self::ConnectTimeout => "connect_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::BadHttp => "bad_http",
            Self::TlsBroken => "tls_broken",
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::TooLarge => "too_large",
            Self::LogStalled => "log_stalled",
            Self::SessionClosed => "session_closed",
            Self::Io => "io",
        }
    }

    /// Whether asking again cannot help until somebody changes something.
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::ContentType
            | Self::StoppedByServer
            | Self::Redirect
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::Gone
            | Self::Tls
            | Self::Blocked
            | Self::SessionClosed => true,
            Self::Http(status) => !matches!(*status, 404 | 408 | 425 | 429 | 500..=599),
            Self::Refused
            | Self::Reset
            | Self::Unreachable
            | Self::Dns
            | Self::ConnectTimeout
            | Self::HeaderTimeout
            | Self::BadHttp
            | Self::TlsBroken
            | Self::Ended
            | Self::Idle
            | Self::TooLarge
            | Self::LogStalled
            | Self::Io => false,
        }
    }
}

impl fmt::Display for Reason {
    /// The kind, and the status where there is one: `http_503`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => write!(f, "http_{status}"),
            other => f.write_str(other.kind()),
        }
    }
}

/// Why a listener ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// Asking again cannot help.
    Permanent(Reason),
    /// Too many connections in a row without progress; this is how the last one ended.
    NoProgress(Reason),
    /// The listener itself failed: a defect of ours.
    Internal,
}

impl GiveUp {
    /// A short name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Permanent(reason) => reason.kind(),
            Self::NoProgress(_) => "no_progress",
            Self::Internal => "internal",
        }
    }

    /// Whether only a trigger starts it again; otherwise time does too.
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Permanent(_))
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(reason) => reason.fmt(f),
            Self::NoProgress(last) => write!(f, "no_progress: {last}"),
            Self::Internal => f.write_str("internal"),
        }
    }
}
