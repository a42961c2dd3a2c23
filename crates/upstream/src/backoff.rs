//! Pure: how long to wait before trying again.

use std::time::Duration;

/// First wait (before jitter).
const FIRST: Duration = Duration::from_millis(250);
/// Longest wait (before jitter).
const MAX: Duration = Duration::from_secs(2);
/// Jitter: up to this many parts in a hundred more or less, so that many sources do not march in
/// step.
const JITTER_PERCENT: u32 = 20;

/// Waits of 250 ms, doubled up to 2 s, each 20 % more or less, for as many attempts as it takes.
/// The first success resets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A back-off that has seen no failure.
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// The wait after one more failure. `random` is any number, evenly spread over `0..=u32::MAX`.
    pub fn failed(&mut self, random: u32) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(8)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        let spread = wait * (2 * JITTER_PERCENT) / 100;
        let part = f64::from(random) / f64::from(u32::MAX);
        wait - spread / 2 + spread.mul_f64(part)
    }

    /// An attempt has succeeded: the next failure waits the shortest time again.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
