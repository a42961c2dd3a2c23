//! A source that ends or panics is started again, with back-off; its state stays.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use crate::backoff::Backoff;
use crate::publish::Publisher;

/// Why one run of a source is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nobody will start another browser.
    Gone,
    /// Something it needs has failed.
    Failed(&'static str),
}

/// Set by a source when something has worked, so that its next failure waits the shortest time.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicBool);

impl Progress {
    pub(crate) fn made(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The waits between the runs of one source.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    backoff: Backoff,
}

impl Restarts {
    /// Waits before the next run. `false`: there is none.
    pub(crate) async fn again(
        &mut self,
        publisher: &Publisher,
        source: &'static str,
        progress: &Progress,
        outcome: Result<End, Panicked>,
    ) -> bool {
        if outcome == Ok(End::Gone) {
            return false;
        }
        if progress.0.swap(false, Ordering::Relaxed) {
            self.backoff.succeeded();
        }
        publisher.counters().source_restarts.add(1);
        let wait = self.backoff.failed(fastrand::u32(..));
        match outcome {
            Ok(End::Failed(why)) => {
                tracing::warn!(upstream.source = source, why, ?wait, "source ended");
            }
            Err(Panicked(message)) => {
                tracing::error!(upstream.source = source, message, ?wait, "source panicked");
            }
            Ok(End::Gone) => {}
        }
        tokio::time::sleep(wait).await;
        true
    }
}

/// The message of a panic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked(String);

impl Panicked {
    fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self(message.unwrap_or_else(|| "panic without a message".to_owned()))
    }
}

/// Runs `future` and catches its panic. A panicked future is not polled again.
pub(crate) async fn guarded<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(payload) => Poll::Ready(Err(Panicked::from_payload(&*payload))),
    })
    .await
}

#[cfg(test)]
mod tests;
