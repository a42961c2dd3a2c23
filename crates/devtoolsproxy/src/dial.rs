//! Pure: how a client that was let in reaches a browser, before it gets its 101.
//!
//! Hold while there is no browser, dial when there is one, dial again when that fails, and give up
//! after a bounded time with the refusal that says which of these it was. The plan is told what
//! happened and the time; it answers with the one thing to do next. It never dials a browser that
//! it knows to be outdated, and it never loses sight of a newer one: every event comes with the
//! state as it is now.

use std::time::{Duration, Instant};

use upstream::{Phase, UpstreamState, WsUrl};

#[cfg(test)]
mod tests;

/// How long reaching a browser may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialLimits {
    /// Longest wait for a browser that is not ready, all such waits together.
    pub hold_max: Duration,
    /// One dial: TCP and handshake.
    pub dial_attempt: Duration,
    /// From the first failed dial of one URL to the last retry of that same URL.
    pub dial_window: Duration,
    /// Everything together.
    pub total: Duration,
}

impl Default for DialLimits {
    fn default() -> Self {
        Self {
            hold_max: Duration::from_secs(10),
            dial_attempt: Duration::from_secs(2),
            dial_window: Duration::from_secs(5),
            total: Duration::from_secs(12),
        }
    }
}

/// Shortest and longest pause before the same URL is dialled again.
const PAUSE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What happened since the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client was let in.
    Admitted,
    /// The state of the browser changed.
    Changed,
    /// The time of the last step is up.
    TimeUp,
    /// The dial failed.
    Failed(DialFailure),
    /// The dial succeeded; the socket is in the caller's hands.
    Dialled,
}

/// How one dial failed, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// No connection, or no answer that makes a WebSocket.
    Refused,
    /// Nothing within the time of one attempt.
    TimedOut,
    /// The browser answered that it has no such target: trying again cannot help.
    NoSuchTarget,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait for a change of state.
    Hold {
        /// Report [`Event::TimeUp`] then.
        until: Instant,
    },
    /// Drop a dial that is under way and start this one.
    Dial {
        /// The generation that the socket will belong to.
        generation: u64,
        /// Where.
        url: WsUrl,
        /// Report [`Event::TimeUp`] then, and drop the dial.
        until: Instant,
    },
    /// Go on with what is under way.
    Continue {
        /// Report [`Event::TimeUp`] then.
        until: Instant,
    },
    /// Wait before the same URL is dialled again, watching the state.
    Pause {
        /// Report [`Event::TimeUp`] then.
        until: Instant,
    },
    /// The socket is good: answer 101.
    Open(Opened),
    /// Refuse the client.
    Refuse(GaveUp),
}

/// A browser was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The generation that the socket belongs to.
    pub generation: u64,
    /// Time spent holding.
    pub held: Duration,
    /// Time spent dialling, all attempts together.
    pub dialled: Duration,
    /// Dials that were started, this one included.
    pub attempts: u32,
}

/// No browser was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// Why.
    pub why: Unreachable,
    /// Time spent holding.
    pub held: Duration,
    /// Dials that were started.
    pub attempts: u32,
}

/// Why no browser was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// It did not become ready in time, and was never dialled.
    #[error("the browser is not ready yet")]
    NotReady,
    /// At least one dial was refused or answered wrongly.
    #[error("the browser cannot be reached")]
    Refused,
    /// Every dial timed out.
    #[error("the browser does not answer")]
    TimedOut,
    /// It ended and nobody will restart it.
    #[error("the browser has ended and will not be restarted")]
    Gone,
    /// It has no such target.
    #[error("no such target in this browser")]
    NoSuchTarget,
}

/// Where the plan stands.
#[derive(Debug)]
enum Stage {
    Holding { since: Instant, until: Instant },
    Dialling { aim: Aim, since: Instant, until: Instant },
    Pausing { aim: Aim, until: Instant },
    Over,
}

