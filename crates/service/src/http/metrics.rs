//! Requests counted by route and status.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
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
}

/// Counts every request of `router`. The label is the route's pattern, never a path, so that the
/// number of series is bounded; what matched no route counts as `none`.
pub fn count_requests(metrics: &HttpMetrics, router: Router) -> Router {
    router.layer(from_fn_with_state(metrics.clone(), count))
}

async fn count(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let labels = Labels { route, status: response.status().as_u16() };
    metrics.requests.get_or_create(&labels).inc();
    response
}
