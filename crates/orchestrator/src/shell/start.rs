//! The start of an incarnation: from the start slot to ready, or to nothing.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use telemetry::fields;
use telemetry::words::StopReason;
use tokio_util::sync::CancellationToken;

use super::now;
use super::task::Life;
use crate::driver::StartError;
use crate::lifecycle::{Event, State, Stop};
use crate::snapshots::SnapshotId;

/// What the driver's call came to; the outer error is a panic.
type StartOutcome = Result<Result<(), StartError>, Box<dyn std::any::Any + Send>>;

type StartCall = Pin<Box<dyn Future<Output = StartOutcome> + Send>>;

/// What a call of the driver came to.
#[derive(PartialEq, Eq)]
enum Returned {
    /// An instance.
    Started,
    /// An error, and with it the promise that nothing exists.
    Nothing,
    /// The same, of a start that is tried once more; the error.
    Again(String),
    /// A panic: nobody knows what exists.
    Remains,
}

/// What exists at the driver after the start phase.
pub(super) enum Starting {
    /// Nothing was ever asked of the driver, or it has undone everything.
    None,
    /// An instance, or the remains of one.
    Instance,
    /// The call was cancelled and still has not returned.
    Pending(StartCall),
    /// Nothing, and nobody has been told why: it may be tried once more.
    Failed(String),
}

/// What a start is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StartFor<'a> {
    /// A create or a resume.
    Client,
    /// A sandbox whose browser was closed for a save that has failed; why.
    Again(&'a str),
    /// A sandbox that was saved as this snapshot and goes on. An error of the driver is not the end
    /// of it yet.
    Checkpointed(&'a SnapshotId),
    /// The same once more, on the same profile; why the first browser did not start.
    OnceMore(&'a SnapshotId, &'a str),
}

impl StartFor<'_> {
    /// Whether the sandbox still wants it.
    fn goes_on(self, state: &State) -> bool {
        match self {
            Self::Client => {
                matches!(state, State::Starting | State::Resuming { queued: false })
            }
            Self::Again(_) => matches!(
                state,
                State::Pausing { closed: true } | State::Checkpointing { closed: true }
            ),
            Self::Checkpointed(_) | Self::OnceMore(..) => {
                *state == (State::Checkpointing { closed: true })
            }
        }
    }

    fn ready(self) -> Event {
        match self {
            Self::Client => Event::Ready,
            Self::Again(detail) => Event::SaveFailedRestored { detail: detail.to_owned() },
            Self::Checkpointed(_) | Self::OnceMore(..) => Event::Saved,
        }
    }

    fn failed(self, detail: String) -> Event {
        match self {
            Self::Client => Event::StartFailed { detail },
            Self::Again(first) => {
                let detail = format!("{first}; and it could not be started again: {detail}");
                Event::SaveFailedGone { detail }
            }
            Self::Checkpointed(id) => {
                let detail = format!(
                    "the snapshot {id} is stored, but the sandbox could not be started again: \
                     {detail}"
                );
                Event::SaveFailedGone { detail }
            }
            Self::OnceMore(id, first) => Self::Checkpointed(id).failed(if detail == first {
                format!("{detail}, twice")
            } else {
                format!("{first}; and once more: {detail}")
            }),
        }
    }

    fn late(self, detail: String) -> Event {
        match self {
            Self::Client => Event::StartDeadline { detail },
            Self::Again(_) | Self::Checkpointed(_) | Self::OnceMore(..) => self.failed(detail),
        }
    }
}

