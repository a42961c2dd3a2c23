//! Whether this process wants traffic: never before start-up has ended, never again once it drains.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// What `/readyz` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send traffic.
    Ready,
    /// Start-up is at this step.
    Starting {
        /// Its name.
        step: &'static str,
    },
    /// Started, and does not want new work.
    NotReady {
        /// One word: `draining`, `standby`, `unhealthy`.
        status: &'static str,
    },
}

impl Verdict {
    /// The word in answers and logs.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting { .. } => "starting",
            Self::NotReady { status } => status,
        }
    }
}

/// What the daemon's own door says about new work; asked for every `/readyz`, so that the two cannot
/// disagree.
pub trait Door: Send + Sync + 'static {
    /// `None` while new work is let in, else why not in one word.
    fn refuses(&self) -> Option<&'static str>;
}

impl<F: Fn() -> Option<&'static str> + Send + Sync + 'static> Door for F {
    fn refuses(&self) -> Option<&'static str> {
        self()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Starting(&'static str),
    Started,
    Ending,
}

/// The readiness of this process. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    life: Arc<watch::Sender<Life>>,
    door: Arc<OnceLock<Box<dyn Door>>>,
}

impl Readiness {
    /// Start-up begins with `step`.
    pub fn starting(step: &'static str) -> Self {
        Self { life: Arc::new(watch::Sender::new(Life::Starting(step))), door: Arc::default() }
    }

    /// Start-up has come to `step`. Changes nothing once start-up has ended.
    pub fn step(&self, step: &'static str) {
        self.life.send_if_modified(|life| match life {
            Life::Starting(at) => std::mem::replace(at, step) != step,
            Life::Started | Life::Ending => false,
        });
    }

    /// Asks `door` from now on. Only the first one counts.
    pub fn attach(&self, door: impl Door) {
        // A second door would be a second truth.
        let _ = self.door.set(Box::new(door));
    }

    /// Start-up has ended: the last thing before traffic. Changes nothing once the end has begun.
    pub fn started(&self) {
        self.life.send_if_modified(|life| match life {
            Life::Starting(_) => {
                *life = Life::Started;
                true
            }
            Life::Started | Life::Ending => false,
        });
    }

    /// The end has begun; nothing makes this process ready again.
    pub fn ending(&self) {
        self.life.send_replace(Life::Ending);
    }

    /// What to answer now.
    pub fn verdict(&self) -> Verdict {
        let life = *self.life.borrow();
        match life {
            Life::Starting(step) => Verdict::Starting { step },
            Life::Ending => Verdict::NotReady { status: "draining" },
            Life::Started => match self.door.get().and_then(|door| door.refuses()) {
                Some(status) => Verdict::NotReady { status },
                None => Verdict::Ready,
            },
        }
    }
}

#[cfg(test)]
mod tests;
