//! What the edge tells the outside: each fact once as an event and once in the metrics, from the
//! same value, so that the two cannot differ.

use std::time::{Duration, SystemTime};

use telemetry::Telemetry;
use telemetry::commands::{self, CommandRoom, CommandTap, CommandWorker};
use telemetry::events::{CdpConnect, CdpDisconnect, CdpRefused};
use telemetry::metrics::{CdpMetrics, GaugeGuard};
use telemetry::words::Category;

/// Where an edge reports to.
///
/// Made from a [`Telemetry`] handle alone, or from one together with [`CdpMetrics`] that are
/// registered somewhere; without them nothing is counted that anybody could read.
#[derive(Clone, Debug)]
pub struct Reports {
    telemetry: Telemetry,
    metrics: CdpMetrics,
}

impl From<Telemetry> for Reports {
    fn from(telemetry: Telemetry) -> Self {
        let metrics = CdpMetrics::register(&mut telemetry::metrics::registry());
        Self { telemetry, metrics }
    }
}

impl From<(Telemetry, CdpMetrics)> for Reports {
    fn from((telemetry, metrics): (Telemetry, CdpMetrics)) -> Self {
        Self { telemetry, metrics }
    }
}

impl Reports {
    /// A session is open for as long as the guard is held.
    pub(crate) fn connected(&self, sandbox: &str, event: CdpConnect) -> GaugeGuard {
        self.metrics.connected(&event);
        self.telemetry.publish(Some(sandbox), event);
        self.metrics.session()
    }

    pub(crate) fn disconnected(&self, ts: SystemTime, sandbox: &str, event: CdpDisconnect) {
        self.metrics.ended(&event);
        self.telemetry.publish_at(ts, Some(sandbox), event);
    }

    /// Whether anyone wants to know what clients do: one atomic load.
    pub(crate) fn wants_commands(&self) -> bool {
        self.telemetry.enabled(Category::Control)
    }

    /// The two ends that tell what the client of a session does.
    pub(crate) fn commands(
        &self,
        session: commands::Session,
        room: &CommandRoom,
    ) -> (CommandTap, CommandWorker) {
        CommandWorker::new(self.telemetry.clone(), session, room)
    }

    pub(crate) fn stalled(&self, to_browser: Duration, to_client: Duration) {
        self.metrics.stalled(to_browser, to_client);
    }

    pub(crate) fn refused(&self, sandbox: Option<&str>, event: CdpRefused) {
        self.metrics.refused(&event);
        self.telemetry.publish(sandbox, event);
    }
}
