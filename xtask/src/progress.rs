//! What a person sees: each step when it starts, and how long it took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Whether standard output is for results alone.
static RESULTS_ALONE: AtomicBool = AtomicBool::new(false);

/// From now on progress, and what started programs print, goes to standard error.
pub(crate) fn keep_stdout_for_results() {
    RESULTS_ALONE.store(true, Ordering::Relaxed);
}

/// Whether [`keep_stdout_for_results`] was called.
pub(crate) fn stdout_is_for_results() -> bool {
    RESULTS_ALONE.load(Ordering::Relaxed)
}

/// One line of progress.
pub(crate) fn say(line: &str) {
    if stdout_is_for_results() {
        eprintln!("{line}");
    } else {
        println!("{line}");
    }
}

/// Runs one step: says what begins, and with which result and after how long it ended.
///
/// # Errors
/// The step's own.
pub(crate) fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let from = Instant::now();
    say(&format!("==> {what}"));
    let result = run();
    let mark = if result.is_ok() { "ok" } else { "FAILED" };
    say(&format!("    {mark}: {what} ({})", seconds(from.elapsed())));
    result
}

/// Something that needed no work, or could not be done and does not have to be.
pub(crate) fn note(text: &str) {
    say(&format!("    {text}"));
}

/// A duration as a person reads it: `0.42 s`, `12.3 s`, `3 min 20 s`.
pub(crate) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.2} s", took.as_secs_f64()),
        10..100 => format!("{:.1} s", took.as_secs_f64()),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_no_needless_digits() {
        let said = |millis| seconds(Duration::from_millis(millis));
        assert_eq!(said(421), "0.42 s");
        assert_eq!(said(12_340), "12.3 s");
        assert_eq!(said(200_900), "3 min 20 s");
    }
}