/// One URL of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aim {
    generation: u64,
    url: WsUrl,
}

/// The plan of one client.
#[derive(Debug)]
pub struct Plan {
    limits: DialLimits,
    end: Instant,
    stage: Stage,
    held: Duration,
    dialled: Duration,
    attempts: u32,
    refused: u32,
    timed_out: u32,
    /// The URL that fails, since when and how often.
    failing: Option<(Aim, Instant, u32)>,
}

impl Plan {
    /// A plan that began at `now`.
    #[must_use]
    pub fn new(limits: DialLimits, now: Instant) -> Self {
        Self {
            limits,
            end: now + limits.total,
            stage: Stage::Holding { since: now, until: now },
            held: Duration::ZERO,
            dialled: Duration::ZERO,
            attempts: 0,
            refused: 0,
            timed_out: 0,
            failing: None,
        }
    }

    /// Time spent holding until `now`.
    #[must_use]
    pub fn held(&self, now: Instant) -> Duration {
        match self.stage {
            Stage::Holding { since, .. } => self.held + now.saturating_duration_since(since),
            Stage::Dialling { .. } | Stage::Pausing { .. } | Stage::Over => self.held,
        }
    }

    /// Whether the plan is waiting for a browser.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        matches!(self.stage, Stage::Holding { .. })
    }

    /// Dials that were started so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Takes what happened, with the state as it is now, and says what to do next.
    ///
    /// `jitter` in `0.0..1.0` spreads the retries of many clients; it is drawn by the caller.
    /// After [`Step::Open`] or [`Step::Refuse`] the plan is over.
    pub fn handle(
        &mut self,
        event: Event,
        state: &UpstreamState,
        now: Instant,
        jitter: f64,
    ) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Holding { since, until } => match event {
                Event::Admitted | Event::Changed => {
                    self.held += now.saturating_duration_since(since);
                    self.look(state, now)
                }
                Event::TimeUp => {
                    self.held += now.saturating_duration_since(since);
                    match aim(state) {
                        Some(aim) if now < self.end => self.dial(aim, now),
                        Some(_) | None => self.give_up(state),
                    }
                }
                Event::Failed(_) | Event::Dialled => {
                    self.stage = Stage::Holding { since, until };
                    Step::Continue { until }
                }
            },
            Stage::Dialling { aim: current, since, until } => {
                let unchanged = match (event, aim(state), state.phase) {
                    (Event::Admitted | Event::Changed, _, Phase::Gone { .. }) => false,
                    (Event::Admitted | Event::Changed, Some(newest), _) => newest == current,
                    (Event::Admitted | Event::Changed, None, _) => true,
                    (Event::TimeUp | Event::Failed(_) | Event::Dialled, _, _) => false,
                };
                if unchanged {
                    self.stage = Stage::Dialling { aim: current, since, until };
                    return Step::Continue { until };
                }
                self.dialled += now.saturating_duration_since(since);
                match event {
                    Event::Admitted | Event::Changed => self.look(state, now),
                    Event::TimeUp => {
                        self.failed(current, DialFailure::TimedOut, since, state, now, jitter)
                    }
                    Event::Failed(how) => self.failed(current, how, since, state, now, jitter),
                    Event::Dialled => match aim(state) {
                        Some(newer) if newer != current => self.dial(newer, now),
                        Some(_) | None => Step::Open(Opened {
                            generation: current.generation,
                            held: self.held,
                            dialled: self.dialled,
                            attempts: self.attempts,
                        }),
                    },
                }
            }
            Stage::Pausing { aim: current, until } => match event {
                Event::Admitted | Event::Changed => match aim(state) {
                    Some(same) if same == current => {
                        self.stage = Stage::Pausing { aim: current, until };
                        Step::Pause { until }
                    }
                    Some(_) | None => self.look(state, now),
                },
                Event::TimeUp => self.look(state, now),
                Event::Failed(_) | Event::Dialled => {
                    self.stage = Stage::Pausing { aim: current, until };
                    Step::Continue { until }
                }
            },
            Stage::Over => self.give_up(state),
        }
    }

    /// Acts on the state alone: dial what is ready, hold for what may come, give up otherwise.
    fn look(&mut self, state: &UpstreamState, now: Instant) -> Step {
        let hold_left = self.limits.hold_max.saturating_sub(self.held);
        match (aim(state), state.phase) {
            (_, Phase::Gone { .. }) => self.give_up(state),
            _ if now >= self.end => self.give_up(state),
            (Some(aim), _) => self.dial(aim, now),
            (None, _) if hold_left.is_zero() => self.give_up(state),
            (None, _) => {
                let until = (now + hold_left).min(self.end);
                self.stage = Stage::Holding { since: now, until };
                Step::Hold { until }
            }
        }
    }

    fn dial(&mut self, aim: Aim, now: Instant) -> Step {
        if now >= self.end {
            return Step::Refuse(self.gave_up(self.why()));
        }
        let until = (now + self.limits.dial_attempt).min(self.end);
        self.attempts = self.attempts.saturating_add(1);
        let step = Step::Dial { generation: aim.generation, url: aim.url.clone(), until };
        self.stage = Stage::Dialling { aim, since: now, until };
        step
    }

    fn failed(
        &mut self,
        failed: Aim,
        how: DialFailure,
        since: Instant,
        state: &UpstreamState,
        now: Instant,
        jitter: f64,
    ) -> Step {
        match how {
            DialFailure::NoSuchTarget => {
                return Step::Refuse(self.gave_up(Unreachable::NoSuchTarget));
            }
            DialFailure::Refused => self.refused = self.refused.saturating_add(1),
            DialFailure::TimedOut => self.timed_out = self.timed_out.saturating_add(1),
        }
        if aim(state).as_ref() != Some(&failed) {
            return self.look(state, now);
        }
        let (first, count) = match self.failing.take() {
            Some((same, first, count)) if same == failed => (first, count.saturating_add(1)),
            Some(_) | None => (since, 0),
        };
        self.failing = Some((failed.clone(), first, count));
        let until = now + pause(count, jitter);
        if until > first + self.limits.dial_window || until >= self.end {
            return self.give_up(state);
        }
        self.stage = Stage::Pausing { aim: failed, until };
        Step::Pause { until }
    }

    fn give_up(&mut self, state: &UpstreamState) -> Step {
        let why = match state.phase {
            Phase::Gone { .. } => Unreachable::Gone,
            Phase::Starting | Phase::Ready | Phase::Down { .. } => self.why(),
        };
        Step::Refuse(self.gave_up(why))
    }

    fn why(&self) -> Unreachable {
        match (self.refused, self.timed_out) {
            (0, 0) => Unreachable::NotReady,
            (0, _) => Unreachable::TimedOut,
            (_, _) => Unreachable::Refused,
        }
    }

    fn gave_up(&self, why: Unreachable) -> GaveUp {
        GaveUp { why, held: self.held, attempts: self.attempts }
    }
}

/// What can be dialled now: only a browser that is ready.
fn aim(state: &UpstreamState) -> Option<Aim> {
    match (state.phase, &state.url) {
        (Phase::Ready, Some(url)) => Some(Aim { generation: state.generation, url: url.clone() }),
        (Phase::Ready, None)
        | (Phase::Starting | Phase::Down { .. } | Phase::Gone { .. }, Some(_) | None) => None,
    }
}

/// A random pause between the shortest and a bound that doubles with each failure.
fn pause(failures: u32, jitter: f64) -> Duration {
    let [shortest, longest] = PAUSE;
    let bound = shortest.saturating_mul(2u32.saturating_pow(failures + 1)).min(longest);
    shortest + (bound - shortest).mul_f64(jitter.clamp(0.0, 1.0))
}
