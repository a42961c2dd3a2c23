//! Metrics of sandboxes and of agent listeners.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{
    Buckets, Counters, GaugeGuard, Gauges, Histograms, Registry, SECONDS, StateGauge, add,
};
use crate::words::{CreateRefused, RunOutcome, SandboxState, StopReason};

/// Sandboxes. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct SandboxMetrics {
    states: Gauges<1>,
    create: Histograms<1>,
    stops: Counters<1>,
    refused: Counters<1>,
}

impl SandboxMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let create = Family::new_with_constructor(Buckets(&SECONDS));
        Self {
            states: add(registry, "sandboxes", Family::default()),
            create: add(registry, "sandbox_create_seconds", create),
            stops: add(registry, "sandbox_stops_total", Family::default()),
            refused: add(registry, "sandbox_create_refused_total", Family::default()),
        }
    }

    /// A sandbox exists, in a state, for as long as the guard is held.
    pub fn sandbox(&self, state: SandboxState) -> StateGauge {
        StateGauge::new(&self.states, "state", state.as_str())
    }

    /// A sandbox became ready.
    pub fn created(&self, warm: bool, took: Duration) {
        let warm = if warm { "true" } else { "false" };
        self.create.get_or_create(&[("warm", warm)]).observe(took.as_secs_f64());
    }

    /// A sandbox has ended.
    pub fn stopped(&self, reason: StopReason) {
        self.stops.get_or_create(&[("stop_reason", reason.as_str())]).inc();
    }

    /// A create was refused.
    pub fn refused(&self, detail: CreateRefused) {
        self.refused.get_or_create(&[("detail", detail.as_str())]).inc();
    }
}

/// Agent listeners and runs. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    states: Gauges<1>,
    reconnects: Counters<1>,
    runs: Counters<1>,
    subscribers: Gauge,
    records: Counters<1>,
    bytes: Counter,
}

impl ListenerMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            states: add(registry, "listeners", Family::default()),
            reconnects: add(registry, "listener_reconnects_total", Family::default()),
            runs: add(registry, "runs_total", Family::default()),
            subscribers: add(registry, "session_subscribers", Gauge::default()),
            records: add(registry, "session_records_total", Family::default()),
            bytes: add(registry, "session_bytes_total", Counter::default()),
        }
    }

    /// A listener exists, in a state, for as long as the guard is held.
    pub fn listener(&self, state: &'static str) -> StateGauge {
        StateGauge::new(&self.states, "state", state)
    }

    /// A listener lost its runner. `cause` is one of a closed list, never free text.
    pub fn disconnected(&self, cause: &'static str) {
        self.reconnects.get_or_create(&[("cause", cause)]).inc();
    }

    /// Somebody reads a session, for as long as the guard is held.
    pub fn subscriber(&self) -> GaugeGuard {
        GaugeGuard::on(&self.subscribers)
    }

    /// A record of a kind was logged.
    pub fn logged(&self, kind: &'static str, bytes: u64) {
        self.records.get_or_create(&[("kind", kind)]).inc();
        self.bytes.inc_by(bytes);
    }

    /// A run ended.
    pub fn run_ended(&self, outcome: RunOutcome) {
        self.runs.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }
}
