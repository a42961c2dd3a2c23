//! How the work of a step is run: where, and what becomes of its panic.

use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::{BoxFuture, panic_text};

/// The work of a step: how it ended, or the text of its panic. Dropping it cuts it.
pub(super) type Work = BoxFuture<'static, Result<(), String>>;

/// Runs a wait right here: when it is over at the very instant of its deadline, it is over.
pub(super) fn inline(work: impl Future<Output = ()> + Send + 'static) -> Work {
    Box::pin(async move {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.map_err(|panic| panic_text(&*panic).to_owned())
    })
}

/// Runs work on a task of its own, so that even one that blocks its thread is cut at its bound.
pub(super) fn apart(work: impl Future<Output = ()> + Send + 'static) -> Work {
    let mut task = JoinSet::new();
    task.spawn(work);
    Box::pin(async move {
        match task.join_next().await {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(match error.try_into_panic() {
                Ok(panic) => panic_text(&*panic).to_owned(),
                Err(error) => error.to_string(),
            }),
        }
    })
}

/// The end of the current work; waits for ever when there is none.
pub(super) async fn next_end(work: &mut Option<Work>) -> Result<(), String> {
    match work {
        None => pending().await,
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
    }
}
