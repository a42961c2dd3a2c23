//! A session after its 101: relay, watch, end, verdict, report.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use telemetry::commands::CommandCounts;
use telemetry::events::{CdpConnect, CdpDisconnect};
use telemetry::metrics::GaugeGuard;
use telemetry::words::{ContextDetail, EndedBy};
use tokio::sync::oneshot;
use upstream::Changes;
use wsproxy::{CloseCode, CloseFrame, Relay, StopMode, StopSide, Stopper, Terminal};

use crate::close_code::ClientClose;
use crate::commands::{Commands, Of, Watched};
use crate::directory::Target;
use crate::edge::Inner;
use crate::judge::{Case, Judged};
use crate::report::{self, Timing};
use crate::route::Endpoint;
use crate::stops::Stops;
use crate::verdict::Verdict;

#[cfg(test)]
pub(crate) mod tests;

/// What the relay calls the stop of a session whose browser has been replaced.
pub(crate) const SUPERSEDED: &str = "superseded";

/// What the relay calls the stop of a session that was to have a quiet moment first.
const QUIET: &str = "quiet_drain";

/// A session whose client is about to get, or has got, its 101.
pub(crate) struct Session {
    pub(crate) edge: Arc<Inner>,
    pub(crate) connection_id: Arc<str>,
    /// The generation of the browser that its socket leads to.
    pub(crate) generation: u64,
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) changes: Changes,
    pub(crate) stops: Stops,
}

impl Session {
    /// Publishes that it is open. From here on its end is published exactly once.
    pub(crate) fn open(&self, event: CdpConnect) -> Record {
        let counted = self.edge.reports.connected(&self.target.id, event);
        tracing::debug!("session open");
        Record {
            edge: Arc::clone(&self.edge),
            _counted: counted,
            sandbox: Arc::clone(&self.target.id),
            connection_id: Arc::clone(&self.connection_id),
            generation: self.generation,
            since: tokio::time::Instant::now().into_std(),
            open: true,
        }
    }

    /// Relays until something ends the session, tells both sides, finds the verdict, reports it,
    /// and gives back what the session holds, in this order.
    pub(crate) fn run<C, U, H>(
        mut self,
        record: Record,
        holdings: H,
        client: (C, Bytes),
        upstream: (U, Bytes),
    ) -> impl Future<Output = ()> + Send + 'static
    where
        C: wsproxy::Endpoint + Send + 'static,
        U: wsproxy::Endpoint + Send + 'static,
        H: Send + 'static,
    {
        let (stopper, token) = wsproxy::stop_channel();
        let commands = Arc::new(Commands::default());
        let of = Of {
            sandbox: Arc::clone(&self.target.id),
            connection_id: Arc::clone(&self.connection_id),
            generation: self.generation,
        };
        let relay = Relay::new(client.0, upstream.0, Arc::clone(&self.edge.relay_limits))
            .with_client_prefix(client.1)
            .with_upstream_prefix(upstream.1)
            .with_stop(token)
            .with_budget(self.edge.budget.clone())
            .with_tap(Watched::new(Arc::clone(&self.edge), of, Arc::clone(&commands)));
        // The relay and the end are on the heap, the end only when it comes: an idle session does
        // not carry the room for either twice.
        let mut relay = Box::pin(relay.run());
        async move {
            let ending = tokio::select! {
                // An order to stop is older than whatever the sockets do in the same moment.
                biased;
                never = self.watch(&stopper) => match never {},
                ending = &mut relay => ending,
            };
            drop(relay);
            Box::pin(self.finish(record, ending, &commands)).await;
            drop(holdings);
        }
    }

    /// Tells the client as soon as the facts allow it, finds the verdict at the same time, and
    /// reports both.
    async fn finish<C, U>(
        mut self,
        record: Record,
        ending: wsproxy::Ending<C, U>,
        commands: &Commands,
    ) where
        C: wsproxy::Endpoint,
        U: wsproxy::Endpoint,
    {
        let terminal = ending.terminal().clone();
        let end = report::end_of(&terminal);
        if matches!(terminal.detail, wsproxy::Detail::Stopped { by } if by == QUIET) {
            self.stops.pin(ContextDetail::NodeDrain);
        }
        let case = Case {
            end: &end,
            ended_at: terminal.at,
            dialled: self.generation,
            endpoint: &self.endpoint,
            upstream: &self.target.upstream,
            settings: &self.edge.settings,
        };
        let (tell, told) = oneshot::channel();
        let client_close = async {
            match told.await {
                Ok(close) => frame(&close, &terminal),
                Err(_untold) => terminal.suggested_client_close(),
            }
        };
        let (relay, judged) = tokio::join!(
            ending.close(client_close),
            case.judge(&mut self.changes, &mut self.stops, tell),
        );
        tracing::debug!(
            session.reason = judged.verdict.reason.as_str(),
            session.detail = judged.verdict.detail.as_str(),
            session.resolve_ms = (judged.at - terminal.at).as_secs_f64() * 1000.0,
            "session judged"
        );
        record.close(&terminal, &relay, &judged, commands.end().await);
    }

