//! Operations on sandboxes that take a while: one at a time for each, one outcome for all who wait.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::handles::Handles;
use crate::ids::SandboxId;
use crate::lifecycle::{Event, State, Stop};
use crate::registry::Change;

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What was asked for.
    Done,
    /// The sandbox runs again, without the sessions that it had.
    Restored(String),
    /// It is parked as before; why it did not start.
    NotStarted(String),
    /// It is parked as before: it was not ready in time.
    TimedOut,
    /// It is parked as before: no start slot became free in time.
    NoSlot,
    /// It is parked: the node was stopped by force.
    Forced,
    /// It is ending.
    Ending(Stop),
}

/// How one hears of it.
pub(super) type Waiter = watch::Receiver<Option<Outcome>>;

/// The operations under way.
#[derive(Debug, Default)]
pub(super) struct Operations(HashMap<SandboxId, watch::Sender<Option<Outcome>>>);

impl Operations {
    /// An operation begins, or somebody joins the one under way.
    pub(super) fn join(&mut self, id: &SandboxId) -> Waiter {
        self.0.entry(id.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// A sandbox has changed: its operation may have come to its end.
    pub(super) fn handle(&mut self, change: &Change<Arc<Handles>>) {
        if self.0.is_empty() {
            return;
        }
        if let Some(outcome) = outcome(change)
            && let Some(waiters) = self.0.remove(&change.record.id)
        {
            waiters.send_replace(Some(outcome));
        }
    }
}

/// Waits for the end of an operation. One that nobody is left to end counts as cut by force.
pub(super) async fn ended(mut waiter: Waiter) -> Outcome {
    match waiter.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Outcome::Forced),
        Err(_) => Outcome::Forced,
    }
}

fn outcome(change: &Change<Arc<Handles>>) -> Option<Outcome> {
    let saving = matches!(change.from, State::Pausing { .. } | State::Checkpointing { .. });
    let resuming = matches!(change.from, State::Resuming { .. });
    match (&change.to, &change.cause) {
        (State::Stopping(stop) | State::Stopped(stop), _) => Some(Outcome::Ending(stop.clone())),
        (State::Running, Event::SaveFailedRestored { detail }) => {
            Some(Outcome::Restored(detail.clone()))
        }
        (State::Running, _) if saving || resuming => Some(Outcome::Done),
        (State::Paused { .. }, Event::Saved) => Some(Outcome::Done),
        (State::Paused { .. }, Event::Force(_)) => Some(Outcome::Forced),
        (State::Paused { .. }, Event::QueueDeadline) => Some(Outcome::NoSlot),
        (State::Paused { .. }, Event::StartDeadline { .. }) => Some(Outcome::TimedOut),
        (State::Paused { .. }, Event::StartFailed { detail }) => {
            Some(Outcome::NotStarted(detail.clone()))
        }
        (State::Paused { .. }, Event::BrowserGone(stop)) => {
            Some(Outcome::NotStarted(stop.detail.clone()))
        }
        (State::Paused { .. }, cause) if resuming => {
            Some(Outcome::NotStarted(format!("it ended while it was resumed ({cause:?})")))
        }
        _ => None,
    }
}
