//! One listener: it connects to a session's runner, reads its event stream and connects again.

mod machine;
mod reason;

use std::time::Instant;

pub use machine::{Action, Failure, Input, Machine, Rules, State};
pub use reason::{GiveUp, Reason};

/// Where a listener stands, for people and for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Which listener; no other of this process has the same.
    pub generation: u64,
    /// What it is doing.
    pub state: State,
    /// Since when it has been in this state.
    pub since: Instant,
    /// Connections in a row without progress.
    pub failures: u32,
    /// How the last connection failed or ended, if one did.
    pub reason: Option<Reason>,
    /// When the last byte came.
    pub last_byte: Option<Instant>,
    /// What it has read so far.
    pub counts: Counts,
}

/// What one listener has read and done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections begun.
    pub attempts: u64,
    /// Connections that were answered with an event stream.
    pub connections: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Events handed to the session.
    pub events: u64,
    /// Events lost because they were too large.
    pub losses: u64,
}
