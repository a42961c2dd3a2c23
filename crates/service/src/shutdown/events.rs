//! The shutdown as telemetry events.

use telemetry::Telemetry;
use telemetry::events::{DrainFinished, DrainForced, DrainProgress, DrainStarted};
use telemetry::value::Millis;
use telemetry::words::{self, DrainTrigger};

use super::observe::{ShutdownFact, ShutdownObserver, Trigger};
use super::phases::ForceCause;

/// Publishes `drain_started`, `drain_progress`, `drain_forced` and `drain_finished`. Add it with
/// [`ServiceBuilder::observer`](crate::ServiceBuilder::observer).
///
/// The catalogue has no word for a shutdown that a failed service began, nor for an end that is forced
/// because a wait broke. Those two events are left out rather than given another's word; the log and
/// the exit code have them.
pub fn publish_to(telemetry: Telemetry) -> impl ShutdownObserver {
    let mut began: Option<(DrainTrigger, Option<Millis>)> = None;
    move |fact: &ShutdownFact| match fact {
        ShutdownFact::Started { trigger, drain, step, progress, .. } => {
            let Some(trigger) = trigger_word(*trigger) else { return };
            let deadline_ms = drain.map(Millis::from);
            began = Some((trigger, deadline_ms));
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
            telemetry.publish(None, event);
        }
        ShutdownFact::Progress { step, elapsed, progress } => {
            let Some((trigger, deadline_ms)) = began else { return };
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
            telemetry.publish(None, event);
        }
        ShutdownFact::Forced { cause, elapsed, progress } => {
            let Some(cause) = cause_word(*cause) else { return };
            let event = DrainForced {
                cause,
                elapsed_ms: (*elapsed).into(),
                live: progress.live,
                starting: progress.starting,
                sessions: progress.sessions,
                runs: progress.runs,
                saves: progress.saves,
            };
            telemetry.publish(None, event);
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
            telemetry.publish(None, event);
        }
    }
}

fn trigger_word(trigger: Trigger) -> Option<DrainTrigger> {
    match trigger {
        Trigger::Signal => Some(DrainTrigger::Signal),
        Trigger::Api => Some(DrainTrigger::Api),
        Trigger::Failure { .. } => None,
    }
}

fn cause_word(cause: ForceCause) -> Option<words::ForceCause> {
    match cause {
        ForceCause::Deadline => Some(words::ForceCause::Deadline),
        ForceCause::SecondSignal => Some(words::ForceCause::SecondSignal),
        ForceCause::Setting => Some(words::ForceCause::Setting),
        ForceCause::Api => Some(words::ForceCause::Api),
        ForceCause::Defect => None,
    }
}
