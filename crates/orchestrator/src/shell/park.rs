//! Parking a sandbox: its browser is closed, its profile kept, and the rest of it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use draingate::OwnedPass;
use futures_util::FutureExt;
use telemetry::fields;
use upstream::Publisher;

use super::checkpoint::Job;
use super::handles::{Handles, LifeStep};
use super::now;
use super::start::{StartFor, Starting};
use super::stop::{CLEANUP_TRIES, Profile, cleanup_wait, stop_by_driver};
use super::task::{Incarnation, Life};
use crate::driver::{BoxFuture, Closed, OnExit, ProfileError, ProfileId, StopHow};
use crate::ids::random_lifecycle;
use crate::lifecycle::{Event, State};

impl Life {
    /// The kept profile that the sandbox runs on, or will.
    pub(super) fn profile(&self) -> Option<ProfileId> {
        let core = self.shared.lock();
        let sandbox = core.registry.by_lifecycle(&self.handles.lifecycle);
        sandbox.and_then(|sandbox| sandbox.record.profile.clone())
    }

    /// From `Pausing` to `Paused`, to `Running` as another incarnation, or to the sandbox's end.
    /// Everything that can be refused was refused before. Returns what exists at the driver.
    pub(super) async fn park(&mut self, starting: Starting) -> Starting {
        // Held until the sandbox runs again or ends: a drain waits for a checkpoint that was let in.
        let job = self.handles.take_job();
        let left = self.save_and(starting, job.as_ref()).await;
        if job.is_some() {
            self.free_slot();
        }
        left
    }

    async fn save_and(&mut self, mut starting: Starting, job: Option<&Job>) -> Starting {
        self.handles.step(LifeStep::Sessions);
        self.close_sessions(Duration::ZERO).await;
        self.apply(&Event::ClosingBrowser);
        if !closing(&self.state()) {
            return starting;
        }
        self.handles.step(LifeStep::Save);
        let profile = self.profile().unwrap_or_else(|| ProfileId::of(&self.handles.lifecycle));
        let failed = match self.save(&profile).await {
            Ok(()) => match job {
                None => {
                    self.apply(&Event::Saved);
                    return starting;
                }
                Some(job) => match self.go_on(starting, &profile, job).await {
                    Ok(starting) => return starting,
                    Err((left, detail)) => {
                        starting = left;
                        detail
                    }
                },
            },
            Err(detail) => detail,
        };
        tracing::warn!(
            { fields::SANDBOX_ID } = %self.handles.sandbox,
            { fields::LIFECYCLE_ID } = %self.handles.lifecycle,
            error = failed,
            "a save has failed; the sandbox is started again"
        );
        self.restart(&profile, failed).await.unwrap_or(starting)
    }

    /// A checkpoint that was let in and came to nothing before it was begun.
    pub(super) fn drop_job(&self) {
        if self.handles.take_job().is_some() {
            self.free_slot();
        }
    }

    fn free_slot(&self) {
        let lifecycle = &self.handles.lifecycle;
        self.shared.change(|registry, now| registry.start_ended(lifecycle, now));
    }

    /// Closes the browser and keeps the profile, durably, together with the record that says so.
    async fn save(&mut self, profile: &ProfileId) -> Result<(), String> {
        let (shared, lifecycle) = (Arc::clone(&self.shared), self.handles.lifecycle.clone());
        let driver = Arc::clone(&shared.driver);
        let limit = shared.config.close_timeout;
        let close = driver.close_clean(lifecycle.clone(), limit);
        match self.driven(close).await? {
            Closed::Cleanly { .. } => {}
            Closed::Otherwise { cause } => {
                return Err(format!("the browser did not close by its own protocol: {cause}"));
            }
        }
        shared.change(|registry, now| {
            registry.note_closed(&lifecycle, profile, shared.config.paused_ttl, now);
            Vec::new()
        });
        shared.durable(&lifecycle).await?;
        let kept = self.driven(driver.save(lifecycle.clone(), profile.clone())).await?;
        self.handles.note_save(|save| save.bytes = Some(kept.bytes));
        shared.change(|registry, _| {
            registry.note_saved(&lifecycle, true);
            Vec::new()
        });
        // Not paused before the record says so for good.
        shared.durable(&lifecycle).await
    }

    /// Starts the browser again on the profile of one that was closed in vain. `None`: the sandbox
    /// ends, or already ended, and what existed at the driver still does.
    async fn restart(&mut self, profile: &ProfileId, why: String) -> Option<Starting> {
        let (shared, last) = (Arc::clone(&self.shared), self.handles.lifecycle.clone());
        let driver = Arc::clone(&shared.driver);
        shared.change(|registry, _| {
            registry.note_saved(&last, false);
            Vec::new()
        });
        let gone = |detail: String| Event::SaveFailedGone { detail };
        // It may have failed before the browser was gone.
        let kill = async {
            driver.kill(last.clone()).await;
            Ok(())
        };
        let _ = self.driven(Box::pin(kill)).await;
        // Whatever the browser left, it is its best profile.
        if let Err(error) = self.driven(driver.save(last.clone(), profile.clone())).await {
            self.apply(&gone(format!("{why}; and its profile is lost: {error}")));
            return None;
        }
        shared.change(|registry, _| {
            registry.note_profile(&last, Some(profile.clone()));
            Vec::new()
        });
        if !restartable(&self.state()) {
            // A forced stop came in between: nothing is started any more, and nothing was saved.
            self.apply(&gone(why));
            return None;
        }
        let errors = self.stop_instance(StopHow::Fast).await;
        self.leave_behind(errors);
        let Some(next) = self.renew() else {
            self.apply(&gone(why));
            return Some(Starting::None);
        };
        self.become_next(next);
        self.handles.step(LifeStep::Start);
        Some(self.start(StartFor::Again(&why)).await)
    }

