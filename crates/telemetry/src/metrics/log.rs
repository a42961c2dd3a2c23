//! Metrics of logs, by class: `telemetry`, or all agent sessions together.

use std::time::Duration;

use eventlog::{AppendError, Status};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{APPENDS, Buckets, Counters, Gauges, Histograms, Registry, add};

/// Logs. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct LogMetrics {
    append: Histograms<2>,
    bytes: Gauges<2>,
    first: Gauges<2>,
    next: Gauges<2>,
    errors: Counters<3>,
    trimmed: Counters<2>,
}

impl LogMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let append = Family::new_with_constructor(Buckets(&APPENDS));
        Self {
            append: add(registry, "log_append_seconds", append),
            bytes: add(registry, "log_bytes", Family::default()),
            first: add(registry, "log_first_offset", Family::default()),
            next: add(registry, "log_next_offset", Family::default()),
            errors: add(registry, "log_errors_total", Family::default()),
            trimmed: add(registry, "log_trimmed_total", Family::default()),
        }
    }

    /// The numbers of a class of logs on a backend.
    #[must_use]
    pub fn class(&self, log: &'static str, backend: &'static str) -> ClassMetrics {
        let labels = [("log", log), ("backend", backend)];
        ClassMetrics {
            append: self.append.get_or_create_owned(&labels),
            bytes: self.bytes.get_or_create_owned(&labels),
            first: self.first.get_or_create_owned(&labels),
            next: self.next.get_or_create_owned(&labels),
            trimmed: self.trimmed.get_or_create_owned(&labels),
            errors: self.errors.clone(),
            labels,
        }
    }
}

/// A class of logs.
#[derive(Clone, Debug)]
pub struct ClassMetrics {
    append: Histogram,
    bytes: Gauge,
    first: Gauge,
    next: Gauge,
    trimmed: Counter,
    errors: Counters<3>,
    labels: [(&'static str, &'static str); 2],
}

impl ClassMetrics {
    /// An append was acknowledged.
    pub fn appended(&self, took: Duration) {
        self.append.observe(took.as_secs_f64());
    }

    /// An append failed.
    pub fn failed(&self, error: &AppendError) {
        let [log, backend] = self.labels;
        self.errors.get_or_create(&[log, backend, ("cause", error.kind())]).inc();
    }

    /// How the one log of this class is doing.
    pub fn observe(&self, status: &Status) {
        self.bytes.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        self.first.set(i64::try_from(status.first).unwrap_or(i64::MAX));
        self.next.set(i64::try_from(status.next).unwrap_or(i64::MAX));
        self.trimmed.inc_by(status.trimmed.saturating_sub(self.trimmed.get()));
    }
}
