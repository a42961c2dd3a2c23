//! The one place that holds the state, and the handles that read it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::counts::{Counters, Counts, UrlRefusal};
use crate::model::{Applied, Model, step};
use crate::probe::{Answer, HttpProbe, Probe, Verify};
use crate::state::{Cause, Fact, Phase, UpstreamState};
use crate::url::WsUrl;

struct Shared {
    model: watch::Sender<Model>,
    /// Number of hints so far; its value means nothing, its changes do.
    hints: watch::Sender<u64>,
    restart_expected: AtomicBool,
    counters: Counters,
    probe: Arc<dyn Probe>,
    /// When a refused address was logged last.
    refusal_logged: Mutex<Option<Instant>>,
}

/// A page can print as many bad announcements as it likes; the log gets one in this time.
const REFUSAL_LOG_EVERY: Duration = Duration::from_secs(60);

/// Owner of the state: facts go in here.
///
/// It is not `Clone`, so that one owner decides when nobody will report any more: when it is
/// dropped, readers see [`Phase::Gone`]. Sources borrow it.
#[must_use = "dropping the publisher tells every reader that the browser is gone"]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl Publisher {
    /// Starts with generation 0, [`Phase::Starting`]. `restart_expected` says whether somebody is
    /// expected to start another instance after an end; see [`Upstream::restart_expected`].
    pub fn new(restart_expected: bool) -> Self {
        Self::with_probe(restart_expected, Arc::new(HttpProbe))
    }

    /// The same with another way of asking a browser who it is.
    pub fn with_probe(restart_expected: bool, probe: Arc<dyn Probe>) -> Self {
        let shared = Shared {
            model: watch::Sender::new(Model::new()),
            hints: watch::Sender::new(0),
            restart_expected: AtomicBool::new(restart_expected),
            counters: Counters::default(),
            probe,
            refusal_logged: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A handle to read the state with.
    pub fn upstream(&self) -> Upstream {
        Upstream { shared: Arc::clone(&self.shared) }
    }

    /// The state now.
    pub fn current(&self) -> UpstreamState {
        self.shared.model.borrow().state().clone()
    }

    /// Makes the step that `fact` asks for. The state is stored before anybody is woken; a fact
    /// that changes nothing wakes nobody; a step that the table lacks is counted and changes
    /// nothing. Never waits.
    pub fn apply(&self, fact: Fact) -> Applied {
        self.shared.apply(None, fact)
    }

    /// The same, but only while the state is still equal to `seen`: for a source whose look at the
    /// browser took time. Else [`Applied::Stale`], and the source looks again.
    pub fn apply_if(&self, seen: &UpstreamState, fact: Fact) -> Applied {
        self.shared.apply(Some(seen), fact)
    }

    /// Says whether somebody is expected to start another instance from now on.
    pub fn set_restart_expected(&self, expected: bool) {
        self.shared.restart_expected.store(expected, Ordering::Release);
    }

    /// Follows [`Upstream::hint`]; for sources.
    pub fn hints(&self) -> Hints {
        Hints { hints: self.shared.hints.subscribe() }
    }

    pub(crate) fn model(&self) -> Model {
        self.shared.model.borrow().clone()
    }

    pub(crate) fn probe(&self) -> &dyn Probe {
        &*self.shared.probe
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn refused_url(&self, why: UrlRefusal, host: &str, times: u64) {
        self.shared.refused_url(why, host, times);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if !self.shared.model.borrow().state().is_gone() {
            self.shared.apply(None, Fact::GaveUp { cause: Cause::UnknownExit });
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("state", &self.current()).finish_non_exhaustive()
    }
}

impl Shared {
    fn apply(&self, seen: Option<&UpstreamState>, fact: Fact) -> Applied {
        let now = Instant::now().into_std();
        let mut applied = Applied::Stale;
        let told = fact.kind();
        let published = self.model.send_if_modified(|model| {
            if seen.is_some_and(|seen| seen != model.state()) {
                return false;
            }
            let (next, effect) = step(std::mem::take(model), fact, now);
            *model = next;
            applied = effect;
            effect == Applied::Published
        });
        if published {
            self.counters.published.add(1);
            self.log(told);
        }
        if let Applied::Refused(refusal) = applied {
            self.counters.refused_steps.add(1);
            tracing::debug!(upstream.refusal = %refusal, "step refused");
        }
        applied
    }

    /// Counts each, logs at most one a minute, and of it the host only.
    fn refused_url(&self, why: UrlRefusal, host: &str, times: u64) {
        self.counters.refused_url(why, times);
        if self.may_log_refusal(Instant::now()) {
            tracing::info!(upstream.host = host, why = why.kind(), "browser address refused");
        }
    }

    fn may_log_refusal(&self, now: Instant) -> bool {
        let mut logged = self.refusal_logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.is_none_or(|at| now >= at + REFUSAL_LOG_EVERY);
        if due {
            *logged = Some(now);
        }
        due
    }

    fn log(&self, told: &'static str) {
        let state = self.model.borrow().state().clone();
        let cause = match state.phase {
            Phase::Down { cause, .. } | Phase::Gone { cause } => Some(cause.kind()),
            Phase::Starting | Phase::Ready => None,
        };
        tracing::info!(
            upstream.generation = state.generation,
            upstream.phase = state.phase.kind(),
            upstream.authority = state.url.as_ref().map(WsUrl::authority),
            upstream.cause = cause,
            upstream.fact = told,
            "browser state"
        );
    }
}

/// Cheap handle to read the state with. Clones are equal.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

impl Upstream {
    /// The state now. It is never older than any notice that was seen before the call.
    pub fn current(&self) -> UpstreamState {
        self.shared.model.borrow().state().clone()
    }

    /// A waiter for changes. It has seen nothing yet, so its first wait returns at once with the
    /// state of that moment.
    pub fn changes(&self) -> Changes {
        let mut model = self.shared.model.subscribe();
        model.mark_changed();
        Changes { model }
    }

    /// Waits until the browser is ready, or gone, or the deadline has passed. Returns at once if
    /// it is ready or gone now, whatever the deadline.
    ///
    /// # Cancel safety
    /// Nothing is lost and nothing stays behind if the future is dropped.
    pub async fn wait_ready(&self, deadline: Instant) -> WaitReady {
        let mut changes = self.changes();
        loop {
            let state = changes.current();
            match (state.phase, state.url) {
                (Phase::Ready, Some(url)) => {
                    return WaitReady::Ready { generation: state.generation, url };
                }
                (Phase::Gone { cause }, _) => return WaitReady::Gone { cause },
                (phase @ (Phase::Starting | Phase::Down { .. } | Phase::Ready), _) => {
                    if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                        return WaitReady::TimedOut { phase };
                    }
                }
            }
        }
    }

    /// Asks the browser at the address of instance `generation` whether it is that instance, once,
    /// within [`PROBE_TIMEOUT`](crate::PROBE_TIMEOUT). Changes no state. An instance that is older
    /// than the newest one is never [`Verify::SameAlive`]; one that was never ready has no address
    /// and gives [`Verify::NoAnswer`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the question.
    pub async fn verify(&self, generation: u64) -> Verify {
        let (url, is_newest) = {
            let model = self.shared.model.borrow();
            let is_newest = model.newest_url().is_some() && model.state().generation == generation;
            (model.last_url().cloned(), is_newest)
        };
        let Some(url) = url else {
            return Verify::NoAnswer;
        };
        match self.shared.probe.ask(url.host(), url.port()).await {
            Answer::Alive { guid } if is_newest && guid == url.guid() => Verify::SameAlive,
            Answer::Alive { guid } => match url.with_guid(&guid) {
                Ok(url) => Verify::OtherAlive { url },
                Err(_) => Verify::Refused,
            },
            Answer::Refused => Verify::Refused,
            Answer::NoAnswer => Verify::NoAnswer,
        }
    }

    /// Whether somebody is expected to start another instance after an end. Decides what a client
    /// is told while that is not known yet.
    pub fn restart_expected(&self) -> bool {
        self.shared.restart_expected.load(Ordering::Acquire)
    }

    /// Tells the sources that a dial has failed or a session was lost, so that they ask the
    /// browser now instead of later. Many hints at once are one. Never waits.
    pub fn hint(&self) {
        self.shared.hints.send_modify(|hints| *hints = hints.wrapping_add(1));
    }

    /// What was refused, cut or restarted so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    pub(crate) fn refused_url(&self, why: UrlRefusal, host: &str, times: u64) {
        self.shared.refused_url(why, host, times);
    }

    pub(crate) fn count_long_lines(&self, lines: u64) {
        self.shared.counters.long_lines.add(lines);
    }

    /// Number of [`Changes`] and waits that exist now, for leak checks. A source that asks the
    /// browser holds one while it runs.
    pub fn subscribers(&self) -> usize {
        self.shared.model.receiver_count()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("state", &self.current()).finish_non_exhaustive()
    }
}

/// A waiter that never misses an update.
///
/// It remembers which state it has handed out; a state that came between reading and waiting ends
/// the wait at once. States in between may be skipped: what it hands out is always the newest.
#[derive(Debug)]
#[must_use = "a waiter that is not read tells nothing"]
pub struct Changes {
    model: watch::Receiver<Model>,
}

impl Changes {
    /// The state now, which counts as seen from here on.
    pub fn current(&mut self) -> UpstreamState {
        self.model.borrow_and_update().state().clone()
    }

    /// Waits for a state that was not handed out yet. After [`Phase::Gone`] was handed out nothing
    /// can follow, and it waits for ever.
    ///
    /// # Cancel safety
    /// A state counts as seen only when it is returned, so a dropped wait loses nothing.
    pub async fn changed(&mut self) -> UpstreamState {
        if self.model.changed().await.is_err() {
            // Every handle is dropped, and the last state was seen.
            std::future::pending::<()>().await;
        }
        self.current()
    }
}

/// What [`Upstream::wait_ready`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReady {
    /// Dial `url`.
    Ready {
        /// The instance.
        generation: u64,
        /// Its address.
        url: WsUrl,
    },
    /// No instance will come again.
    Gone {
        /// Why the last one ended.
        cause: Cause,
    },
    /// Not ready in time.
    TimedOut {
        /// What it was doing at the deadline.
        phase: Phase,
    },
}

/// Follows the hints that sessions give.
#[derive(Debug)]
pub struct Hints {
    hints: watch::Receiver<u64>,
}

impl Hints {
    /// Waits for a hint that came since the last call returned. Many hints are one.
    ///
    /// # Cancel safety
    /// A hint is used up only when the call returns.
    pub async fn hinted(&mut self) {
        if self.hints.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, lockkeeper_loom))]
mod races;
#[cfg(test)]
mod tests;
