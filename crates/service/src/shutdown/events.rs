//! The shutdown as telemetry events.

use telemetry::Telemetry;
use telemetry::events::{
    DrainFinished, DrainForced, DrainProgress, DrainStarted, Event, NodeStopped,
};
use telemetry::value::Millis;
use telemetry::words::{self, DrainTrigger};
use tokio::time::Instant;

use super::observe::{ShutdownFact, ShutdownObserver, Trigger};
use super::phases::ForceCause;

/// Publishes `drain_started`, `drain_progress`, `drain_forced` and `drain_finished`. Add it with
/// [`ServiceBuilder::observer`](crate::ServiceBuilder::observer).
pub fn publish_to(telemetry: Telemetry) -> impl ShutdownObserver {
    let mut events = DrainEvents::default();
    move |fact: &ShutdownFact| {
        if let Some(event) = events.event(fact) {
            telemetry.publish(None, event);
        }
    }
}

/// Pure: turns the facts of one shutdown into events.
#[derive(Debug, Default)]
pub struct DrainEvents {
    began: Option<(DrainTrigger, Option<Millis>)>,
}

impl DrainEvents {
    /// The event of a fact; none of progress before the start.
    pub fn event(&mut self, fact: &ShutdownFact) -> Option<Event> {
        match fact {
            ShutdownFact::Started { trigger, drain, step, progress, .. } => {
                let (trigger, deadline_ms) = (trigger_word(*trigger), drain.map(Millis::from));
                self.began = Some((trigger, deadline_ms));
                let event = DrainStarted {
                    trigger,
                    deadline_ms,
                    phase: step.as_str().into(),
                    elapsed_ms: Millis::default(),
                    live: progress.live,
                    starting: progress.starting,
                    sessions: progress.sessions,
                    runs: progress.runs,
                    saves: progress.saves,
                };
                Some(event.into())
            }
            ShutdownFact::Progress { step, elapsed, progress } => {
                let (trigger, deadline_ms) = self.began?;
                let event = DrainProgress {
                    trigger,
                    deadline_ms,
                    phase: step.as_str().into(),
                    elapsed_ms: (*elapsed).into(),
                    live: progress.live,
                    starting: progress.starting,
                    sessions: progress.sessions,
                    runs: progress.runs,
                    saves: progress.saves,
                };
                Some(event.into())
            }
            ShutdownFact::Forced { cause, elapsed, progress } => {
                let event = DrainForced {
                    cause: cause_word(*cause),
                    elapsed_ms: (*elapsed).into(),
                    live: progress.live,
                    starting: progress.starting,
                    sessions: progress.sessions,
                    runs: progress.runs,
                    saves: progress.saves,
                };
                Some(event.into())
            }
            ShutdownFact::Drained { outcome, exit, elapsed, totals, errors } => {
                let event = DrainFinished {
                    outcome: *outcome,
                    exit_code: Some(exit.code().into()),
                    elapsed_ms: (*elapsed).into(),
                    stopped: totals.stopped,
                    sessions_closed: totals.sessions_closed,
                    errors: *errors,
                };
                Some(event.into())
            }
        }
    }
}

fn trigger_word(trigger: Trigger) -> DrainTrigger {
    match trigger {
        Trigger::Signal => DrainTrigger::Signal,
        Trigger::Api => DrainTrigger::Api,
        Trigger::Failure { .. } => DrainTrigger::Failure,
    }
}

fn cause_word(cause: ForceCause) -> words::ForceCause {
    match cause {
        ForceCause::Deadline => words::ForceCause::Deadline,
        ForceCause::SecondSignal => words::ForceCause::SecondSignal,
        ForceCause::Setting => words::ForceCause::Setting,
        ForceCause::Api => words::ForceCause::Api,
        ForceCause::Defect => words::ForceCause::Defect,
    }
}

/// An observer that publishes the last event of the process, `node_stopped`: everything has ended and
/// only the closers are left. The uptime counts from this call.
pub fn tell_the_end(telemetry: Telemetry) -> impl ShutdownObserver {
    let started = Instant::now();
    move |fact: &ShutdownFact| match fact {
        ShutdownFact::Drained { exit, .. } => {
            let exit_code = exit.code().into();
            let uptime_ms = started.elapsed().into();
            telemetry.publish(None, NodeStopped { exit_code, uptime_ms });
        }
        ShutdownFact::Started { .. }
        | ShutdownFact::Progress { .. }
        | ShutdownFact::Forced { .. } => {}
    }
}
