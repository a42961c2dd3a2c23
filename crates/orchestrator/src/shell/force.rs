//! Force stop: everything ends now, inside a budget, and what does not is named.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use telemetry::fields;
use telemetry::words::StopReason;

use super::drain::cleaned;
use super::handles::LifeStep;
use super::member::NO_SANDBOX;
use super::{Orchestrator, Shared, events, now};
use crate::ids::LifecycleId;
use crate::lifecycle::{State, Stop};

/// What the sandboxes that a force stop ends are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForceReason {
    /// The deadline of the drain has passed.
    NodeDrain,
    /// Somebody asked for force.
    ForceStop,
}

impl ForceReason {
    fn stop(self) -> Stop {
        match self {
            Self::NodeDrain => Stop::new(StopReason::NodeDrain, "the drain reached its deadline"),
            Self::ForceStop => Stop::new(StopReason::ForceStop, "the node was stopped by force"),
        }
    }
}

/// What could not be cleaned up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForceError {
    /// Of which sandbox.
    pub sandbox: String,
    /// Of which incarnation; each is named at most once.
    pub lifecycle: LifecycleId,
    /// In which step.
    pub step: LifeStep,
    /// What happened, one line an item.
    pub errors: Vec<String>,
}

/// An incarnation whose end did not come in time. Its processes have been killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Of which sandbox.
    pub sandbox: String,
    /// Which incarnation.
    pub lifecycle: LifecycleId,
    /// The step in which it hangs.
    pub step: LifeStep,
}

/// What a force stop came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForceReport {
    /// Incarnations that ended in it.
    pub ended: u64,
    /// Incarnations that were killed because their end took too long.
    pub killed: u64,
    /// Those that have not ended; empty if nothing is left.
    pub stuck: Vec<Stuck>,
    /// What could not be cleaned up, of those that have ended too.
    pub errors: Vec<ForceError>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is kept of a budget to name those that are stuck.
const REPORT_TIME: Duration = Duration::from_millis(500);

pub(super) type ErrorSink = Arc<dyn Fn(ForceError) + Send + Sync>;

impl Orchestrator {
    /// Ends everything now: starts are cancelled, sandboxes stopped with full cleanup, and after two
    /// thirds of the budget whatever is still alive is killed, so that no process outlives the
    /// budget even if its cleanup hangs. Both gates are closed for good.
    ///
    /// `on_error` hears of what could not be cleaned up as it happens, so that nothing is lost if
    /// this future is dropped.
    ///
    /// # Cancel safety
    /// What has begun goes on when the future is dropped, without the kill.
    pub async fn force_stop(
        &self,
        reason: ForceReason,
        budget: Duration,
        on_error: impl Fn(ForceError) + Send + Sync + 'static,
    ) -> ForceReport {
        let shared = &self.shared;
        let began = tokio::time::Instant::now();
        let heard = Arc::new(std::sync::Mutex::new(Vec::<ForceError>::new()));
        let before = {
            let mut core = shared.lock();
            core.drain.errors = Some({
                let heard = Arc::clone(&heard);
                Arc::new(move |error: ForceError| {
                    let mut heard = heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    heard.retain(|known: &ForceError| known.lifecycle != error.lifecycle);
                    heard.push(error.clone());
                    drop(heard);
                    on_error(error);
                })
            });
            // What was already failing when the force came belongs to its report too.
            shared.tell_known_errors(&core);
            core.registry.tally().lifecycles
        };
        self.begin_server_drain(Some(Duration::ZERO));
        self.begin_factory_drain();
        self.phase("force_stop");
        {
            let mut core = shared.lock();
            shared.force_all(&mut core, &reason.stop(), now());
        }
        self.end_pool();
        let empty = || self.wait_tally(cleaned);
        let mut killed = 0;
        if tokio::time::timeout_at(began + budget * 2 / 3, empty()).await.is_err() {
            killed = shared.tally.borrow().lifecycles;
            tracing::warn!(lifecycles = killed, "cleanup takes too long; every process is killed");
            // The last moments are for the report: whoever gave the budget may cut it off.
            let end = began + budget - (budget / 20).min(REPORT_TIME);
            let _ = tokio::time::timeout_at(end, self.kill_all()).await;
            let _ = tokio::time::timeout_at(end, empty()).await;
        }
        let stuck = self.tell_stuck_ends();
        for one in &stuck {
            tracing::error!(
                { fields::SANDBOX_ID } = one.sandbox,
                { fields::LIFECYCLE_ID } = %one.lifecycle,
                step = %one.step,
                "did not end in time"
            );
        }
        let errors = heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        ForceReport {
            ended: before.saturating_sub(stuck.len() as u64),
            killed,
            stuck,
            errors,
            elapsed: began.elapsed(),
        }
    }

    /// Kills every process at once and returns when they are dead; removes nothing, waits for no
    /// cleanup. The last resort.
    ///
    /// # Cancel safety
    /// Kills that have been ordered go on when the future is dropped.
    pub async fn kill_all(&self) {
        let shared = &self.shared;
        let all: Vec<_> = {
            let core = shared.lock();
            let sandboxes = core.registry.sandboxes().map(|sandbox| {
                (sandbox.handle.lifecycle.clone(), Some(Arc::clone(&sandbox.handle)))
            });
            let members = core.pool.handles().map(|member| (member.lifecycle.clone(), None));
            sandboxes.chain(members).collect()
        };
        let kills = all.into_iter().map(|(lifecycle, handle)| async move {
            let kill = async { shared.driver.kill(lifecycle.clone()).await };
            match AssertUnwindSafe(kill).catch_unwind().await {
                Ok(()) => {
                    if let Some(handle) = handle {
                        handle.set_dead();
                    }
                }
                Err(_) => {
                    tracing::error!({ fields::LIFECYCLE_ID } = %lifecycle, "the driver panicked in kill");
                }
            }
        });
        join_all(kills).await;
    }

    /// Names who has not ended, and publishes the last event of each: nobody else will.
    pub(super) fn tell_stuck_ends(&self) -> Vec<Stuck> {
        let core = self.shared.lock();
        let mut all: Vec<_> =
            core.registry.sandboxes().filter(|s| s.occupies(&core.registry)).collect();
        all.sort_by_key(|sandbox| sandbox.record.seq);
        let mut stuck = Vec::new();
        for sandbox in all {
            if let State::Stopping(stop) = &sandbox.state {
                sandbox.handle.note_end(|end| end.cleanup_errors = end.cleanup_errors.max(1));
                events::stopped(&self.shared, &sandbox.record, &sandbox.handle, stop);
            }
            stuck.push(Stuck {
                sandbox: sandbox.record.id.to_string(),
                lifecycle: sandbox.record.lifecycle.clone(),
                step: sandbox.handle.progress.borrow().step,
            });
        }
        stuck.extend(core.pool.handles().map(|member| Stuck {
            sandbox: NO_SANDBOX.to_owned(),
            lifecycle: member.lifecycle.clone(),
            step: LifeStep::Stop,
        }));
        stuck
    }
}

impl Shared {
    fn tell_known_errors(&self, core: &super::Core) {
        let Some(sink) = &core.drain.errors else { return };
        for sandbox in core.registry.sandboxes().filter(|s| !s.cleanup_errors.is_empty()) {
            sink(ForceError {
                sandbox: sandbox.record.id.to_string(),
                lifecycle: sandbox.record.lifecycle.clone(),
                step: sandbox.handle.progress.borrow().step,
                errors: sandbox.cleanup_errors.clone(),
            });
        }
    }
}
