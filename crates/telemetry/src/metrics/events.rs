//! Metrics of telemetry itself, and of sinks.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Counters, GaugeGuard, Gauges, Registry, add};
use crate::handle::LossCounter;
use crate::words::{Category, GapWord, LossCause};

/// The way of events from publishers to readers. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct EventMetrics {
    published: Vec<Counter>,
    lost: Counters<2>,
    truncated: Counter,
    queue_events: Gauge,
    queue_bytes: Gauge,
    ring: Gauge,
    clients: Gauge,
    gaps: Counters<1>,
}

impl EventMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let published: Counters<1> = add(registry, "events_published_total", Family::default());
        let of =
            |category: &Category| published.get_or_create_owned(&[("category", category.as_str())]);
        Self {
            published: Category::ALL.iter().map(of).collect(),
            lost: add(registry, "events_lost_total", Family::default()),
            truncated: add(registry, "events_truncated_total", Counter::default()),
            queue_events: add(registry, "event_queue_events", Gauge::default()),
            queue_bytes: add(registry, "event_queue_bytes", Gauge::default()),
            ring: add(registry, "ring_events", Gauge::default()),
            clients: add(registry, "stream_clients", Gauge::default()),
            gaps: add(registry, "stream_gaps_total", Family::default()),
        }
    }

    pub(crate) fn published(&self, category: Category) {
        self.published[category as usize].inc();
    }

    pub(crate) fn truncated(&self) {
        self.truncated.inc();
    }

    pub(crate) fn queue(&self, events: usize, bytes: usize) {
        self.queue_events.set(i64::try_from(events).unwrap_or(i64::MAX));
        self.queue_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn ring(&self, events: usize) {
        self.ring.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    pub(crate) fn client(&self) -> GaugeGuard {
        GaugeGuard::on(&self.clients)
    }

    pub(crate) fn gap(&self, cause: GapWord) {
        self.gaps.get_or_create(&[("cause", cause.as_str())]).inc();
    }
}

impl LossCounter for EventMetrics {
    fn lost(&self, category: Category, cause: LossCause, events: u64) {
        let labels = [("category", category.as_str()), ("cause", cause.as_str())];
        self.lost.get_or_create(&labels).inc_by(events);
    }
}

/// Sinks. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    lag_events: Gauges<1>,
    lag_seconds: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    sent: Counters<1>,
    dropped: Counters<2>,
    failures: Counters<2>,
}

impl SinkMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            lag_events: add(registry, "sink_lag_events", Family::default()),
            lag_seconds: add(registry, "sink_lag_seconds", Family::default()),
            sent: add(registry, "sink_sent_total", Family::default()),
            dropped: add(registry, "sink_dropped_total", Family::default()),
            failures: add(registry, "sink_failures_total", Family::default()),
        }
    }

    pub(crate) fn lag(&self, sink: &'static str, events: u64, age: Duration) {
        let label = [("sink", sink)];
        self.lag_events.get_or_create(&label).set(i64::try_from(events).unwrap_or(i64::MAX));
        self.lag_seconds.get_or_create(&label).set(age.as_secs_f64());
    }

    pub(crate) fn sent(&self, sink: &'static str, events: u64) {
        self.sent.get_or_create(&[("sink", sink)]).inc_by(events);
    }

    pub(crate) fn dropped(&self, sink: &'static str, cause: &'static str, events: u64) {
        self.dropped.get_or_create(&[("sink", sink), ("cause", cause)]).inc_by(events);
    }

    pub(crate) fn failed(&self, sink: &'static str, cause: &'static str) {
        self.failures.get_or_create(&[("sink", sink), ("cause", cause)]).inc();
    }
}
