//! Closing what the daemon opened, last opened first, each within its bound.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::plan::CLOSE_SPARE;
use crate::{BoxFuture, panic_text};

/// Something that has to be closed at the end.
pub(crate) struct Closer {
    pub(crate) name: &'static str,
    pub(crate) bound: Duration,
    pub(crate) close: Box<dyn FnOnce(Instant) -> BoxFuture<'static, Result<(), String>> + Send>,
}

/// How one closer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloserReport {
    /// Which one.
    pub name: &'static str,
    /// How.
    pub outcome: CloserOutcome,
    /// How long it took.
    pub took: Duration,
}

/// How a closer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloserOutcome {
    /// Closed.
    Closed,
    /// It said why not.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It was cut at its bound, or by a third signal.
    Cut,
}

impl fmt::Display for CloserReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.took.as_millis();
        match &self.outcome {
            CloserOutcome::Closed => write!(f, "{}: closed in {ms} ms", self.name),
            CloserOutcome::Failed(why) => write!(f, "{}: failed after {ms} ms: {why}", self.name),
            CloserOutcome::Panicked(why) => write!(f, "{}: panicked: {why}", self.name),
            CloserOutcome::Cut => write!(f, "{}: still not closed after {ms} ms", self.name),
        }
    }
}

/// The outcome of flushing a log to a console, as a closer should see it: a terminal or pipe that cannot
/// be flushed, or is closed already, has lost nothing.
///
/// # Errors
/// Everything else.
pub fn console_flushed(flushed: io::Result<()>) -> io::Result<()> {
    use rustix::io::Errno;
    let harmless = [Errno::INVAL, Errno::NOTTY, Errno::BADF].map(Errno::raw_os_error);
    match flushed {
        Err(error) if error.raw_os_error().is_some_and(|code| harmless.contains(&code)) => Ok(()),
        other => other,
    }
}

/// The reports so far, kept outside the task that closes so that cutting it loses none.
#[derive(Debug, Clone, Default)]
pub(super) struct CloserReports(Arc<Mutex<Vec<CloserReport>>>);

impl CloserReports {
    fn begin(&self, name: &'static str) {
        let report = CloserReport { name, outcome: CloserOutcome::Cut, took: Duration::ZERO };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    fn end(&self, outcome: CloserOutcome, took: Duration) {
        if let Some(last) = self.0.lock().unwrap_or_else(PoisonError::into_inner).last_mut() {
            (last.outcome, last.took) = (outcome, took);
        }
    }

    pub(super) fn list(&self) -> Vec<CloserReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs the closers in the reverse order of their registration. `shared` is the time they have
/// together; each gets at least its share of the spare time, so that no closer is left out.
pub(super) async fn close_all(closers: Vec<Closer>, shared: Duration, reports: CloserReports) {
    let began = Instant::now();
    let count = u32::try_from(closers.len()).unwrap_or(u32::MAX).max(1);
    let share = CLOSE_SPARE / count;
    for Closer { name, bound, close } in closers.into_iter().rev() {
        let start = Instant::now();
        let until = start + closer_bound(bound, (began + shared).duration_since(start), share);
        reports.begin(name);
        // A task of its own: one that blocks its thread or panics is cut like one that waits.
        let mut task = JoinSet::new();
        task.spawn(async move { close(until).await });
        let outcome = match timeout_at(until, task.join_next()).await {
            Ok(None) | Ok(Some(Ok(Ok(())))) => CloserOutcome::Closed,
            Ok(Some(Ok(Err(why)))) => CloserOutcome::Failed(why),
            Ok(Some(Err(error))) => CloserOutcome::Panicked(match error.try_into_panic() {
                Ok(panic) => panic_text(&*panic).to_owned(),
                Err(error) => error.to_string(),
            }),
            Err(_) => CloserOutcome::Cut,
        };
        reports.end(outcome, start.elapsed());
    }
}

/// Pure: the time of one closer, from its own bound, what is left of the shared time, and its share of
/// the spare time.
pub(super) fn closer_bound(own: Duration, left: Duration, share: Duration) -> Duration {
    own.min(left.max(share))
}
