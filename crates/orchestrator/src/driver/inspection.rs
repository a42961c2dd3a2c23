//! What can be seen of an instance from outside.

use std::time::Duration;

/// What an instance uses and says. What cannot be read is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Proportional share of memory in bytes, its runner's too.
    pub memory: Option<u64>,
    /// Processor time of the processes that live, and of their children that were waited for.
    pub cpu: Option<Duration>,
    /// How many processes there are.
    pub processes: Option<u64>,
    /// Its profile in bytes.
    pub profile: Option<u64>,
    /// The end of the browsers' log.
    pub log_tail: String,
    /// The end of the runner's, where one runs.
    pub runner_log_tail: Option<String>,
}
