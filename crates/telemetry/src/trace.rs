//! The trace that a caller began, kept through what its request leads to.
//!
//! A caller names it in `traceparent` (W3C Trace Context, level 1). Log lines carry it as
//! [`fields::TRACE_ID`](crate::fields::TRACE_ID), and events that are published [`within`] it as
//! `trace_id`.

mod context;
mod export;

use futures_util::future::Either;

pub use context::{TraceContext, TraceId};
pub(crate) use export::export;
pub use export::{QUEUE, SpanExport, continues};

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Runs `future` as part of `trace`, or of none.
///
/// # Cancel safety
/// That of `future`.
pub fn within<F: Future>(
    trace: Option<TraceContext>,
    future: F,
) -> impl Future<Output = F::Output> {
    match trace {
        Some(trace) => Either::Left(CURRENT.scope(trace, future)),
        None => Either::Right(future),
    }
}

/// The trace that this task is part of now. For work that goes on in another task.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trace_is_seen_inside_its_future_and_nowhere_else() {
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert!(trace.is_some());
        assert_eq!(within(trace, async { current() }).await, trace);
        assert_eq!(within(None, async { current() }).await, None);
        let mut tasks = tokio::task::JoinSet::new();
        within(trace, async { tasks.spawn(async { current() }) }).await;
        let other = tasks.join_next().await.expect("one task").expect("no panic");
        assert_eq!(other, None, "another task is another matter");
        assert_eq!(current(), None);
    }
}
