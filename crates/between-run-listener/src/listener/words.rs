//! Pure: what goes into and comes out of the machine.

use std::time::{Duration, Instant};

use super::{GiveUp, Reason};

/// What may differ between listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A stream that brings nothing for this long is left; none means never. Default 90 s.
    pub idle: Option<Duration>,
    /// The delay after a first failure. Default 1 s.
    pub retry_min: Option<Duration>,
    /// Connections in a row without progress before it gives up. Default 30: about eight minutes
    /// when refused at once.
    pub failures: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { idle: Some(Duration::from_secs(90)), retry_min: None, failures: 30 }
    }
}

/// What a listener is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Asking the runner for its stream.
    Connecting {
        /// Connections in a row without progress, this one included.
        attempt: u32,
    },
    /// Reading.
    Streaming {
        /// When the runner answered.
        since: Instant,
        /// Whether an event came, or bytes for long enough.
        progress: bool,
    },
    /// Waiting for the next attempt.
    Waiting {
        /// When that is.
        until: Instant,
        /// Connections in a row without progress.
        failures: u32,
    },
    /// It has ended by itself.
    GaveUp(GiveUp),
    /// It has been told to end.
    Cancelled,
}

impl State {
    /// A short name for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "connecting",
            Self::Streaming { .. } => "streaming",
            Self::Waiting { .. } => "waiting",
            Self::GaveUp(_) => "gave_up",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the listener has ended.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::GaveUp(_) | Self::Cancelled)
    }
}

/// An attempt that did not lead to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What the runner's `Retry-After` asks for.
    pub retry_after: Option<Duration>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, retry_after: None }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The runner answered with an event stream.
    Opened,
    /// The attempt failed.
    Failed(Failure),
    /// Bytes came, and the session has taken what was in them: reading goes on. So the idle timeout
    /// begins again here, and does not run while the session keeps us from reading.
    Bytes {
        /// How much of an oversize event has been skipped so far; 0 outside of one.
        skipped: u64,
    },
    /// An event was dispatched, or one that was too large has ended.
    Event,
    /// The runner's `retry` field.
    Retry(Duration),
    /// The stream ended.
    Ended(Reason),
    /// The deadline has come.
    Timer,
    /// Somebody wants the stream now.
    Kick,
    /// Somebody wants the listener to end.
    Cancel,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing new.
    Nothing,
    /// Begin an attempt.
    Connect,
    /// Drop the connection, if there is one, and wait for the deadline.
    Wait,
    /// Drop the connection and end.
    End,
}
