//! Where facts about a browser come from. Each source is a future that its owner runs and drops;
//! none starts a task that could outlive it.

mod child_stderr;
mod fixed;
mod http_poll;
mod log_follow;
mod notice;
mod port_file;
mod restart;
mod watch;

use std::time::Duration;

pub use child_stderr::{Announced, ChildStderr, Drained, MAX_STDERR_LINE, follow_child};
pub use fixed::Fixed;
pub use http_poll::HttpPoll;
pub use log_follow::LogFollow;
pub use port_file::PortFile;

/// How long a start may take until [`Cause::StartTimeout`](crate::Cause::StartTimeout). Slow hosts
/// need up to 20 s for a browser.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a ready browser is asked without a hint, by sources that see its end in no other way.
/// Each question wakes an idle browser.
pub const VERIFY_INTERVAL: Duration = Duration::from_secs(5);
/// How often a file is looked at when no notice comes.
pub const FILE_TICK: Duration = Duration::from_millis(500);

/// What several sources have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a start may take, [`START_TIMEOUT`] by default.
    pub start_timeout: Duration,
    /// How often a ready browser is asked without a hint, [`VERIFY_INTERVAL`] by default. `None`
    /// where somebody watches the process and applies its end: then only hints make it ask.
    pub verify_interval: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self { start_timeout: START_TIMEOUT, verify_interval: Some(VERIFY_INTERVAL) }
    }
}

#[cfg(test)]
mod tests;
