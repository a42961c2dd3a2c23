//! Metrics of the DevTools edge and of browsers. They are taken from the events, so that the two
//! cannot tell different stories.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{
    Buckets, Counters, GaugeGuard, Gauges, Histograms, LIVES, Registry, SECONDS, StateGauge, add,
};
use crate::events::{BrowserExited, BrowserRestarted, CdpConnect, CdpDisconnect, CdpRefused};
use crate::words::Reason;

/// Sessions of the DevTools edge. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct CdpMetrics {
    open: Gauge,
    ended: Counters<2>,
    refused: Family<[(&'static str, String); 2], Counter>,
    duration: Histograms<1>,
    hold: Histogram,
    dial: Histogram,
    resolve: Histogram,
    teardown: Histogram,
    messages: [Counter; 2],
    bytes: [Counter; 2],
    stall: [Counter<f64, AtomicU64>; 2],
}

const DIRECTIONS: [[(&str, &str); 1]; 2] =
    [[("direction", "to_browser")], [("direction", "to_client")]];

impl CdpMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let seconds = || Histogram::new(SECONDS);
        let messages: Counters<1> = add(registry, "cdp_messages_total", Family::default());
        let bytes: Counters<1> = add(registry, "cdp_bytes_total", Family::default());
        let stall: Family<[(&str, &str); 1], Counter<f64, AtomicU64>> =
            add(registry, "cdp_stall_seconds_total", Family::default());
        Self {
            open: add(registry, "cdp_sessions", Gauge::default()),
            ended: add(registry, "cdp_sessions_total", Family::default()),
            refused: add(registry, "cdp_refused_total", Family::default()),
            duration: add(
                registry,
                "cdp_session_duration_seconds",
                Family::new_with_constructor(Buckets(&LIVES)),
            ),
            hold: add(registry, "cdp_hold_seconds", seconds()),
            dial: add(registry, "cdp_dial_seconds", seconds()),
            resolve: add(registry, "cdp_resolve_seconds", seconds()),
            teardown: add(registry, "cdp_teardown_seconds", seconds()),
            messages: DIRECTIONS.map(|direction| messages.get_or_create_owned(&direction)),
            bytes: DIRECTIONS.map(|direction| bytes.get_or_create_owned(&direction)),
            stall: DIRECTIONS.map(|direction| stall.get_or_create_owned(&direction)),
        }
    }

    /// A session is open for as long as the guard is held.
    pub fn session(&self) -> GaugeGuard {
        GaugeGuard::on(&self.open)
    }

    /// Sessions that are open now.
    #[must_use]
    pub fn open_sessions(&self) -> i64 {
        self.open.get()
    }

    /// A client was joined to a browser.
    pub fn connected(&self, event: &CdpConnect) {
        self.hold.observe(event.hold_ms.0.as_secs_f64());
        self.dial.observe(event.dial_ms.0.as_secs_f64());
    }

    /// A session ended.
    pub fn ended(&self, event: &CdpDisconnect) {
        let CdpDisconnect { reason, detail, .. } = event;
        let verdict = [("reason", reason.as_str()), ("detail", detail.as_str())];
        self.ended.get_or_create(&verdict).inc();
        self.duration(*reason).observe(event.duration_ms.0.as_secs_f64());
        self.resolve.observe(event.resolve_ms.0.as_secs_f64());
        self.teardown.observe(event.teardown_ms.0.as_secs_f64());
        self.messages[0].inc_by(event.messages_to_browser);
        self.messages[1].inc_by(event.messages_to_client);
        self.bytes[0].inc_by(event.bytes_to_browser);
        self.bytes[1].inc_by(event.bytes_to_client);
    }

    /// How long each side of a session that ended did not take what it was sent.
    pub fn stalled(&self, to_browser: Duration, to_client: Duration) {
        self.stall[0].inc_by(to_browser.as_secs_f64());
        self.stall[1].inc_by(to_client.as_secs_f64());
    }

    /// An upgrade was refused.
    pub fn refused(&self, event: &CdpRefused) {
        let status = event.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let labels = [("status", status), ("detail", event.detail.as_str().to_owned())];
        self.refused.get_or_create(&labels).inc();
    }

    fn duration(&self, reason: Reason) -> Histogram {
        self.duration.get_or_create_owned(&[("reason", reason.as_str())])
    }
}

/// Browser endpoints. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    phase: Gauges<1>,
    generations: Counters<1>,
    url_refused: Counters<1>,
}

impl UpstreamMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            phase: add(registry, "upstream_phase", Family::default()),
            generations: add(registry, "upstream_generations_total", Family::default()),
            url_refused: add(registry, "upstream_url_refused_total", Family::default()),
        }
    }

    /// An endpoint exists, in a phase, for as long as the guard is held.
    pub fn endpoint(&self, phase: &'static str) -> StateGauge {
        StateGauge::new(&self.phase, "phase", phase)
    }

    /// A browser instance ended.
    pub fn generation_ended(&self, cause: &'static str) {
        self.generations.get_or_create(&[("cause", cause)]).inc();
    }

    /// An announced address was not accepted.
    pub fn url_refused(&self, cause: &'static str) {
        self.url_refused.get_or_create(&[("cause", cause)]).inc();
    }
}

/// Browser processes. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct BrowserMetrics {
    exits: Counters<1>,
    down: Histogram,
}

impl BrowserMetrics {
    /// Adds them to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            exits: add(registry, "browser_exits_total", Family::default()),
            down: add(registry, "browser_down_seconds", Histogram::new(SECONDS)),
        }
    }

    /// A browser ended.
    pub fn exited(&self, event: &BrowserExited) {
        self.exits.get_or_create(&[("cause", event.exit.kind.as_str())]).inc();
    }

    /// A browser has a successor.
    pub fn restarted(&self, event: &BrowserRestarted) {
        self.down.observe(event.down_ms.0.as_secs_f64());
    }
}
