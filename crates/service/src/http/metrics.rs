//! Requests counted by route and status.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Requests by route and status. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct HttpMetrics {
    requests: Family<Labels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    status: u16,
}

impl HttpMetrics {
    /// Adds `http_requests_total{route,status}` to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "http_requests",
            "HTTP requests answered, by route pattern and status",
            this.requests.clone(),
        );
        this
    }

    /// One more.
    pub(super) fn count(&self, route: String, status: u16) {
        self.requests.get_or_create(&Labels { route, status }).inc();
    }
}
