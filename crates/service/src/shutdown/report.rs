//! Pure: what a shutdown did, and the exit code that follows from it.

use std::fmt;
use std::time::Duration;

use telemetry::fields;

use super::closers::{CloserOutcome, CloserReport};
use super::observe::{Trigger, millis};
use super::phases::{Blocker, Fault, ForceCause};
use super::step::Step;
use crate::ExitStatus;

/// Something that failed: a service that ended, a panic, a start-up that broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub name: &'static str,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// What a shutdown did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it says how the process has to exit"]
pub struct ShutdownReport {
    /// What began it.
    pub trigger: Trigger,
    /// The steps that were entered, in order, each with how long it took.
    pub steps: Vec<(Step, Duration)>,
    /// Why waiting ended early, if it did.
    pub forced: Option<ForceCause>,
    /// A third signal cut it.
    pub at_once: bool,
    /// What went wrong while things were ended by force.
    pub faults: Vec<Fault>,
    /// What is left and should not be, with the step it hangs in.
    pub left: Vec<Blocker>,
    /// How many are left.
    pub left_count: u64,
    /// What failed, the first one first.
    pub failures: Vec<Failure>,
    /// Services that had not ended when everything was closed.
    pub stuck: Vec<&'static str>,
    /// The closers, in the order they ran.
    pub closers: Vec<CloserReport>,
    /// All of it.
    pub took: Duration,
}

impl ShutdownReport {
    /// How the process has to exit: a failure comes before something left behind.
    pub fn exit(&self) -> ExitStatus {
        let failed = !self.failures.is_empty()
            || self.closers.iter().any(|closer| match closer.outcome {
                CloserOutcome::Failed(_) | CloserOutcome::Panicked(_) => true,
                CloserOutcome::Closed | CloserOutcome::Cut => false,
            });
        let cut = self.closers.iter().any(|closer| closer.outcome == CloserOutcome::Cut);
        let left = self.at_once || self.left_count > 0 || !self.stuck.is_empty() || cut;
        ExitStatus::decide(failed, left)
    }

    /// Writes it into the log, one line for each thing that went wrong.
    pub fn log(&self) {
        for failure in &self.failures {
            tracing::error!({ fields::PART } = failure.name, "{failure}");
        }
        for fault in &self.faults {
            tracing::error!({ fields::PART } = fault.id, "{fault}");
        }
        for left in &self.left {
            tracing::error!({ fields::PART } = left.id, "left behind: {left}");
        }
        for name in &self.stuck {
            tracing::error!({ fields::PART } = name, "left behind: {name} did not end");
        }
        for closer in &self.closers {
            match closer.outcome {
                CloserOutcome::Closed => {
                    tracing::debug!({ fields::PART } = closer.name, "{closer}")
                }
                CloserOutcome::Failed(_) | CloserOutcome::Panicked(_) | CloserOutcome::Cut => {
                    tracing::error!({ fields::PART } = closer.name, "{closer}");
                }
            }
        }
        let forced = self.forced.map_or("", ForceCause::as_str);
        tracing::info!(
            { fields::DRAIN_ELAPSED_MS } = millis(self.took),
            "ended with {}{}{forced}",
            self.exit(),
            if forced.is_empty() { "" } else { ", forced: " },
        );
    }
}
