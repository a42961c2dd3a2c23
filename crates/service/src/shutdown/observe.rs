//! Who is told how a shutdown goes: the log, the metrics, and whoever the daemon adds.

use std::fmt;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use telemetry::fields;
use telemetry::words::DrainOutcome;

use super::phases::{Blocker, DrainProgress, DrainTotals, ForceCause};
use super::settings::Budget;
use super::step::Step;
use crate::ExitStatus;
use crate::settings::show_duration;

/// How many blockers one line names.
const NAMED: usize = 10;

/// What began a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A signal.
    Signal,
    /// A call.
    Api,
    /// A critical service ended.
    Failure {
        /// Which one.
        name: &'static str,
    },
}

impl Trigger {
    /// The word in logs and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Api => "api",
            Self::Failure { .. } => "failure",
        }
    }
}

/// One thing that happened in a shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShutdownFact {
    /// It began.
    Started {
        /// Why.
        trigger: Trigger,
        /// How long it may take.
        budget: Budget,
        /// The drain's own share; `None` waits for ever.
        drain: Option<Duration>,
        /// Its first step.
        step: Step,
        /// What was there then.
        progress: DrainProgress,
    },
    /// A step began, or goes on for so long that somebody should know who is waited for.
    Progress {
        /// Which step.
        step: Step,
        /// Since the start.
        elapsed: Duration,
        /// What is waited for.
        progress: DrainProgress,
    },
    /// Waiting is over.
    Forced {
        /// Why.
        cause: ForceCause,
        /// Since the start.
        elapsed: Duration,
        /// What is being ended.
        progress: DrainProgress,
    },
    /// The daemon's work is done or ended; only the closers are left. The last fact of a shutdown,
    /// unless a third signal comes first.
    Drained {
        /// How.
        outcome: DrainOutcome,
        /// The exit code as far as it is known.
        exit: ExitStatus,
        /// Since the start.
        elapsed: Duration,
        /// What it ended, all in all.
        totals: DrainTotals,
        /// What went wrong.
        errors: u64,
    },
}

/// Is told what happens in a shutdown, in order. Must not wait.
pub trait ShutdownObserver: Send + 'static {
    /// One fact.
    fn observe(&mut self, fact: &ShutdownFact);
}

impl<F: FnMut(&ShutdownFact) + Send + 'static> ShutdownObserver for F {
    fn observe(&mut self, fact: &ShutdownFact) {
        self(fact);
    }
}

/// The first ten, and how many more.
struct Names<'a>(&'a [Blocker]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, blocker) in self.0.iter().take(NAMED).enumerate() {
            write!(f, "{}{blocker}", if index > 0 { ", " } else { "" })?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Writes the log.
pub(super) fn log(fact: &ShutdownFact) {
    match fact {
        ShutdownFact::Started { trigger: Trigger::Failure { name }, budget, .. } => {
            tracing::error!(
                { fields::PART } = *name,
                "shutting down because {name} ended, {budget}"
            );
        }
        ShutdownFact::Started { trigger, budget, progress, .. } => {
            let last = progress.ends_in.map(show_duration);
            tracing::info!(
                "shutting down ({}), {budget}{}{}",
                trigger.as_str(),
                if last.is_some() { "; the last one ends by itself in " } else { "" },
                last.unwrap_or_default()
            );
        }
        ShutdownFact::Progress { step, elapsed, progress } => {
            let waiting = if progress.blockers.is_empty() { "" } else { ", waiting for " };
            tracing::info!(
                { fields::DRAIN_PHASE } = step.as_str(),
                { fields::DRAIN_ELAPSED_MS } = millis(*elapsed),
                { fields::DRAIN_WAITING } = progress.blockers.len(),
                "shutdown: {step}{waiting}{}",
                Names(&progress.blockers)
            );
        }
        ShutdownFact::Forced { cause, elapsed, progress } => tracing::warn!(
            { fields::DRAIN_PHASE } = Step::ForceStop.as_str(),
            { fields::DRAIN_ELAPSED_MS } = millis(*elapsed),
            { fields::DRAIN_WAITING } = progress.blockers.len(),
            "forcing the end ({cause}): {}",
            Names(&progress.blockers)
        ),
        ShutdownFact::Drained { outcome, elapsed, errors, .. } => tracing::info!(
            { fields::DRAIN_PHASE } = Step::Closers.as_str(),
            { fields::DRAIN_ELAPSED_MS } = millis(*elapsed),
            "drained ({}, {errors} errors), closing",
            outcome.as_str()
        ),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a supervisor shows in its list.
pub(super) fn status_line(fact: &ShutdownFact) -> String {
    let counts = |progress: &DrainProgress| {
        let DrainProgress { live, starting, sessions, saves, .. } = progress;
        format!("{live} live, {starting} starting, {sessions} sessions, {saves} saves")
    };
    match fact {
        ShutdownFact::Started { trigger, .. } => format!("shutting down ({})", trigger.as_str()),
        ShutdownFact::Progress { step, progress, .. } => {
            format!("shutting down: {step}, {}", counts(progress))
        }
        ShutdownFact::Forced { cause, progress, .. } => {
            format!("forcing the end ({cause}): {}", counts(progress))
        }
        ShutdownFact::Drained { outcome, .. } => format!("drained ({}), closing", outcome.as_str()),
    }
}

/// The drain in numbers. Register it once per process.
#[derive(Debug, Clone, Default)]
pub struct DrainMetrics {
    state: Gauge,
    waiting: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl DrainMetrics {
    /// Adds `drain_state` (0: not shutting down, else the number of the step) and
    /// `drain_waiting{kind}` to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let help = "Step of the shutdown, 1 to 10; 0 while running";
        registry.register("drain_state", help, this.state.clone());
        let help = "What a shutdown still waits for, by kind";
        registry.register("drain_waiting", help, this.waiting.clone());
        this
    }

    pub(super) fn observe(&self, fact: &ShutdownFact) {
        let progress = match fact {
            ShutdownFact::Started { .. } => return,
            ShutdownFact::Drained { .. } => {
                self.state.set(Step::Closers.number().into());
                return;
            }
            ShutdownFact::Progress { step, progress, .. } => {
                self.state.set(step.number().into());
                progress
            }
            ShutdownFact::Forced { progress, .. } => {
                self.state.set(Step::ForceStop.number().into());
                progress
            }
        };
        let kinds = [
            ("live", progress.live),
            ("starting", progress.starting),
            ("sessions", progress.sessions),
            ("runs", progress.runs),
            ("saves", progress.saves),
        ];
        for (kind, count) in kinds {
            let gauge = self.waiting.get_or_create(&[("kind", kind)]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
