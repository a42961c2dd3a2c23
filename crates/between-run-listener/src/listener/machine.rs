//! Pure: when a listener connects, waits and gives up.
//!
//! [`Machine::handle`] takes what happened and says what to do; [`Machine::deadline`] says when to
//! call again with [`Input::Timer`] if nothing happens. An attempt to connect always ends by itself,
//! so there is no deadline in [`State::Connecting`].

use std::time::{Duration, Instant};

use super::{Action, Failure, GiveUp, Input, Reason, Rules, State};

/// The shortest time between two kicks that count.
const KICK_EVERY: Duration = Duration::from_secs(1);

/// A stream that still brings bytes this long after its answer makes progress, even without an
/// event: a quiet runner with heartbeats is a healthy one.
const PROGRESS_AFTER: Duration = Duration::from_secs(30);

/// The longest delay of ours, and the longest that a `retry` field can ask for.
const LONGEST: Duration = Duration::from_secs(30);

/// The shortest delay that a `retry` field can ask for.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How fast delays grow.
const GROWTH: f64 = 1.5;

/// Most bytes that one event may have while it is being skipped.
const SKIP_BYTES: u64 = 1 << 30;

/// How long one event may be skipped.
const SKIP_TIME: Duration = Duration::from_secs(60);

/// How often in a row a runner may say 404: it may still be starting the first two times.
const NOT_FOUND_LIMIT: u32 = 3;

/// Decides for one listener, from its start to its end.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    state: State,
    failures: u32,
    not_found: u32,
    /// The runner's last `retry` field, within bounds.
    retry: Option<Duration>,
    last_byte: Option<Instant>,
    skipping_since: Option<Instant>,
    last_kick: Option<Instant>,
    reason: Option<Reason>,
}

