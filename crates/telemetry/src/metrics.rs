//! Prometheus metrics: the list of all, handles for those who report them, and the text.
//!
//! There is no global registry: whoever builds the daemon makes a [`Registry`], registers each group
//! once and passes the handles on. Gauges move by guards, so that a count cannot drift. No label is
//! an id: the number of series is bounded by the words there are.

mod catalogue;
mod cdp;
mod events;
mod guard;
mod log;
mod sandbox;
mod text;

#[cfg(test)]
mod tests;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Encode, Unit};

pub use catalogue::{CATALOGUE, Kind, Metric};
pub use cdp::{BrowserMetrics, CdpMetrics, UpstreamMetrics};
pub use events::{EventMetrics, SinkMetrics};
pub use guard::{GaugeGuard, StateGauge};
pub use log::{ClassMetrics, LogMetrics};
pub use prometheus_client::registry::Registry;
pub use sandbox::{ListenerMetrics, SandboxMetrics};
pub use text::{MEDIA_TYPE, router, write};

/// What every name starts with.
pub const PREFIX: &str = "lockkeeper";

/// An empty registry that puts [`PREFIX`] before every name.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// Label names with their values.
type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, Buckets>;

/// Bounds for times from 1 ms to 2 minutes.
const SECONDS: [f64; 17] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0,
    120.0,
];
/// Bounds for lives, from 100 ms to a day.
const LIVES: [f64; 14] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0,
];
/// Bounds for work on a log, from 50 us to 5 s.
const APPENDS: [f64; 14] =
    [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Makes the histograms of a family, all with the same bounds.
#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Adds a metric under its name of the catalogue.
///
/// # Panics
/// If the catalogue has no such name: a mistake that the first test run shows.
fn add<M: Encode + Clone>(registry: &mut Registry, name: &str, metric: M) -> M {
    let Some(entry) = CATALOGUE.iter().find(|entry| entry.name == name) else {
        panic!("the metric `{name}` is not in the catalogue")
    };
    let base = name.strip_suffix("_total").unwrap_or(name);
    let unit = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((base.strip_suffix(suffix)?, unit)));
    match unit {
        Some((base, unit)) => {
            registry.register_with_unit(base, entry.help, unit, metric.clone());
        }
        None => registry.register(base, entry.help, metric.clone()),
    }
    metric
}
