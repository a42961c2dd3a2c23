//! Draining: the two gates of a shutdown and the reversible drain of an operator.

use std::time::{Duration, Instant, SystemTime};

use lockkeeper_api::{DrainRequest, SandboxState, TimeSpan};
use telemetry::words::StopReason;

use super::force::ErrorSink;
use super::{Core, Orchestrator, Shared, events, now};
use crate::lifecycle::{Event, Stop};
use crate::node::{NodeStatus, StatusError};
use crate::registry::{Moment, Tally};

/// What is under way, if anything.
#[derive(Default)]
pub(super) struct DrainState {
    phase: Option<&'static str>,
    deadline: Option<SystemTime>,
    operator: Option<Operator>,
    /// Sandboxes that ended since the node drains, and the sessions that this cut.
    pub(super) totals: DrainTotals,
    /// Where what could not be cleaned up is told as it happens, once a force stop has begun.
    pub(super) errors: Option<ErrorSink>,
}

/// What a drain has ended so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainTotals {
    /// Sandboxes.
    pub stopped: u64,
    /// DevTools sessions.
    pub sessions_closed: u64,
}

/// An operator's drain.
pub(super) struct Operator {
    pub(super) began: Instant,
    pub(super) deadline: Option<Duration>,
    stop_at: Option<Instant>,
    pub(super) forced: bool,
}

/// How an operator drains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperatorDrain {
    /// How long new work is still taken while the status says draining.
    pub announce: Duration,
    /// What still lives this long after now is stopped; `None` = nothing is.
    pub deadline: Option<Duration>,
    /// Stop what lives at once.
    pub force: bool,
}

impl From<DrainRequest> for OperatorDrain {
    fn from(request: DrainRequest) -> Self {
        Self {
            announce: request.announce.map_or(Duration::ZERO, TimeSpan::duration),
            deadline: request.deadline.map(TimeSpan::duration),
            force: request.force,
        }
    }
}

impl DrainState {
    /// The step of a shutdown, if one has begun.
    pub(super) fn phase(&self) -> Option<&'static str> {
        self.phase
    }

    pub(super) fn deadline_wall(&self) -> Option<SystemTime> {
        self.deadline
    }

    pub(super) fn operator(&self) -> Option<&Operator> {
        self.operator.as_ref()
    }

    /// When an operator's drain stops what lives.
    pub(super) fn stops_at(&self) -> Option<Instant> {
        self.operator.as_ref().and_then(|operator| operator.stop_at)
    }
}

impl Orchestrator {
    /// An operator drains the node: no new work, and what lives goes on, until a status is set.
    ///
    /// # Errors
    /// [`StatusError::ShuttingDown`].
    pub fn drain(&self, order: OperatorDrain) -> Result<(), StatusError> {
        let shared = &self.shared;
        let mut core = shared.lock();
        let now = now();
        let announce = !order.announce.is_zero() && !order.force;
        shared.with_node(&mut core, |node| match announce {
            true => node.announce(now.instant.checked_add(order.announce).unwrap_or(now.instant)),
            false => node.set_status(NodeStatus::Draining),
        })?;
        let stop_at = order.deadline.and_then(|time| now.instant.checked_add(time));
        let first = core.drain.operator.is_none();
        core.drain.operator =
            Some(Operator { began: now.instant, deadline: order.deadline, stop_at, forced: false });
        if first {
            core.drain.totals = DrainTotals::default();
            events::drain_started(shared, &core);
        }
        if order.force {
            shared.operator_force(&mut core, now);
        }
        shared.settled(&mut core);
        Ok(())
    }

    /// The daemon announces its end: the status is draining, creates still get in.
    pub fn begin_announce(&self) {
        let mut core = self.shared.lock();
        core.drain.phase = Some("announce");
        self.shared.with_node(&mut core, crate::node::Node::shutdown_announce);
        // First of all the pool stops to grow.
        self.shared.hold_pool(&mut core);
    }

    /// Closes the door and the server gate, at once and for good: a create that comes after this has
    /// returned is refused. `deadline` is when the drain will be forced, for those who ask.
    pub fn begin_server_drain(&self, deadline: Option<Duration>) {
        let mut core = self.shared.lock();
        let now = now();
        core.drain.phase = Some("server_gate");
        core.drain.deadline = deadline.and_then(|time| now.wall.checked_add(time));
        self.shared.with_node(&mut core, crate::node::Node::shutdown_close);
        self.shared.hold_pool(&mut core);
        if self.shared.server.begin_drain() {
            core.drain.totals = DrainTotals::default();
            self.shared.park_for_shutdown(&core);
            tracing::info!(
                inside = self.shared.server.report(now.instant).inside,
                "server gate closed"
            );
        }
    }

