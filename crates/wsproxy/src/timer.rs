//! One timer for everything a session waits for.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::Instant;
use tokio::time::Sleep;

/// Armed for the first deadline, and left alone while deadlines move away: then it fires early, and
/// is armed again. So frames cost no timer operation.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(crate) fn is_armed(&self) -> bool {
        self.sleep.is_some()
    }

    /// Whether `deadline` may have come. If not, the task is woken then, or earlier.
    pub(crate) fn poll_until(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            if self.sleep.as_ref().is_some_and(|sleep| sleep.is_elapsed()) {
                self.sleep = None;
            }
            return false;
        };
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.sleep = None;
        true
    }
}
