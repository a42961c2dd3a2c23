//! The end of the sessions as the shutdown walks it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use devtoolsproxy::Edge;
use draingate::{Gate, Keeper};
use service::BoxFuture;
use service::shutdown::{Blocker, DrainPhases, DrainProgress, DrainTotals, Faults, ForceCause};
use telemetry::words::ContextDetail;
use tokio::sync::watch;
use tokio::time::Instant;

/// The sessions of the one browser. The browser itself is somebody else's and is left alone.
pub(crate) struct Sessions {
    keeper: Keeper,
    gate: Gate,
    stop: watch::Sender<Option<ContextDetail>>,
    edge: Arc<Edge>,
    /// How long sessions are let be before each is closed in its first quiet moment; `None`: all
    /// are closed at once.
    quiet_after: Option<Duration>,
    /// When the drain is forced, known when it begins.
    deadline: OnceLock<Option<Instant>>,
    at_first: AtomicU64,
}

impl Sessions {
    /// `keeper` and `stop` are those of the edge's one target.
    pub(crate) fn new(
        keeper: Keeper,
        stop: watch::Sender<Option<ContextDetail>>,
        edge: Arc<Edge>,
        quiet_after: Option<Duration>,
    ) -> Self {
        let (gate, deadline) = (keeper.gate(), OnceLock::new());
        Self { keeper, gate, stop, edge, quiet_after, deadline, at_first: AtomicU64::new(0) }
    }

    fn open(&self) -> u64 {
        self.keeper.report(std::time::Instant::now()).inside
    }

    /// The first reason stays.
    fn tell(&self, why: ContextDetail) {
        self.stop.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(why);
            first
        });
    }
}

impl DrainPhases for Sessions {
    /// The door closes at once: with one browser there is no other one to be sent to meanwhile.
    fn worth_announcing(&self) -> bool {
        false
    }

    fn close_server_gate(&self, deadline: Option<Instant>) {
        self.deadline.get_or_init(|| deadline);
        if self.keeper.begin_drain() {
            self.at_first.store(self.open(), Ordering::Relaxed);
        }
    }

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Sessions have no end of their own to wait for, so all of them are told at once, or each in its
    /// first quiet moment.
    fn wait_live(&self) -> BoxFuture<'_, ()> {
        let Some(after) = self.quiet_after else {
            self.tell(ContextDetail::NodeDrain);
            return Box::pin(self.gate.drained());
        };
        Box::pin(async move {
            if self.gate.drained_or(tokio::time::sleep(after)).await.is_err() {
                self.edge.stop_when_quiet(self.deadline.get().copied().flatten());
                self.gate.drained().await;
            }
        })
    }

    fn force_stop(&self, cause: ForceCause, _: Faults) -> BoxFuture<'_, ()> {
        self.close_server_gate(None);
        self.tell(match cause {
            ForceCause::Deadline => ContextDetail::NodeDrain,
            ForceCause::SecondSignal
            | ForceCause::Setting
            | ForceCause::Api
            | ForceCause::Defect => ContextDetail::ForcedStop,
        });
        Box::pin(async {
            let report = self.edge.shutdown(Instant::now()).await;
            if report.cut > 0 {
                tracing::warn!("{} sessions did not end and were cut", report.cut);
            }
        })
    }

    /// Nothing here has processes.
    fn kill_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn progress(&self) -> DrainProgress {
        let now = Instant::now().into_std();
        let blocker = |session: devtoolsproxy::SessionInfo| Blocker {
            id: session.connection_id.to_string(),
            state: if session.generation.is_some() { "connected" } else { "connecting" }.to_owned(),
            age: now.saturating_duration_since(session.since),
            sessions: 0,
            expires_in: None,
        };
        let blockers = self.edge.sessions().into_iter().map(blocker).collect();
        DrainProgress { sessions: self.open(), blockers, ..DrainProgress::default() }
    }

    fn totals(&self) -> DrainTotals {
        let closed = self.at_first.load(Ordering::Relaxed).saturating_sub(self.open());
        DrainTotals { stopped: 0, sessions_closed: closed }
    }
}
