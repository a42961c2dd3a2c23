//! Spans on their way to an OTLP receiver.
//!
//! A span that ends is put into a bounded queue without waiting; one task sends them in batches.
//! While the receiver is down the queue fills, and what does not fit is dropped and counted: spans
//! are for looking into, events are what must not be lost.

mod encode;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TraceContext;
use crate::sinks::{Client, Otlp, Refused, Then};

/// Spans between their end and the receiver: the default of OpenTelemetry's own batch processor
/// (`OTEL_BSP_MAX_QUEUE_SIZE`).
pub const QUEUE: usize = 2_048;
/// Spans in one request, its default too (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;
/// How long a batch that is not full waits for more.
const WAIT: Duration = Duration::from_secs(1);
/// Pauses after the receiver did not take a batch: they double between these.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];

/// Makes `span` a part of the caller's trace. Nothing happens while no spans are exported.
pub fn continues(span: &tracing::Span, trace: TraceContext) {
    let parent = SpanContext::new(
        TraceId::from_bytes(trace.trace_id().to_bytes()),
        SpanId::from_bytes(trace.parent_id()),
        if trace.sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
        true,
        TraceState::NONE,
    );
    // It fails where nobody exports, and there is nothing to do about that.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// A tracer whose spans go to `receiver`, and the task that sends them. Every span is recorded,
/// unless the caller whose trace it is part of does not record it.
pub(crate) fn export(receiver: Otlp, service: &'static str) -> (SdkTracer, SpanExport) {
    let (sender, outlet) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = Queue { sender, dropped: Arc::clone(&dropped) };
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_span_processor(queue)
        .build();
    let client = Client::new(receiver);
    (
        provider.tracer("lockkeeper"),
        SpanExport { service, outlet, batch: Vec::new(), client, dropped },
    )
}

/// The end of the queue that spans are put into.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<SpanData>,
    dropped: Arc<AtomicU64>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The task sends what is queued when it ends.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends spans. [`run`](Self::run) it for as long as the process works.
#[must_use = "no span is sent until it runs"]
pub struct SpanExport {
    service: &'static str,
    outlet: mpsc::Receiver<SpanData>,
    /// Taken out of the queue and not yet with the receiver.
    batch: Vec<SpanData>,
    client: Client,
    dropped: Arc<AtomicU64>,
}

impl SpanExport {
    /// Sends spans until `stop`, and then, for at most `grace`, what is still queued.
    ///
    /// # Cancel safety
    /// Dropping it loses the spans that are queued or on their way.
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) {
        {
            let mut stop = pin!(stop);
            let mut sending = pin!(self.send_all());
            // Both in one task: it ends when it is told to, whatever the receiver does.
            poll_fn(|cx| {
                if stop.as_mut().poll(cx).is_ready() {
                    return std::task::Poll::Ready(());
                }
                sending.as_mut().poll(cx)
            })
            .await;
        }
        self.outlet.close();
        let left = timeout(grace, self.send_all()).await;
        let unsent = self.batch.len() + self.outlet.len();
        let lost = unsent as u64 + self.dropped.swap(0, Ordering::Relaxed);
        if left.is_err() || lost > 0 {
            tracing::warn!(lost, "spans were not sent before the end");
        }
    }

    /// Ends when the queue is closed and empty.
    ///
    /// # Cancel safety
    /// What was taken out of the queue stays in the batch; a request on its way may arrive twice.
    async fn send_all(&mut self) {
        let mut pause = PAUSE[0];
        loop {
            if self.batch.is_empty() {
                let Some(first) = self.outlet.recv().await else { return };
                self.batch.push(first);
                // More may come; a full or closed queue does not wait.
                let fill = async {
                    while self.batch.len() < BATCH {
                        let Some(span) = self.outlet.recv().await else { return };
                        self.batch.push(span);
                    }
                };
                let _ = timeout(WAIT, fill).await;
            }
            let json = encode::request(self.service, &self.batch);
            let sent = self.client.send("traces", &json).await;
            let Err(Refused { error, then, .. }) = sent else {
                self.batch.clear();
                pause = PAUSE[0];
                self.tell_dropped();
                continue;
            };
            tracing::debug!(%error, "spans were not taken");
            let wait = match then {
                Then::Retry => pause,
                Then::RetryAfter(wait) => wait,
                // Half of it may fit; what the receiver will never take is gone.
                Then::Split => {
                    self.keep(self.batch.len() / 2);
                    continue;
                }
                Then::Drop => {
                    self.keep(0);
                    continue;
                }
            };
            sleep(wait).await;
            pause = (pause * 2).min(PAUSE[1]);
        }
    }

    /// Cuts the batch to its first `spans`.
    fn keep(&mut self, spans: usize) {
        let lost = self.batch.len() - spans;
        self.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        self.batch.truncate(spans);
    }

    fn tell_dropped(&self) {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "spans were dropped: the OTLP receiver took no more");
        }
    }
}

#[cfg(test)]
mod tests;
