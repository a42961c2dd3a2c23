//! One instance, as the calls of the driver see it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use upstream::{Cause, WsUrl};

use super::log_ring::LogRing;
use super::owner::Owner;
use super::restart::Desk;
use crate::driver::{Closed, LifecycleId, ProfileId, StopHow, StopReport};

/// How long a fast stop gives the browser.
const FAST_GRACE: Duration = Duration::from_secs(2);

/// What an instance was told. It only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// End it and clean up.
    pub(crate) stop: Option<StopHow>,
    /// No browser may live any more.
    pub(crate) killed: bool,
    /// Close the browser by its own protocol, within this time, and keep the rest.
    pub(crate) close: Option<Duration>,
    /// How many attempts to clean up were asked for.
    pub(crate) attempts: u32,
    /// The driver closes: no attempt comes after the last one that was asked for.
    pub(crate) last: bool,
}

impl Orders {
    /// Whether no browser may be started any more.
    pub(crate) fn ends(&self) -> bool {
        self.killed || self.stop.is_some() || self.close.is_some()
    }

    /// How long the browser has from SIGTERM on.
    pub(crate) fn grace(&self, graceful: Duration) -> Duration {
        match (self.killed, self.stop) {
            (true, _) => Duration::ZERO,
            (false, Some(StopHow::Fast)) => graceful.min(FAST_GRACE),
            (false, Some(StopHow::Graceful) | None) => graceful,
        }
    }

    fn stop(&mut self, how: StopHow) {
        self.stop = match (self.stop, how) {
            (None, how) => Some(how),
            (Some(StopHow::Fast), _) | (_, StopHow::Fast) => Some(StopHow::Fast),
            (Some(StopHow::Graceful), StopHow::Graceful) => Some(StopHow::Graceful),
        };
    }
}

/// What an attempt to clean up came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Attempts so far.
    pub(crate) attempt: u32,
    pub(crate) report: StopReport,
    /// No further attempt will come.
    pub(crate) over: bool,
}

/// The handle that calls share with the task that runs the instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) lifecycle: LifecycleId,
    orders: watch::Sender<Orders>,
    pub(crate) outcome: watch::Sender<Option<Outcome>>,
    /// Whether a process of it may be alive.
    pub(crate) alive: watch::Sender<bool>,
    /// Where its browser listens, while one answers.
    address: Mutex<Option<WsUrl>>,
    /// The kept profile that it runs on, if it does.
    pub(crate) profile: Option<ProfileId>,
    /// How its browser was closed to be parked, once it was.
    pub(crate) closed: watch::Sender<Option<Closed>>,
    /// Where a restart is asked for.
    pub(crate) desk: Desk,
    /// What its processes say.
    pub(crate) log: Arc<Mutex<LogRing>>,
    /// Set as soon as there can be processes.
    pub(crate) owner: OnceLock<Arc<Owner>>,
}

impl Instance {
    pub(crate) fn new(lifecycle: LifecycleId, profile: Option<ProfileId>) -> Arc<Self> {
        Arc::new(Self {
            lifecycle,
            orders: watch::Sender::new(Orders::default()),
            outcome: watch::Sender::new(None),
            alive: watch::Sender::new(false),
            profile,
            closed: watch::Sender::new(None),
            address: Mutex::new(None),
            desk: Desk::default(),
            log: Arc::default(),
            owner: OnceLock::new(),
        })
    }

    /// Where its browser listens, while one answers.
    pub(crate) fn url(&self) -> Option<WsUrl> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_url(&self, url: Option<WsUrl>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    pub(crate) fn orders(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    /// Orders the end and waits for the attempt to clean up that follows.
    ///
    /// # Cancel safety
    /// The order stays when the future is dropped.
    pub(crate) async fn stop(&self, how: StopHow, last: bool) -> StopReport {
        let mut outcome = self.outcome.subscribe();
        let done = outcome.borrow().as_ref().map_or(0, |outcome| outcome.attempt);
        self.orders.send_modify(|orders| {
            orders.stop(how);
            orders.attempts = orders.attempts.max(done + 1);
            orders.last |= last;
        });
        let ended =
            outcome.wait_for(|o| o.as_ref().is_some_and(|o| o.over || o.attempt > done)).await;
        match ended.as_deref() {
            Ok(Some(outcome)) => outcome.report.clone(),
            // The sender lives in `self`.
            Ok(None) | Err(_) => StopReport::default(),
        }
    }

    /// Orders the browser's own orderly end and waits until none runs, and none ever will.
    ///
    /// # Cancel safety
    /// The order stays when the future is dropped.
    pub(crate) async fn close(&self, limit: Duration) -> Closed {
        let mut closed = self.closed.subscribe();
        self.orders.send_modify(|orders| orders.close = orders.close.or(Some(limit)));
        let ended = closed.wait_for(Option::is_some).await;
        // The sender lives in `self`, and the task that ends in a panic says so as well.
        let unknown = Closed::Otherwise { cause: Cause::UnknownExit };
        ended.ok().and_then(|closed| *closed).unwrap_or(unknown)
    }

    /// Forbids every browser, without waiting.
    pub(crate) fn forbid(&self) {
        self.orders.send_modify(|orders| orders.killed = true);
    }

    /// No browser runs and none will: whoever wanted it closed cleanly did not get that, unless it is
    /// known already.
    pub(crate) fn note_closed(&self, cause: Cause) {
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(Closed::Otherwise { cause });
            first
        });
    }

    /// Waits until no process of it can be alive.
    pub(crate) async fn still(&self) {
        let _ = self.alive.subscribe().wait_for(|alive| !alive).await;
    }
}

/// Tells the waiting calls also when the task that runs an instance ends in a panic.
#[derive(Debug)]
pub(crate) struct Farewell(pub(crate) Arc<Instance>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.note_closed(Cause::UnknownExit);
        self.0.desk.close();
        self.0.outcome.send_if_modified(|outcome| {
            if outcome.as_ref().is_some_and(|outcome| outcome.over) {
                return false;
            }
            let attempt = outcome.as_ref().map_or(1, |outcome| outcome.attempt.saturating_add(1));
            let errors = vec!["the task that ran the sandbox ended early".to_owned()];
            let report = StopReport { errors, ..StopReport::default() };
            *outcome = Some(Outcome { attempt, report, over: true });
            true
        });
    }
}

#[cfg(test)]
mod tests;
