//! Asking for the end from inside, and seeing how far it is.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::shutdown::{ForceCause, Step, Trigger};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Request {
    None,
    Begin,
    Force,
}

/// Where the process is between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownState {
    /// No shutdown yet.
    Running,
    /// Shutting down.
    Ending {
        /// What began it.
        trigger: Trigger,
        /// The current step.
        step: Step,
        /// When the drain is forced; `None` before the door closes, and when it waits for ever.
        drain_by: Option<Instant>,
        /// Why waiting was over, if it was.
        forced: Option<ForceCause>,
    },
}

/// Begins the shutdown from inside the daemon, for an API call for example. Clones share it.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    request: Arc<watch::Sender<Request>>,
    state: Arc<watch::Sender<ShutdownState>>,
}

impl Default for ShutdownHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl ShutdownHandle {
    /// A handle to be given to one [`ServiceBuilder`](crate::ServiceBuilder).
    pub fn new() -> Self {
        Self {
            request: Arc::new(watch::Sender::new(Request::None)),
            state: Arc::new(watch::Sender::new(ShutdownState::Running)),
        }
    }

    /// Begins the shutdown, if it has not begun.
    pub fn begin(&self) {
        self.ask(Request::Begin);
    }

    /// Begins the shutdown if it has not begun, and does not wait for anything that runs.
    pub fn force(&self) {
        self.ask(Request::Force);
    }

    /// Where the process is, now and at every change.
    pub fn state(&self) -> watch::Receiver<ShutdownState> {
        self.state.subscribe()
    }

    fn ask(&self, wanted: Request) {
        self.request.send_if_modified(|have| {
            let more = wanted > *have;
            *have = wanted.max(*have);
            more
        });
    }

    pub(crate) fn requests(&self) -> watch::Receiver<Request> {
        self.request.subscribe()
    }

    pub(crate) fn voice(&self) -> Arc<watch::Sender<ShutdownState>> {
        Arc::clone(&self.state)
    }
}
