//! A request body that has to arrive within a time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whether a body was given up; shared with who answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    /// Whether it was.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request body did not arrive within the time")]
struct TooSlow;

/// Passes a body on until its time is over.
pub(super) struct InTime<B> {
    body: B,
    over: Pin<Box<Sleep>>,
    late: Late,
}

impl<B> InTime<B> {
    /// The time begins now. If it is over before the body is whole, reading it fails and `late` is
    /// set.
    pub(super) fn new(body: B, time: Duration, late: Late) -> Self {
        Self { body, over: Box::pin(tokio::time::sleep(time)), late }
    }
}

impl<B> Body for InTime<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        // Whoever sends a little again and again is late too, so the time is looked at first.
        if self.over.as_mut().poll(cx).is_ready() {
            self.late.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
