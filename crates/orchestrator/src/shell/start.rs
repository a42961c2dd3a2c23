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
use crate::launch::Plan;
use crate::lifecycle::{Event, State, Stop};

/// What the driver's call came to; the outer error is a panic.
type StartOutcome = Result<Result<(), StartError>, Box<dyn std::any::Any + Send>>;

type StartCall = Pin<Box<dyn Future<Output = StartOutcome> + Send>>;

/// What a call of the driver came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned {
    /// An instance.
    Started,
    /// An error, and with it the promise that nothing exists.
    Nothing,
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
}

impl Life {
    /// Starts and returns when the sandbox is running or is to be ended.
    pub(super) async fn start(&mut self, plan: &Plan) -> Starting {
        let shared = Arc::clone(&self.shared);
        let lifecycle = self.handles.lifecycle.clone();
        let Ok(_inside) = shared.factory_gate.enter_owned() else {
            // Only a forced stop closes this gate before the starts are through.
            let detail = "the node closed its factory gate";
            self.apply(&Event::Force(Stop::new(StopReason::ForceStop, detail)));
            shared.change(|registry, now| registry.start_ended(&lifecycle, now));
            return Starting::None;
        };
        let cancel = CancellationToken::new();
        let mut call = self.call(plan, cancel.clone());
        let mut progress = self.handles.progress.subscribe();
        let mut returned = None;
        loop {
            // Not held across the change below, which writes to the same place.
            let state = progress.borrow_and_update().state.clone();
            if state != State::Starting {
                break;
            }
            if returned == Some(Returned::Started) && self.browsers.is_ready() {
                self.apply(&Event::Ready);
                continue;
            }
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.handle(event),
                outcome = &mut call, if returned.is_none() => {
                    returned = Some(self.returned(outcome));
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
            None => self.cancelled(call, &cancel).await,
        };
        // A slot is given back when the call has returned or is given up, never before.
        shared.change(|registry, now| registry.start_ended(&lifecycle, now));
        starting
    }

    fn call(&mut self, plan: &Plan, cancel: CancellationToken) -> StartCall {
        let driver = Arc::clone(&self.shared.driver);
        let spec = plan.launch_spec(self.handles.lifecycle.clone(), &self.shared.config);
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
    fn returned(&self, outcome: StartOutcome) -> Returned {
        let detail = match outcome {
            Ok(Ok(())) => return Returned::Started,
            Ok(Err(error @ StartError::Timeout { .. })) => {
                self.apply(&Event::StartDeadline { detail: error.to_string() });
                return Returned::Nothing;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                tracing::error!({ fields::LIFECYCLE_ID } = %self.handles.lifecycle, "the driver panicked in start");
                self.apply(&Event::StartFailed { detail: "the driver panicked".to_owned() });
                return Returned::Remains;
            }
        };
        self.apply(&Event::StartFailed { detail });
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
