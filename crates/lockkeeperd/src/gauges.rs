//! Gauges that are read from the parts themselves at each scrape, so that they cannot drift.

use std::fmt;
use std::sync::Arc;

use devtoolsproxy::Edge;
use orchestrator::Orchestrator;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

/// Where the numbers are.
pub(crate) struct Gauges {
    pub(crate) edge: Arc<Edge>,
    pub(crate) orchestrator: Orchestrator,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sessions = i64::try_from(self.edge.session_count()).unwrap_or(i64::MAX);
        let help = "DevTools sessions now, those being connected included";
        let metric = encoder.encode_descriptor("cdp_sessions", help, None, MetricType::Gauge)?;
        ConstGauge::new(sessions).encode(metric)?;

        let states: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
        for (state, count) in self.orchestrator.info().sandboxes {
            let gauge = states.get_or_create(&[("state", state.as_str())]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let help = "Sandboxes now, by state";
        let metric = encoder.encode_descriptor("sandboxes", help, None, MetricType::Gauge)?;
        states.encode(metric)
    }
}
