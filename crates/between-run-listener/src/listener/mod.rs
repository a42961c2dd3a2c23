//! One listener: it connects to a session's runner, reads its event stream and connects again.
//!
//! [`Machine`] decides, without a clock or a socket; the task around it does what it says, with one
//! socket and one timer at a time. [`Registry`](crate::registry::Registry) starts and ends them.

mod board;
mod machine;
mod reason;
mod task;
mod words;

use std::sync::Arc;
use std::time::Instant;

use crate::feed::Feed;
use crate::http::Target;
use crate::sse::Limits;

pub(crate) use board::Board;
pub(crate) use task::Task;

pub use machine::Machine;
pub use reason::{GiveUp, Reason};
pub use words::{Action, Failure, Input, Rules, State};

/// What one listener reads, and for whom.
#[derive(Clone)]
pub struct Setup {
    /// Where the stream is.
    pub target: Target,
    /// When to connect, wait and give up.
    pub rules: Rules,
    /// How large an event may be.
    pub limits: Limits,
    /// Who takes what is read.
    pub feed: Arc<dyn Feed>,
}

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
    /// When the last event came; heartbeats do not count.
    pub last_event: Option<Instant>,
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
