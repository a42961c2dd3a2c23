//! Every request as a span, a count, and, if the category is on, an event.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use telemetry::events::ApiCall;
use telemetry::trace::{self, TraceContext};
use telemetry::words::Category;
use telemetry::{Telemetry, fields};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use super::metrics::HttpMetrics;
use crate::access::Principal;

/// Routes below these are calls of the API; the others are the browser's or the operator's.
const API: [&str; 2] = ["/v1/", "/lockkeeper.v1."];

/// Counts every request of `router`, logs within a span of it, and tells of calls of the API. What
/// names it is the route's pattern, never a path, so that the number of names is bounded and none
/// holds what a user wrote; what matched no route is `none`.
///
/// A trace that the request names in `traceparent` is in its span's log lines, and in the events
/// that its handler publishes.
pub fn observe_requests(metrics: &HttpMetrics, telemetry: &Telemetry, router: Router) -> Router {
    router.layer(from_fn_with_state((metrics.clone(), telemetry.clone()), observe))
}

async fn observe(
    State((metrics, telemetry)): State<(HttpMetrics, Telemetry)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let trace = TraceContext::of(request.headers());
    let span = info_span!(
        "request",
        { fields::HTTP_METHOD } = method.as_str(),
        { fields::HTTP_ROUTE } = route,
        { fields::HTTP_STATUS } = Empty,
        { fields::TRACE_ID } = trace.map(|trace| tracing::field::display(trace.trace_id())),
    );
    if let Some(trace) = trace {
        trace::continues(&span, trace);
    }
    let handled = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        if telemetry.enabled(Category::Api) && API.iter().any(|api| route.starts_with(api)) {
            let (method, route) = (method.as_str().to_owned(), route.clone());
            let principal = response.extensions().get::<Principal>();
            let call = ApiCall {
                method: method.into(),
                route: route.into(),
                status,
                duration_ms: began.elapsed().into(),
                principal: principal.map(|principal| principal.name().to_owned().into()),
            };
            telemetry.publish(None, call);
        }
        response
    };
    let response = trace::within(trace, handled.instrument(span.clone())).await;
    let status = response.status().as_u16();
    span.record(fields::HTTP_STATUS, status);
    metrics.count(route, status);
    response
}
