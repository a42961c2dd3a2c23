//! What the daemon's work has to offer so that the shutdown can walk it down step by step.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::BoxFuture;

/// The work that a shutdown drains. The daemon implements it over whatever it runs.
///
/// Every method may be called more than once and must then do no harm: a second signal may arrive
/// between any two steps. The shutdown drops each future at its step's bound, so a future must be
/// safe to drop. It must not block its thread. A panic in one is caught: the end is then forced, and
/// the exit code tells.
///
/// The methods with a default are for daemons that have no such thing (no pool, no factory).
pub trait DrainPhases: Send + Sync + 'static {
    /// Whether anyone could still be sending us work because nobody told them to stop. False when
    /// the node already refuses work (draining by an operator's wish, or unhealthy): then there is
    /// nothing to announce.
    fn worth_announcing(&self) -> bool {
        true
    }

    /// The announcement begins: not ready any more, refilling of the pool stops, new work still
    /// gets in. `until` is when the door will close.
    fn announce(&self, until: Instant) {
        let _ = until;
    }

    /// Closes the door that users reach, at once and for good: when it has returned, every face
    /// refuses new work. `deadline` is when the drain is forced; `None` waits for ever.
    fn close_server_gate(&self, deadline: Option<Instant>);

    /// Waits until every request that was let in has ended.
    fn wait_admitted(&self) -> BoxFuture<'_, ()>;

    /// Closes the inner door: when it has returned nothing new is started, not even for work that
    /// was let in.
    fn close_factory_gate(&self) {}

    /// Waits until every start that passed the inner door has ended.
    fn wait_starts(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Ends what was kept warm and belongs to nobody.
    fn end_pool(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Waits until nothing a client could use is left.
    fn wait_live(&self) -> BoxFuture<'_, ()>;

    /// Waits until what has ended is also cleaned up: processes, folders, saves, final events.
    fn wait_cleanup(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Ends everything now, with full cleanup, and returns when all of it is gone. What goes wrong
    /// is told to `faults` as it happens, because this future may be dropped at its bound.
    fn force_stop(&self, cause: ForceCause, faults: Faults) -> BoxFuture<'_, ()>;

    /// Kills every process at once, without cleanup: the last resort when the cleanup hangs. Must
    /// not wait for anything `force_stop` waits for, and has 1.5 s after a third signal.
    fn kill_all(&self) -> BoxFuture<'_, ()>;

    /// What is still there, for the log, the metrics and the events.
    fn progress(&self) -> DrainProgress;

    /// What has ended since the drain began, for the last event.
    fn totals(&self) -> DrainTotals {
        DrainTotals::default()
    }
}

/// What a drain ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainTotals {
    /// Sandboxes.
    pub stopped: u64,
    /// Client sessions.
    pub sessions_closed: u64,
}

/// Why the drain was not waited for to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForceCause {
    /// The drain deadline has passed.
    Deadline,
    /// The user asked a second time.
    SecondSignal,
    /// The settings ask for it.
    Setting,
    /// An operator's call asked for it.
    Api,
    /// A wait panicked, so nobody can tell any more when it would have ended.
    Defect,
}

impl ForceCause {
    /// The word in logs, metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::SecondSignal => "second_signal",
            Self::Setting => "setting",
            Self::Api => "api",
            Self::Defect => "defect",
        }
    }
}

impl fmt::Display for ForceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a drain still waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// Sandboxes a client can still use.
    pub live: u64,
    /// Starts in flight.
    pub starting: u64,
    /// Client sessions.
    pub sessions: u64,
    /// Agent runs.
    pub runs: u64,
    /// Saves that are not durable yet.
    pub saves: u64,
    /// Who is waited for, oldest first. All of them: after a forced end this is the list of what is left.
    pub blockers: Vec<Blocker>,
    /// How long until the last of them has ended by itself, if all of them do.
    pub ends_in: Option<Duration>,
}

impl DrainProgress {
    /// Whether nothing is waited for.
    pub fn is_clear(&self) -> bool {
        self.live == 0
            && self.starting == 0
            && self.sessions == 0
            && self.runs == 0
            && self.saves == 0
            && self.blockers.is_empty()
    }
}

/// One thing a drain waits for, as a person wants to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its id.
    pub id: String,
    /// What it is doing: `running`, `starting`, `stopping: removing folders`.
    pub state: String,
    /// How long it has been there.
    pub age: Duration,
    /// Its client sessions.
    pub sessions: u64,
    /// When it ends by itself, from now.
    pub expires_in: Option<Duration>,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} s old", self.id, self.state, self.age.as_secs())?;
        if self.sessions > 0 {
            write!(f, ", {} sessions", self.sessions)?;
        }
        if let Some(left) = self.expires_in {
            write!(f, ", ends in {} s", left.as_secs())?;
        }
        f.write_str(")")
    }
}

/// One thing that went wrong while everything was being ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose: the id of a sandbox or lifecycle.
    pub id: String,
    /// In which step of its end.
    pub step: String,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.id, self.step, self.text)
    }
}

/// Where faults are put as they happen, so that a deadline loses none. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. The same step of the same id is kept once: the first text, later ones repeat it.
    pub fn add(&self, id: impl Into<String>, step: impl Into<String>, text: impl fmt::Display) {
        let (id, step) = (id.into(), step.into());
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.iter().any(|have| have.id == id && have.step == step) {
            list.push(Fault { id, step, text: text.to_string() });
        }
    }

    /// What has been added so far.
    pub fn list(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
