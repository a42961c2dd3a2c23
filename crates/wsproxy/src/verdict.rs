//! Pure: what ended a session, on whose side, and how.

use crate::close::{CloseCode, CloseFrame};
use crate::rule::Rule;
use std::io;
use std::time::{Instant, SystemTime};

/// The side that ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The client.
    Client,
    /// The browser, or the way to it.
    Upstream,
    /// Neither peer: an order to stop, the idle timer, a panic.
    Context,
}

impl Cause {
    /// Lower-case name, fit for a metric label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Context => "context",
        }
    }
}

/// How that side ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detail {
    /// It sent a Close with this code, or without one.
    Closed {
        /// The code it sent.
        code: Option<u16>,
    },
    /// Its connection ended without a Close.
    Vanished(Vanished),
    /// It broke a rule of the protocol.
    ProtocolError {
        /// The rule.
        rule: Rule,
    },
    /// It sent a message over its limit.
    MessageTooLarge {
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// It is alive and did not take a byte for the time its limit allows.
    WriteStalled,
    /// An order to stop.
    Stopped {
        /// Who gave it.
        by: &'static str,
    },
    /// No data byte in either direction for the time `Limits::idle` allows.
    Idle,
    /// The relay panicked. Its own fault, never a peer's.
    Panicked,
}

impl Detail {
    /// Lower-case name, fit for a metric label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Vanished(_) => "vanished",
            Self::ProtocolError { .. } => "protocol_error",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::WriteStalled => "write_stalled",
            Self::Stopped { .. } => "stopped",
            Self::Idle => "idle",
            Self::Panicked => "panicked",
        }
    }
}

/// How a connection ended without a Close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vanished {
    /// End of file.
    Eof,
    /// Reset, or broken pipe.
    Reset,
    /// The kernel gave up on it, or it acknowledged nothing while a write stalled.
    TimedOut,
    /// The TLS layer failed.
    Tls,
}

impl Vanished {
    /// Lower-case name, fit for a metric label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Tls => "tls",
        }
    }

    /// Reads an I/O error. An unreachable host is how Linux reports a user timeout on a path that
    /// has gone; TLS layers report their own failures as invalid data.
    pub(crate) fn from_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Eof,
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::TimedOut,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Reset,
        }
    }
}

/// The event that ended a session. Pinned once; nothing that happens later changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The side that ended it.
    pub cause: Cause,
    /// How.
    pub detail: Detail,
    /// When, on the clock of tokio.
    pub at: Instant,
    /// When, on the wall clock.
    pub wall: SystemTime,
    /// The side that ended it left a frame of its own unfinished.
    pub mid_frame: bool,
    /// The Close that was read, if that was the event.
    pub close: Option<CloseFrame>,
}

impl Terminal {
    /// The Close for the client that follows from the event alone, for owners who know nothing
    /// more. `None` if the client is gone: nothing can be written to it.
    #[must_use]
    pub fn suggested_client_close(&self) -> Option<CloseFrame> {
        let new = |code, text: &str| Some(CloseFrame::new(code, text));
        match (self.cause, self.detail) {
            (Cause::Client, Detail::Closed { .. }) => {
                Some(self.close.as_ref().map_or_else(CloseFrame::empty, CloseFrame::echo))
            }
            (Cause::Upstream | Cause::Context, Detail::Closed { .. }) => {
                Some(self.close.clone().unwrap_or_default())
            }
            (Cause::Client, Detail::Vanished(_)) => None,
            (Cause::Upstream | Cause::Context, Detail::Vanished(_)) => {
                new(CloseCode::INTERNAL, "upstream connection lost")
            }
            (Cause::Client, Detail::ProtocolError { rule }) => new(rule.close_code(), rule.name()),
            (Cause::Upstream | Cause::Context, Detail::ProtocolError { .. }) => {
                new(CloseCode::INTERNAL, "upstream protocol error")
            }
            (Cause::Client | Cause::Context, Detail::MessageTooLarge { limit }) => {
                new(CloseCode::TOO_BIG, &format!("client message over {limit} bytes"))
            }
            (Cause::Upstream, Detail::MessageTooLarge { limit }) => {
                new(CloseCode::TOO_BIG, &format!("upstream message over {limit} bytes"))
            }
            (Cause::Client | Cause::Context, Detail::WriteStalled) => {
                new(CloseCode::POLICY, "client too slow")
            }
            (Cause::Upstream, Detail::WriteStalled) => {
                new(CloseCode::INTERNAL, "upstream does not read")
            }
            (Cause::Upstream, Detail::Stopped { .. }) => new(CloseCode::RESTART, "reconnect"),
            (Cause::Client | Cause::Context, Detail::Stopped { .. }) => {
                new(CloseCode::GOING_AWAY, "stopped")
            }
            (_, Detail::Idle) => new(CloseCode::GOING_AWAY, "idle"),
            (_, Detail::Panicked) => new(CloseCode::INTERNAL, "internal error"),
        }
    }

    /// The Close for the browser: an answer to its own, the client's passed on, or why we leave.
    /// `None` if it is gone or does not read.
    pub(crate) fn browser_close(&self) -> Option<CloseFrame> {
        let new = |code, text: &str| Some(CloseFrame::new(code, text));
        match (self.cause, self.detail) {
            (Cause::Upstream, Detail::Closed { .. }) => {
                Some(self.close.as_ref().map_or_else(CloseFrame::empty, CloseFrame::echo))
            }
            (Cause::Client | Cause::Context, Detail::Closed { .. }) => {
                Some(self.close.clone().unwrap_or_default())
            }
            (Cause::Upstream, Detail::Vanished(_) | Detail::WriteStalled) => None,
            (Cause::Upstream, Detail::ProtocolError { rule }) => {
                new(rule.close_code(), rule.name())
            }
            (Cause::Upstream, Detail::MessageTooLarge { .. }) => {
                new(CloseCode::TOO_BIG, "message too big")
            }
            (
                Cause::Client | Cause::Context,
                Detail::Vanished(_)
                | Detail::WriteStalled
                | Detail::ProtocolError { .. }
                | Detail::MessageTooLarge { .. },
            )
            | (_, Detail::Stopped { .. } | Detail::Idle | Detail::Panicked) => {
                new(CloseCode::GOING_AWAY, "")
            }
        }
    }
}

#[cfg(test)]
mod tests;