impl Machine {
    /// A listener that begins its first attempt.
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Connecting { attempt: 1 },
            failures: 0,
            not_found: 0,
            retry: None,
            last_byte: None,
            skipping_since: None,
            last_kick: None,
            reason: None,
        }
    }

    /// What it is doing.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Connections in a row without progress.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How the last connection failed or ended.
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// When the last byte came.
    pub const fn last_byte(&self) -> Option<Instant> {
        self.last_byte
    }

    /// When to call with [`Input::Timer`], if at all.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Connecting { .. } | State::GaveUp(_) | State::Cancelled => None,
            State::Streaming { .. } => match (self.idle_at(), self.skipped_at()) {
                (Some(idle), Some(skipped)) => Some(idle.min(skipped)),
                (at, None) | (None, at) => at,
            },
            State::Waiting { until, .. } => Some(until),
        }
    }

    /// Takes what happened. `random` is any number, new for each call; it spreads the delays.
    pub fn handle(&mut self, input: Input, now: Instant, random: u32) -> Action {
        match (self.state, input) {
            (State::GaveUp(_) | State::Cancelled, _) => Action::End,
            (
                State::Connecting { .. } | State::Streaming { .. } | State::Waiting { .. },
                Input::Cancel,
            ) => {
                self.state = State::Cancelled;
                Action::End
            }

            (State::Connecting { .. }, Input::Opened) => {
                self.not_found = 0;
                self.last_byte = Some(now);
                self.skipping_since = None;
                self.state = State::Streaming { since: now, progress: false };
                Action::Nothing
            }
            (State::Connecting { .. }, Input::Failed(failure)) => self.failed(failure, now, random),
            // These come from a stream or a wait, and there is none now.
            (
                State::Connecting { .. },
                Input::Bytes { .. }
                | Input::Event
                | Input::Retry(_)
                | Input::Ended(_)
                | Input::Timer
                | Input::Kick,
            ) => Action::Nothing,

            (State::Streaming { since, .. }, Input::Bytes { skipped }) => {
                self.last_byte = Some(now);
                if now.saturating_duration_since(since) >= PROGRESS_AFTER {
                    self.progress();
                }
                if skipped == 0 {
                    self.skipping_since = None;
                } else {
                    self.skipping_since.get_or_insert(now);
                }
                // By time here too: a flood leaves the timer no turn.
                if skipped > SKIP_BYTES || self.skipped_at().is_some_and(|at| now >= at) {
                    return self.ended(Reason::TooLarge, now, random);
                }
                Action::Nothing
            }
            (State::Streaming { .. }, Input::Event) => {
                self.progress();
                Action::Nothing
            }
            (State::Streaming { .. }, Input::Retry(asked)) => {
                self.retry = Some(asked.clamp(SHORTEST, LONGEST));
                Action::Nothing
            }
            (State::Streaming { .. }, Input::Ended(reason)) => self.ended(reason, now, random),
            (State::Streaming { .. }, Input::Timer) => {
                if self.skipped_at().is_some_and(|at| now >= at) {
                    self.ended(Reason::TooLarge, now, random)
                } else if self.idle_at().is_some_and(|at| now >= at) {
                    self.ended(Reason::Idle, now, random)
                } else {
                    Action::Nothing
                }
            }
            // It is open already.
            (State::Streaming { .. }, Input::Opened | Input::Failed(_) | Input::Kick) => {
                Action::Nothing
            }

            (State::Waiting { until, .. }, Input::Timer) => {
                if now >= until {
                    self.connect()
                } else {
                    Action::Nothing
                }
            }
            (State::Waiting { .. }, Input::Kick) => {
                if self.last_kick.is_some_and(|last| now < last + KICK_EVERY) {
                    return Action::Nothing;
                }
                self.last_kick = Some(now);
                self.connect()
            }
            // There is no connection that these could come from.
            (
                State::Waiting { .. },
                Input::Opened
                | Input::Failed(_)
                | Input::Bytes { .. }
                | Input::Event
                | Input::Retry(_)
                | Input::Ended(_),
            ) => Action::Nothing,
        }
    }

    fn idle_at(&self) -> Option<Instant> {
        Some(self.last_byte? + self.rules.idle?)
    }

    fn skipped_at(&self) -> Option<Instant> {
        Some(self.skipping_since? + SKIP_TIME)
    }

    fn progress(&mut self) {
        self.failures = 0;
        if let State::Streaming { progress, .. } = &mut self.state {
            *progress = true;
        }
    }

    const fn connect(&mut self) -> Action {
        self.state = State::Connecting { attempt: self.failures + 1 };
        Action::Connect
    }

    fn failed(&mut self, failure: Failure, now: Instant, random: u32) -> Action {
        let mut reason = failure.reason;
        if reason == Reason::Http(404) {
            self.not_found += 1;
            if self.not_found >= NOT_FOUND_LIMIT {
                reason = Reason::NotFound;
            }
        } else {
            self.not_found = 0;
        }
        self.failures += 1;
        self.wait_or_give_up(reason, failure.retry_after, now, random)
    }

    fn ended(&mut self, reason: Reason, now: Instant, random: u32) -> Action {
        let progress = matches!(self.state, State::Streaming { progress: true, .. });
        // An endless event is a failure, however much came before it.
        if !progress || reason == Reason::TooLarge {
            self.failures += 1;
        }
        self.wait_or_give_up(reason, None, now, random)
    }

    fn wait_or_give_up(
        &mut self,
        reason: Reason,
        retry_after: Option<Duration>,
        now: Instant,
        random: u32,
    ) -> Action {
        self.reason = Some(reason);
        self.skipping_since = None;
        if reason.is_permanent() {
            self.state = State::GaveUp(GiveUp::Permanent(reason));
            return Action::End;
        }
        if self.failures >= self.rules.failures {
            self.state = State::GaveUp(GiveUp::NoProgress(reason));
            return Action::End;
        }
        let until = now + self.delay(retry_after, random);
        self.state = State::Waiting { until, failures: self.failures };
        Action::Wait
    }

    /// Never none: also a stream that made progress is followed by a short wait, so that a runner
    /// which closes at once is not asked in a circle.
    fn delay(&self, retry_after: Option<Duration>, random: u32) -> Duration {
        let part = f64::from(random) / (f64::from(u32::MAX) + 1.0);
        let ours = self.rules.retry_min.unwrap_or(Duration::from_secs(1));
        let base =
            self.retry.map_or(ours, |asked| asked.max(self.rules.retry_min.unwrap_or(asked)));
        let nth = i32::try_from(self.failures.max(1) - 1).unwrap_or(i32::MAX);
        let grown = (base.as_secs_f64() * GROWTH.powi(nth)).min(LONGEST.as_secs_f64());
        let drawn = if self.retry.is_some() {
            grown * (1.0 + part / 4.0)
        } else {
            grown * (1.0 + part) / 2.0
        };
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX).as_secs_f64();
        Duration::from_secs_f64(drawn.max(asked * (1.0 + part / 4.0)))
    }
}

#[cfg(test)]
mod tests;
