//! The end of an incarnation: sessions first, then the browser, then what it left.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use telemetry::fields;
use telemetry::words::StopReason;
use upstream::{Cause, Fact};

use super::force::ForceError;
use super::handles::{LifeStep, session_detail, stop_how};
use super::start::Starting;
use super::task::Life;
use super::{Shared, now};
use crate::driver::{StopHow, StopReport};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, Stop};

/// What becomes of a kept profile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// Its sandbox has ended: it goes.
    Forget,
    /// Its sandbox is parked: it stays.
    Keep,
}

/// How often a cleanup that fails is tried again before it is reported and left.
pub(super) const CLEANUP_TRIES: u32 = 10;

/// The waits between the tries double from the first to the second.
const CLEANUP_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How long to wait after so many tries.
pub(super) fn cleanup_wait(tries: u32) -> Duration {
    CLEANUP_WAIT.0.saturating_mul(1 << (tries - 1)).min(CLEANUP_WAIT.1)
}

/// One try to end an instance. What could not be cleaned up may wait, its processes are killed.
pub(super) async fn stop_by_driver(
    shared: &Shared,
    lifecycle: &LifecycleId,
    how: StopHow,
) -> StopReport {
    let driver = &shared.driver;
    let stop = async { driver.stop(lifecycle.clone(), how).await };
    let report = match AssertUnwindSafe(stop).catch_unwind().await {
        Ok(report) => report,
        Err(_) => {
            tracing::error!({ fields::LIFECYCLE_ID } = %lifecycle, "the driver panicked in stop");
            let errors = vec!["the driver panicked".to_owned()];
            StopReport { errors, ..StopReport::default() }
        }
    };
    if !report.errors.is_empty() {
        // A directory may wait, a process may not.
        let kill = async { driver.kill(lifecycle.clone()).await };
        if AssertUnwindSafe(kill).catch_unwind().await.is_err() {
            tracing::error!({ fields::LIFECYCLE_ID } = %lifecycle, "the driver panicked in kill");
        }
    }
    report
}

impl Life {
    /// Ends it. The state is already `Stopping`, its sessions have been told why, and none gets in.
    pub(super) async fn stop(mut self, stop: &Stop, starting: Starting) {
        if session_detail(stop.reason).is_none() {
            // Sessions and held upgrades learn it from here; what is known of the end stays.
            self.publisher.apply(Fact::GaveUp { cause: Cause::UnknownExit });
        }
        self.drop_job();
        self.handles.step(LifeStep::Sessions);
        let more = match stop.reason {
            StopReason::Ttl => self.shared.config.ttl_grace,
            _ => Duration::ZERO,
        };
        self.close_sessions(more).await;
        self.handles.step(LifeStep::Stop);
        let began = now().instant;
        let errors = self.clean_up(starting, stop_how(stop.reason), Profile::Forget).await;
        let cleanup = now().instant.saturating_duration_since(began);
        self.handles.note_end(|end| {
            end.exit = end.exit.or(self.browsers.last_cause());
            end.cleanup = cleanup;
            end.cleanup_errors = errors.len() as u64;
        });
        self.apply(&Event::CleanupEnded);
    }

    /// Ends what there is at the driver, and tries again until nothing is left of it or enough was
    /// tried; what is left then.
    pub(super) async fn clean_up(
        &mut self,
        starting: Starting,
        how: StopHow,
        profile: Profile,
    ) -> Vec<String> {
        let mut errors = match starting {
            Starting::None | Starting::Failed(_) => Vec::new(),
            Starting::Instance => self.stop_instance(how).await,
            Starting::Pending(call) => {
                // The call has to be driven while the stop waits for what it holds.
                let driven = async move {
                    let _ = call.await;
                    std::future::pending::<Infallible>().await
                };
                tokio::select! {
                    errors = self.stop_instance(StopHow::Fast) => errors,
                    never = driven => match never {},
                }
            }
        };
        self.handles.set_dead();
        errors.extend(self.forget_profile(profile).await);
        let mut tries = 1;
        while !errors.is_empty() && tries < CLEANUP_TRIES {
            self.note_errors(&errors);
            self.handles.step(LifeStep::Retry);
            tokio::time::sleep(cleanup_wait(tries)).await;
            errors = self.stop_instance(StopHow::Fast).await;
            errors.extend(self.forget_profile(profile).await);
            tries += 1;
        }
        self.note_errors(&errors);
        if !errors.is_empty() {
            tracing::error!(
                { fields::SANDBOX_ID } = %self.handles.sandbox,
                { fields::LIFECYCLE_ID } = %self.handles.lifecycle,
                tries,
                errors = ?errors,
                "what a sandbox left could not be removed; it is set aside"
            );
        }
        errors
    }

    /// Removes the kept profile of a sandbox that ends.
    async fn forget_profile(&mut self, what: Profile) -> Option<String> {
        let kept = self.profile().filter(|_| what == Profile::Forget)?;
        let driver = Arc::clone(&self.shared.driver);
        let forget = async { driver.forget(kept).await };
        match AssertUnwindSafe(forget).catch_unwind().await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the driver panicked".to_owned()),
        }
    }

    /// Gives the sessions their time and some more, while the browser still serves them.
    pub(super) async fn close_sessions(&mut self, more: Duration) {
        let gate = self.handles.gate.clone();
        let grace = tokio::time::sleep(self.shared.config.session_grace + more);
        let late = tokio::select! {
            closed = gate.drained_or(grace) => closed.is_err(),
            never = self.pump() => match never {},
        };
        if late {
            let report = self.handles.sessions.report(now().instant);
            tracing::warn!(
                { fields::SANDBOX_ID } = %self.handles.sandbox,
                sessions = report.inside,
                "sessions did not close in time; the browser is stopped under them"
            );
        }
    }

    /// One try; what could not be cleaned up.
    pub(super) async fn stop_instance(&mut self, how: StopHow) -> Vec<String> {
        let shared = Arc::clone(&self.shared);
        let lifecycle = self.handles.lifecycle.clone();
        let call = stop_by_driver(&shared, &lifecycle, how);
        let report = tokio::select! {
            report = call => report,
            never = self.pump() => match never {},
        };
        if report.exit.is_some() {
            self.handles.note_end(|end| end.exit = report.exit);
        }
        // The last reports are already there: the end of the browser is one of them.
        while let Ok(event) = self.events.try_recv() {
            self.handle(event);
        }
        report.errors
    }

    /// For those who look at it, and for a force stop that is under way.
    fn note_errors(&self, errors: &[String]) {
        let handles = &self.handles;
        let mut core = self.shared.lock();
        core.registry.note_cleanup_errors(&handles.lifecycle, errors.to_vec());
        let sink = core.drain.errors.clone().filter(|_| !errors.is_empty());
        drop(core);
        if let Some(sink) = sink {
            sink(ForceError {
                sandbox: handles.sandbox.to_string(),
                lifecycle: handles.lifecycle.clone(),
                step: handles.progress.borrow().step,
                errors: errors.to_vec(),
            });
        }
    }
}
