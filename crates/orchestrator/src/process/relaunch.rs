//! Pure: what follows when a browser ends that nobody told to end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use upstream::Cause;

use crate::driver::{GoneWhy, OnExit};

/// The second relaunch in a window waits this long; each further one twice as long as the last.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// No relaunch waits longer, apart from jitter.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How far jitter moves a delay: 20 % either way, so that browsers that died together do not start
/// together again and again.
const JITTER: f64 = 0.2;

/// What to do after an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Start the next generation after this time.
    Relaunch(Duration),
    /// Never again.
    Gone(GoneWhy),
}

/// The policy of one instance, with what it remembers of earlier ends.
#[derive(Debug)]
pub(crate) struct Policy {
    on_crash: OnExit,
    on_close: OnExit,
    crash_max: u32,
    window: Duration,
    /// Ends within the window, oldest first. Bounded: it is cut to what the limit and the longest
    /// delay need.
    ends: VecDeque<(Instant, Cause)>,
}

/// More ends than this change nothing: the delay has reached its longest.
const REMEMBERED: usize = 64;

impl Policy {
    /// A limit of 0 means the same as 1: the first crash ends the instance.
    pub(crate) fn new(
        on_crash: OnExit,
        on_close: OnExit,
        crash_max: u32,
        window: Duration,
    ) -> Self {
        Self { on_crash, on_close, crash_max, window, ends: VecDeque::new() }
    }

    /// A browser ended that nobody told to end. `chance` is a random number of 0 to 1.
    ///
    /// Exit code 0 is a close and everything else a crash. Closes do not count towards the limit,
    /// but slow each other down like crashes, so that a browser that always closes at once cannot
    /// spin. A browser that the kernel killed for its memory is not started again: with the same
    /// profile and the same limit it would most likely end the same way.
    pub(crate) fn handle_end(&mut self, now: Instant, cause: Cause, chance: f64) -> Decision {
        while self.ends.front().is_some_and(|(at, _)| now.duration_since(*at) > self.window) {
            self.ends.pop_front();
        }
        if self.ends.len() == REMEMBERED {
            self.ends.pop_front();
        }
        self.ends.push_back((now, cause));
        match (cause, self.on_close, self.on_crash) {
            (Cause::OomKilled, _, _) => return Decision::Gone(GoneWhy::Crashed),
            (Cause::Exited { code: 0 }, OnExit::Stop, _) => return Decision::Gone(GoneWhy::Closed),
            (Cause::Exited { code: 0 }, OnExit::Relaunch, _) => {}
            (_, _, OnExit::Stop) => return Decision::Gone(GoneWhy::Crashed),
            (_, _, OnExit::Relaunch) => {
                let crashes: Vec<Cause> = self
                    .ends
                    .iter()
                    .map(|(_, cause)| *cause)
                    .filter(|cause| *cause != Cause::Exited { code: 0 })
                    .collect();
                if crashes.len() >= self.crash_max as usize {
                    return Decision::Gone(GoneWhy::GaveUp(crashes));
                }
            }
        }
        Decision::Relaunch(delay(self.ends.len(), chance))
    }
}

/// How long the relaunch after the `count`th end in a window waits.
fn delay(count: usize, chance: f64) -> Duration {
    let Some(doublings) = count.checked_sub(2) else { return Duration::ZERO };
    let doublings = u32::try_from(doublings.min(16)).unwrap_or(16);
    let plain = FIRST_DELAY.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_DELAY);
    plain.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
