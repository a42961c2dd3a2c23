//! The numbers that the orchestrator keeps, registered once by whoever builds the daemon.

use telemetry::metrics::{BrowserMetrics, Registry, SandboxMetrics};

/// Handles to the metrics of sandboxes and their browsers. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) sandboxes: SandboxMetrics,
    pub(crate) browsers: BrowserMetrics,
}

impl Metrics {
    /// Adds them to a registry: sandboxes by state, creates, stops and refusals by reason, exits of
    /// browsers by cause.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            sandboxes: SandboxMetrics::register(registry),
            browsers: BrowserMetrics::register(registry),
        }
    }
}
