//! The text that Prometheus reads: the classic format.
//!
//! Not OpenMetrics: that has one name for a counter's family with `_total` and without, so a gauge
//! `cdp_sessions` beside a counter `cdp_sessions_total` would be one family of two kinds there.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};

use super::Registry;

/// Media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`, without any check of who asks.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    match write(&registry) {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Writes all metrics.
///
/// # Errors
/// [`std::fmt::Error`], if a metric cannot be written.
pub fn write(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    classic(&text)
}

/// OpenMetrics names a counter's family without `_total` and has lines that the classic format does
/// not know.
fn classic(open_metrics: &str) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(rest)) => help = Some((name, rest)),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                    writeln!(text, "# HELP {name}{suffix} {help}")?;
                }
                writeln!(text, "# TYPE {name}{suffix} {kind}")?;
            }
            (Some("#"), Some("UNIT" | "EOF"), _, _) => {}
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}