impl Life {
    /// Starts and returns when the sandbox is running or is to be ended.
    pub(super) async fn start(&mut self, why: StartFor<'_>) -> Starting {
        let shared = Arc::clone(&self.shared);
        let lifecycle = self.handles.lifecycle.clone();
        let inside = match why {
            StartFor::Client | StartFor::Checkpointed(_) | StartFor::OnceMore(..) => {
                match shared.factory_gate.enter_owned() {
                    Ok(pass) => Some(pass),
                    Err(_) => {
                        // Only a forced stop closes this gate before the starts are through.
                        let detail = "the node closed its factory gate";
                        self.apply(&Event::Force(Stop::new(StopReason::ForceStop, detail)));
                        shared.change(|registry, now| registry.start_ended(&lifecycle, now));
                        return Starting::None;
                    }
                }
            }
            // Part of work that was let in long ago, and that the drain waits for anyway.
            StartFor::Again(_) => None,
        };
        // What is started has to be found by the next daemon.
        if let Err(error) = shared.durable(&lifecycle).await
            && why == StartFor::Client
        {
            self.apply(&why.failed(error));
            shared.change(|registry, now| registry.start_ended(&lifecycle, now));
            return Starting::None;
        }
        if why == StartFor::Client
            && let Some(manifest) = self.handles.restore.clone()
            && let Err(error) = self.unpack(&manifest).await
        {
            self.apply(&why.failed(error));
            shared.change(|registry, now| registry.start_ended(&lifecycle, now));
            return Starting::None;
        }
        let cancel = CancellationToken::new();
        let mut call = self.call(cancel.clone());
        let mut progress = self.handles.progress.subscribe();
        let mut returned = None;
        loop {
            // Not held across the change below, which writes to the same place.
            let state = progress.borrow_and_update().state.clone();
            if !why.goes_on(&state) || matches!(returned, Some(Returned::Again(_))) {
                break;
            }
            if returned == Some(Returned::Started) && self.browsers.is_ready() {
                if let Err(misfit) = self.fits() {
                    // Only the first start of a sandbox is from a snapshot. Whoever hears of the
                    // failure finds the cause.
                    let _ = self.handles.misfit.set(misfit.clone());
                    self.apply(&why.failed(misfit));
                    continue;
                }
                let event = match (shared.durable_as_running(&lifecycle).await, why) {
                    (Err(error), StartFor::Client) => why.failed(error),
                    // A sandbox that ran before is not ended because a disk is full; the write is
                    // tried again.
                    (Ok(()), _)
                    | (
                        Err(_),
                        StartFor::Again(_) | StartFor::Checkpointed(_) | StartFor::OnceMore(..),
                    ) => why.ready(),
                };
                self.apply(&event);
                continue;
            }
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.handle(event),
                outcome = &mut call, if returned.is_none() => {
                    returned = Some(self.returned(outcome, why));
                    // What was reported before the call returned comes first.
                    while let Ok(event) = self.events.try_recv() {
                        self.handle(event);
                    }
                }
                _ = progress.changed() => {}
            }
        }
        let starting = match returned {
            Some(Returned::Started | Returned::Remains) => Starting::Instance,
            Some(Returned::Nothing) => Starting::None,
            // Its slot is for the next try.
            Some(Returned::Again(detail)) => return Starting::Failed(detail),
            None => self.cancelled(call, &cancel).await,
        };
        // A slot is given back when the call has returned or is given up, never before.
        shared.change(|registry, now| registry.start_ended(&lifecycle, now));
        drop(inside);
        starting
    }

    /// Whether the browser that answers may run on what it was given.
    fn fits(&self) -> Result<(), String> {
        let product = self.browsers.record().product.as_deref();
        match (&self.handles.restore, product) {
            (Some(manifest), Some(product)) => manifest.fits(product),
            (Some(_), None) | (None, _) => Ok(()),
        }
    }

    fn call(&mut self, cancel: CancellationToken) -> StartCall {
        let driver = Arc::clone(&self.shared.driver);
        let lifecycle = self.handles.lifecycle.clone();
        let mut spec = self.handles.launch().spec(lifecycle, self.profile(), &self.shared.config);
        spec.runner = self.runner_spec();
        let sink = self.sink.take();
        let call = async move {
            match sink {
                Some(sink) => driver.start(spec, sink, cancel).await,
                None => Err(StartError::Cancelled),
            }
        };
        Box::pin(AssertUnwindSafe(call).catch_unwind())
    }

    /// Says what the call came to, and tells the sandbox if it has failed.
    fn returned(&self, outcome: StartOutcome, why: StartFor<'_>) -> Returned {
        let detail = match outcome {
            Ok(Ok(())) => return Returned::Started,
            Ok(Err(error)) if matches!(why, StartFor::Checkpointed(_)) => {
                return Returned::Again(error.to_string());
            }
            Ok(Err(error @ StartError::Timeout { .. })) => {
                self.apply(&why.late(error.to_string()));
                return Returned::Nothing;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                tracing::error!({ fields::LIFECYCLE_ID } = %self.handles.lifecycle, "the driver panicked in start");
                self.apply(&why.failed("the driver panicked".to_owned()));
                return Returned::Remains;
            }
        };
        self.apply(&why.failed(detail));
        Returned::Nothing
    }

    /// Waits a while for a cancelled call, as its contract asks.
    async fn cancelled(&mut self, mut call: StartCall, cancel: &CancellationToken) -> Starting {
        cancel.cancel();
        let deadline =
            tokio::time::Instant::from_std(now().instant) + self.shared.config.cancel_grace;
        loop {
            tokio::select! {
                biased;
                outcome = &mut call => {
                    return match outcome {
                        Ok(Ok(())) => Starting::Instance,
                        Ok(Err(_)) => Starting::None,
                        Err(_) => Starting::Instance,
                    };
                }
                Some(event) = self.events.recv() => self.handle(event),
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!(
                        { fields::LIFECYCLE_ID } = %self.handles.lifecycle,
                        "a cancelled start does not return; stopping it from outside"
                    );
                    return Starting::Pending(call);
                }
            }
        }
    }
}