    /// Goes on removing what is left of an incarnation whose processes are dead, beside the next one.
    /// A drain waits for that.
    pub(super) fn leave_behind(&self, mut errors: Vec<String>) {
        if errors.is_empty() {
            return;
        }
        let (shared, lifecycle) = (Arc::clone(&self.shared), self.handles.lifecycle.clone());
        shared.change(|registry, _| {
            registry.note_remains();
            Vec::new()
        });
        self.shared.tasks.spawn(async move {
            let remove = async {
                for tries in 1..CLEANUP_TRIES {
                    tracing::warn!({ fields::LIFECYCLE_ID } = %lifecycle, ?errors, "not removed yet");
                    tokio::time::sleep(cleanup_wait(tries)).await;
                    errors = stop_by_driver(&shared, &lifecycle, StopHow::Fast).await.errors;
                    if errors.is_empty() {
                        return;
                    }
                }
                tracing::error!({ fields::LIFECYCLE_ID } = %lifecycle, ?errors, "not removed");
            };
            tokio::select! {
                () = shared.abandon.cancelled() => {}
                () = remove => {}
            }
            shared.change(|registry, _| {
                registry.remains_ended();
                Vec::new()
            });
        });
    }

    /// The next incarnation of the same sandbox, in the same place and state.
    pub(super) fn renew(&mut self) -> Option<Incarnation> {
        let shared = &self.shared;
        let publisher = Publisher::new(self.handles.launch().on_crash() == OnExit::Relaunch);
        let mut core = shared.lock();
        let state = self.state();
        if !restartable(&state) {
            return None;
        }
        let next = Arc::new(Handles::new(
            self.handles.sandbox.clone(),
            random_lifecycle(),
            state,
            publisher.upstream(),
            self.handles.launch(),
            shared.metrics.as_ref(),
        ));
        // The operation is the same.
        next.note_save(|save| *save = self.handles.save());
        let (last, handle) = (&self.handles.lifecycle, Arc::clone(&next));
        core.registry.renew(last, &next.lifecycle, handle).then(|| {
            self.handles.retire();
            Incarnation::new(next, publisher)
        })
    }

    /// Ends what is left of the last incarnation besides its profile, and waits until the sandbox is
    /// resumed or ends. What the next incarnation was let in by.
    pub(super) async fn parked(&mut self, starting: Starting) -> Option<OwnedPass> {
        self.drop_job();
        self.handles.step(LifeStep::Stop);
        self.clean_up(starting, StopHow::Fast, Profile::Keep).await;
        self.handles.step(LifeStep::Parked);
        self.shared.change(|registry, now| {
            // A start that never began has a slot all the same.
            let changes = registry.start_ended(&self.handles.lifecycle, now);
            registry.released(&self.handles.lifecycle);
            changes
        });
        self.shared.settled(&mut self.shared.lock());
        let mut progress = self.handles.progress.subscribe();
        loop {
            if !matches!(progress.borrow_and_update().state, State::Paused { .. }) {
                return None;
            }
            if let Some(next) = self.handles.successor() {
                return self.become_next(next);
            }
            // The sender lives in `handles`.
            let _ = progress.changed().await;
        }
    }

    /// Drives a call of the driver, taking its reports meanwhile. A panic is an error too.
    async fn driven<T>(
        &mut self,
        call: BoxFuture<'_, Result<T, ProfileError>>,
    ) -> Result<T, String> {
        let mut call = AssertUnwindSafe(call).catch_unwind();
        let outcome = tokio::select! {
            outcome = &mut call => outcome,
            never = self.pump() => match never {},
        };
        // What was reported before the call returned comes first.
        while let Ok(event) = self.events.try_recv() {
            self.handle(event);
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                tracing::error!({ fields::LIFECYCLE_ID } = %self.handles.lifecycle, "the driver panicked");
                Err("the driver panicked".to_owned())
            }
        }
    }

    /// For an operation's event: when it began, and since when the sandbox could not be used.
    pub(super) fn began(handles: &Handles, parted: Option<std::time::Instant>) {
        handles.note_save(|save| {
            save.began = Some(now().instant);
            save.parted = parted;
        });
    }
}

/// Whether the browser is to be closed, by the table.
fn closing(state: &State) -> bool {
    matches!(state, State::Pausing { closed: true } | State::Checkpointing { closed: true })
}

/// Whether a sandbox whose save has failed may be started again: not in a forced stop.
fn restartable(state: &State) -> bool {
    closing(state)
}