    /// Turns a stop token, a newer browser and a quiet drain into orders to the relay.
    async fn watch(&mut self, stopper: &Stopper) -> std::convert::Infallible {
        let mut quiet = self.edge.quiet.subscribe();
        loop {
            let state = self.changes.current();
            if let Some(detail) = self.stops.current() {
                let order = |mode| {
                    let (side, by) = (StopSide::Context, detail.as_str());
                    stopper.stop(wsproxy::Stop { side, mode, by });
                };
                let grace = self.edge.settings.ttl_grace;
                if detail == ContextDetail::TtlExpired && !grace.is_zero() {
                    let deadline = tokio::time::Instant::now() + grace;
                    order(StopMode::Quiet { deadline: deadline.into_std() });
                    // Whoever ends everything does not wait for one quiet moment.
                    self.stops.edge_stops().await;
                }
                order(mode(detail));
                return std::future::pending().await;
            }
            if state.is_ready() && state.generation > self.generation {
                let side = StopSide::Upstream;
                stopper.stop(wsproxy::Stop { side, mode: StopMode::Soft, by: SUPERSEDED });
            }
            if let Some(deadline) = *quiet.borrow_and_update() {
                let (side, mode) = (StopSide::Context, StopMode::Quiet { deadline });
                stopper.stop(wsproxy::Stop { side, mode, by: QUIET });
            }
            tokio::select! {
                biased;
                _ = self.stops.wait() => {}
                _ = self.changes.changed() => {}
                // Its sender is the edge, which the session keeps.
                _ = quiet.changed() => {}
            }
        }
    }
}

/// A forced stop does not wait for the end of a message.
fn mode(detail: ContextDetail) -> StopMode {
    match detail {
        ContextDetail::ForcedStop => StopMode::Hard,
        ContextDetail::SandboxDeleted
        | ContextDetail::SandboxPaused
        | ContextDetail::TtlExpired
        | ContextDetail::NodeDrain
        | ContextDetail::AuthRevoked
        | ContextDetail::RequestCancelled
        | ContextDetail::IdleTimeout
        | ContextDetail::InternalError
        | ContextDetail::OverLimit => StopMode::Soft,
    }
}

fn frame(close: &ClientClose, terminal: &Terminal) -> Option<CloseFrame> {
    match close {
        ClientClose::Frame { code, text } => {
            let code = CloseCode::try_from(*code).unwrap_or(CloseCode::INTERNAL);
            Some(CloseFrame::new(code, text))
        }
        ClientClose::Echo => {
            Some(terminal.close.as_ref().map_or_else(CloseFrame::empty, CloseFrame::echo))
        }
        ClientClose::Empty => Some(CloseFrame::empty()),
        ClientClose::Nothing => None,
    }
}

/// The record of an open session: its end is published exactly once, whatever becomes of its task.
#[must_use = "dropping it publishes a fault as the end of the session"]
pub(crate) struct Record {
    edge: Arc<Inner>,
    _counted: GaugeGuard,
    sandbox: Arc<str>,
    connection_id: Arc<str>,
    generation: u64,
    since: Instant,
    open: bool,
}

impl Record {
    fn close(
        mut self,
        terminal: &Terminal,
        relay: &wsproxy::RelayReport,
        judged: &Judged,
        commands: CommandCounts,
    ) {
        self.open = false;
        let timing = Timing {
            duration: terminal.at.saturating_duration_since(self.since),
            resolve: judged.at.saturating_duration_since(terminal.at),
            teardown: relay.teardown,
        };
        let event = CdpDisconnect {
            telemetry_dropped: commands.dropped,
            telemetry_excluded: commands.excluded,
            ..report::disconnect(&self.connection_id, self.generation, timing, relay, judged)
        };
        self.edge.reports.stalled(relay.to_browser.stall, relay.to_client.stall);
        self.edge.reports.disconnected(terminal.wall, &self.sandbox, event);
    }

    /// The end of a session whose own code failed: there is no report to fill it from.
    fn publish_fault(&mut self, at: Instant, wall: SystemTime) {
        self.open = false;
        let verdict = Verdict::cancelled(ContextDetail::InternalError);
        let event = CdpDisconnect {
            connection_id: (&self.connection_id).into(),
            generation: self.generation,
            reason: verdict.reason,
            detail: verdict.detail,
            ended_by: EndedBy::Context,
            close_code: None,
            first_close: None,
            upstream_cause: None,
            new_generation: None,
            duration_ms: at.saturating_duration_since(self.since).into(),
            resolve_ms: Duration::ZERO.into(),
            teardown_ms: Duration::ZERO.into(),
            message_count: 0,
            messages_to_browser: 0,
            messages_to_client: 0,
            bytes_to_browser: 0,
            bytes_to_client: 0,
            mid_frame: false,
            error: None,
            quiet_end: None,
            telemetry_dropped: 0,
            telemetry_excluded: 0,
        };
        self.edge.reports.disconnected(wall, &self.sandbox, event);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.open {
            let now = tokio::time::Instant::now().into_std();
            self.publish_fault(now, SystemTime::now());
        }
    }
}
