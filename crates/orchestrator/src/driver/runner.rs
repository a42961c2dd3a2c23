//! A program beside the browser: an agent's runner.

use std::time::Duration;

use super::OnExit;

/// What to run beside a browser: as a user, in folders and within limits like the browser's, but of
/// its own, so that the end of one is not that of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerSpec {
    /// An absolute path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, already checked. `PORT`, on which it is to listen at 127.0.0.1, is added.
    pub env: Vec<(String, String)>,
    /// What it answers with 2xx once it is ready; starts with `/`.
    pub ready_path: String,
    /// Whether the instance has started only when it is ready, and ends when it is given up.
    pub required: bool,
    /// What follows its end.
    pub on_exit: OnExit,
    /// How long it may take from spawn to ready.
    pub start_timeout: Duration,
}

impl RunnerSpec {
    /// Whether the instance is of no use once nobody starts the runner again.
    pub fn ends_with_it(&self) -> bool {
        self.required || self.on_exit == OnExit::Stop
    }
}
