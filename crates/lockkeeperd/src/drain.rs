//! The node's drain as the shutdown walks it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use devtoolsproxy::Edge;
use orchestrator::node::NodeStatus;
use orchestrator::{ForceReason, Orchestrator};
use service::BoxFuture;
use service::Door;
use service::shutdown::{Blocker, DrainPhases, DrainProgress, DrainTotals, Faults, ForceCause};
use tokio::time::Instant;

/// Adapts the orchestrator to the shutdown.
pub(crate) struct Node {
    pub(crate) orchestrator: Orchestrator,
    /// How long a forced end may clean up.
    pub(crate) force: Duration,
    pub(crate) edge: Arc<Edge>,
    /// How long sessions are let be before each is closed in its first quiet moment; `None`: they
    /// are not closed before the deadline.
    pub(crate) quiet_after: Option<Duration>,
    /// When the drain is forced, known when it begins.
    pub(crate) deadline: OnceLock<Option<Instant>>,
}

impl Node {
    /// Closes sessions in their quiet moments, and ends the sandboxes that have none left.
    async fn wait_quiet(&self, after: Duration) {
        tokio::time::sleep(after).await;
        self.edge.stop_when_quiet(self.deadline.get().copied().flatten());
        self.orchestrator.end_unused().await;
    }
}

impl DrainPhases for Node {
    fn worth_announcing(&self) -> bool {
        self.orchestrator.status() == NodeStatus::Healthy
    }

    fn announce(&self, _until: Instant) {
        self.orchestrator.begin_announce();
    }

    fn close_server_gate(&self, deadline: Option<Instant>) {
        self.deadline.get_or_init(|| deadline);
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        self.orchestrator.begin_server_drain(left);
    }

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.orchestrator.wait_admitted())
    }

    fn close_factory_gate(&self) {
        self.orchestrator.begin_factory_drain();
    }

    fn wait_starts(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.orchestrator.wait_starts())
    }

    fn wait_live(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            match self.quiet_after {
                None => self.orchestrator.wait_live_empty().await,
                Some(after) => {
                    let quiet = async {
                        self.wait_quiet(after).await;
                        std::future::pending::<Infallible>().await
                    };
                    tokio::select! {
                        biased;
                        () = self.orchestrator.wait_live_empty() => {}
                        never = quiet => match never {},
                    }
                }
            }
        })
    }

    fn wait_cleanup(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.orchestrator.wait_cleanup())
    }

    fn force_stop(&self, cause: ForceCause, faults: Faults) -> BoxFuture<'_, ()> {
        let reason = match cause {
            ForceCause::Deadline => ForceReason::NodeDrain,
            ForceCause::SecondSignal
            | ForceCause::Setting
            | ForceCause::Api
            | ForceCause::Defect => ForceReason::ForceStop,
        };
        let told = faults.clone();
        Box::pin(async move {
            let report = self
                .orchestrator
                .force_stop(reason, self.force, move |error| {
                    told.add(error.sandbox, error.step.to_string(), error.errors.join("; "));
                })
                .await;
            for stuck in report.stuck {
                faults.add(stuck.sandbox, stuck.step.to_string(), "did not end in time");
            }
        })
    }

    fn kill_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.orchestrator.kill_all())
    }

    fn progress(&self) -> DrainProgress {
        let counts = self.orchestrator.drain_counts();
        let blocker = |blocker: orchestrator::Blocker| Blocker {
            id: blocker.id,
            state: format!("{}: {}", blocker.state.as_str(), blocker.step),
            age: blocker.age,
            sessions: blocker.sessions,
            expires_in: blocker.expires_in,
        };
        DrainProgress {
            live: counts.live,
            starting: counts.starting,
            sessions: counts.sessions,
            saves: counts.saves,
            blockers: self.orchestrator.blockers().into_iter().map(blocker).collect(),
            ends_in: self.orchestrator.last_ends_by().and_then(from_now),
            ..DrainProgress::default()
        }
    }

    fn totals(&self) -> DrainTotals {
        let totals = self.orchestrator.drain_totals();
        DrainTotals { stopped: totals.stopped, sessions_closed: totals.sessions_closed }
    }
}

fn from_now(at: SystemTime) -> Option<Duration> {
    at.duration_since(SystemTime::now()).ok()
}

/// What `/readyz` asks.
pub(crate) struct NodeDoor(pub(crate) Orchestrator);

impl Door for NodeDoor {
    fn refuses(&self) -> Option<&'static str> {
        match (self.0.readiness(), self.0.status()) {
            (Ok(()), _) => None,
            (Err(_), NodeStatus::Healthy) => Some("starting"),
            (Err(_), status) => Some(status.as_str()),
        }
    }
}
