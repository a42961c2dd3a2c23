//! Gauges that are read from the node itself at each scrape, so that they cannot drift.

use std::fmt;

use orchestrator::Orchestrator;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Sandboxes by state, starting and stopping ones too.
#[derive(Debug)]
pub(crate) struct Gauges(pub(crate) Orchestrator);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let states: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
        for (state, count) in self.0.info().sandboxes {
            let gauge = states.get_or_create(&[("state", state.as_str())]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let help = "Sandboxes now, by state";
        let metric = encoder.encode_descriptor("sandboxes", help, None, MetricType::Gauge)?;
        states.encode(metric)
    }
}
