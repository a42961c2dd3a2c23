//! Pure: how long a sandbox has been unused.

use std::time::{Duration, Instant};

use super::{Due, Moment, Registry, Timer};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State};

/// Counts the time without use.
///
/// Whether sessions are open can be asked but is not announced, so after a use the clock asks in
/// short steps until nobody is there, and counts from then: an idle sandbox ends up to one step
/// late, never early.
#[derive(Debug, Clone, Copy)]
pub struct IdleClock {
    unused_since: Instant,
    asking: bool,
}

/// The longest step between two questions.
const STEP_MAX: Duration = Duration::from_secs(15);

/// The shortest step between two questions.
const STEP_MIN: Duration = Duration::from_millis(250);

impl IdleClock {
    /// Unused since `now`.
    pub fn new(now: Instant) -> Self {
        Self { unused_since: now, asking: false }
    }

    /// It is being used, or may be.
    pub fn used(&mut self, now: Instant) {
        *self = Self { unused_since: now, asking: true };
    }

    /// When to ask next; `None` if it may be unused for ever.
    pub fn next_check(&self, limit: Duration) -> Option<Instant> {
        if limit.is_zero() {
            return None;
        }
        let wait = if self.asking { (limit / 8).clamp(STEP_MIN, STEP_MAX) } else { limit };
        self.unused_since.checked_add(wait)
    }

    /// The answer to a question; true if its time is over.
    pub fn answered(&mut self, in_use: bool, limit: Duration, now: Instant) -> bool {
        if in_use {
            self.used(now);
            return false;
        }
        if self.asking {
            *self = Self::new(now);
        }
        !limit.is_zero() && now.saturating_duration_since(self.unused_since) >= limit
    }
}

impl<H: Clone> Registry<H> {
    /// A call named this sandbox, or a session on it is about to begin.
    pub fn touch(&mut self, id: &str, now: Moment) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        sandbox.idle.used(now.instant);
        let lifecycle = sandbox.record.lifecycle.clone();
        self.arm_idle(&lifecycle);
    }

    /// Whether the sandbox of a [`super::Due::CheckIdle`] is in use.
    pub fn idle_checked(&mut self, lifecycle: &LifecycleId, in_use: bool, now: Moment) -> Due<H> {
        let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else {
            return Due::Changed(Vec::new());
        };
        let limit = sandbox.record.idle;
        if sandbox.idle.answered(in_use, limit, now.instant) {
            let detail = format!("unused for {} s", limit.as_secs_f64());
            return self.expired(lifecycle.clone(), Event::Idle { detail }, now);
        }
        self.arm_idle(lifecycle);
        Due::Changed(Vec::new())
    }

    pub(super) fn arm_idle(&mut self, lifecycle: &LifecycleId) {
        let Some(sandbox) = self.by_lifecycle(lifecycle) else { return };
        let next = sandbox.idle.next_check(sandbox.record.idle);
        match next.filter(|_| sandbox.state == State::Running) {
            Some(at) => self.timers.set(Timer::Idle(lifecycle.clone()), at),
            None => self.timers.clear(&Timer::Idle(lifecycle.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(80);

    #[test]
    fn a_session_that_ended_between_two_questions_still_counts() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut clock = IdleClock::new(start);
        assert_eq!(clock.next_check(LIMIT), Some(at(80)));
        clock.used(at(70));
        assert_eq!(clock.next_check(LIMIT), Some(at(80)), "asks after a step, not after the limit");
        assert!(!clock.answered(true, LIMIT, at(80)));
        assert!(!clock.answered(false, LIMIT, at(90)));
        assert_eq!(clock.next_check(LIMIT), Some(at(170)), "counts from when nobody was there");
        assert!(clock.answered(false, LIMIT, at(170)));
    }

    #[test]
    fn no_limit_is_never_over() {
        let start = Instant::now();
        let mut clock = IdleClock::new(start);
        assert_eq!(clock.next_check(Duration::ZERO), None);
        assert!(!clock.answered(false, Duration::ZERO, start + LIMIT));
    }
}