    /// Waits until every create that was let in is ready or has failed.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    pub async fn wait_admitted(&self) {
        self.phase("wait_admitted");
        self.shared.server_gate.drained().await;
    }

    /// Closes the factory gate: nothing is started any more, not even for work that was let in.
    pub fn begin_factory_drain(&self) {
        self.phase("factory_gate");
        self.shared.factory.begin_drain();
    }

    /// Waits until every start inside the factory gate has ended, then ends the browsers that wait
    /// for a create.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    pub async fn wait_starts(&self) {
        self.phase("wait_starts");
        self.shared.factory_gate.drained().await;
        self.end_pool();
    }

    /// Waits until no sandbox is left that could be used or become usable. Woken by the change.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    pub async fn wait_live_empty(&self) {
        self.phase("wait_live");
        self.wait_tally(|tally| usable(tally) == 0).await;
    }

    /// Waits until everything that has ended is cleaned up and its last event is published.
    ///
    /// # Cancel safety
    /// Leaves nothing behind when dropped.
    pub async fn wait_cleanup(&self) {
        self.phase("wait_cleanup");
        self.wait_tally(cleaned).await;
    }

    /// What the drain has ended so far.
    pub fn drain_totals(&self) -> DrainTotals {
        self.shared.lock().drain.totals
    }

    pub(super) fn phase(&self, phase: &'static str) {
        self.shared.lock().drain.phase = Some(phase);
        self.shared.tell_drain();
    }

    pub(super) async fn wait_tally(&self, done: impl Fn(&Tally) -> bool) {
        // The sender lives in `shared`.
        let _ = self.shared.tally.subscribe().wait_for(|tally| done(tally)).await;
    }
}

/// Whether nothing is left of anything but of parked sandboxes, which have a profile and no more.
pub(super) fn cleaned(tally: &Tally) -> bool {
    tally.lifecycles == 0 && tally.remains == 0 && tally.of(SandboxState::Stopping) == 0
}

/// Sandboxes that are usable or may become so.
fn usable(tally: &Tally) -> u64 {
    let states = [
        SandboxState::Requested,
        SandboxState::Starting,
        SandboxState::Running,
        SandboxState::Pausing,
        SandboxState::Checkpointing,
        SandboxState::Resuming,
    ];
    states.into_iter().map(|state| tally.of(state)).sum()
}

impl Shared {
    /// Tells every sandbox that the node ends it. The caller holds the lock.
    pub(super) fn force_all(&self, core: &mut Core, stop: &Stop, now: Moment) {
        let all: Vec<_> =
            core.registry.sandboxes().map(|sandbox| sandbox.record.lifecycle.clone()).collect();
        for lifecycle in all {
            let changes = core.registry.apply(&lifecycle, &Event::Force(stop.clone()), now);
            self.tell(core, &changes);
        }
    }

    fn operator_force(&self, core: &mut Core, now: Moment) {
        if let Some(operator) = &mut core.drain.operator {
            operator.stop_at = None;
            operator.forced = true;
            events::drain_forced(self, core);
            let stop = Stop::new(StopReason::NodeDrain, "an operator's drain stops what is left");
            self.force_all(core, &stop, now);
        }
    }

    /// An operator has set a status by another call.
    pub(super) fn operator_set(&self, core: &mut Core, status: NodeStatus) {
        match status {
            NodeStatus::Draining => {}
            NodeStatus::Healthy | NodeStatus::Standby | NodeStatus::Unhealthy => {
                core.drain.operator = None;
            }
        }
        self.settled(core);
    }

    /// What is due at the node itself.
    pub(super) fn node_due(&self, core: &mut Core, now: Moment) {
        if core.node.closes_at().is_some_and(|at| at <= now.instant) {
            self.with_node(core, |node| node.expire(now.instant));
            self.settled(core);
        }
        if core.drain.stops_at().is_some_and(|at| at <= now.instant) {
            self.operator_force(core, now);
            self.settled(core);
        }
    }

    /// An operator's drain ends when the door is closed and nothing is left.
    pub(super) fn operator_finished(&self, core: &mut Core) {
        let done = cleaned(&core.registry.tally()) && !core.node.accepting();
        if done && let Some(operator) = core.drain.operator.take_if(|_| done) {
            events::drain_finished(self, core, &operator);
        }
    }
}
