//! What the node says of itself, and who may change it.

use std::time::SystemTime;

use lockkeeper_api::{Capacity, NodeInfo, SandboxState, Slots};

use super::snapshot::{millis, unix_ms};
use super::{Core, Orchestrator, Shared, events, now};
use crate::node::{Node, NodeStatus, StatusError};

impl Orchestrator {
    /// What the node says of itself.
    pub fn status(&self) -> NodeStatus {
        self.shared.lock().node.status()
    }

    /// Whether a create would be admitted, room aside.
    pub fn accepting(&self) -> bool {
        self.shared.lock().node.accepting()
    }

    /// Whether load balancers should send work here; why not, if not.
    ///
    /// # Errors
    /// One line for a person.
    pub fn readiness(&self) -> Result<(), String> {
        let core = self.shared.lock();
        match (core.node.ready(), core.node.admit()) {
            (true, _) => Ok(()),
            (false, Err(refusal)) => Err(refusal.to_string()),
            (false, Ok(())) => Err("the node is about to drain".to_owned()),
        }
    }

    /// Sets the status. After `Draining` has returned no create is admitted; `Healthy` opens the
    /// same door again. The same status again changes nothing.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub fn set_status(&self, status: NodeStatus) -> Result<(), StatusError> {
        let mut core = self.shared.lock();
        let outcome = self.shared.with_node(&mut core, |node| node.set_status(status));
        if outcome.is_ok() {
            self.shared.operator_set(&mut core, status);
        }
        outcome
    }

    /// A check of the node by itself: an error makes it unhealthy, success fit again.
    pub fn report_fitness(&self, fitness: Result<(), String>) {
        self.shared.judge(|node| node.judge(fitness));
    }

    /// Everything that the node says of itself.
    pub fn info(&self) -> NodeInfo {
        let shared = &self.shared;
        let core = shared.lock();
        let tally = core.registry.tally();
        let config = &shared.config;
        let count = |state: SandboxState| Some((state, tally.of(state))).filter(|(_, n)| *n > 0);
        let sessions = core.registry.sandboxes().map(|sandbox| sandbox.handle.session_count());
        NodeInfo {
            node_id: config.node_id.clone(),
            version: config.version.clone(),
            status: core.node.status(),
            accepting: core.node.accepting(),
            changed_at_ms: unix_ms(core.status_changed.wall),
            phase: core.phase().to_owned(),
            drain_deadline_ms: core.drain.deadline_wall().map(|at: SystemTime| unix_ms(at)),
            capacity: Capacity { max: config.max_sandboxes as u64, used: tally.lifecycles },
            slots: Slots {
                max: config.start_slots as u64,
                used: tally.slots,
                queued: tally.queued,
            },
            pool: core.pool_stocks(),
            sandboxes: SandboxState::ALL.into_iter().filter_map(count).collect(),
            sessions: sessions.sum(),
            isolation: shared.capabilities.isolation.to_owned(),
            flavours: shared.capabilities.flavours.iter().map(|f| f.as_str().to_owned()).collect(),
            templates: config.template_names().into_iter().map(str::to_owned).collect(),
            default_ttl_ms: millis(config.default_ttl),
            max_ttl_ms: millis(config.max_ttl),
        }
    }
}

impl Core {
    /// What the node does, as a word: the step of a shutdown, an operator's drain, or serving.
    pub(super) fn phase(&self) -> &'static str {
        match (self.drain.phase(), self.node.status()) {
            (Some(step), _) => step,
            (None, NodeStatus::Draining) => "draining",
            (None, NodeStatus::Healthy | NodeStatus::Standby | NodeStatus::Unhealthy) => "serving",
        }
    }
}

impl Shared {
    /// Changes the node and tells everyone if its status is another one now.
    pub(super) fn with_node<T>(&self, core: &mut Core, f: impl FnOnce(&mut Node) -> T) -> T {
        let from = core.node.status();
        let outcome = f(&mut core.node);
        let to = core.node.status();
        if from != to {
            core.status_changed = now();
            tracing::info!(from = from.as_str(), to = to.as_str(), "node status");
            events::node_status(&self.telemetry, from, to);
        }
        self.timer.notify_one();
        self.tell_drain();
        outcome
    }

    pub(super) fn judge(&self, f: impl FnOnce(&mut Node)) {
        let mut core = self.lock();
        self.with_node(&mut core, f);
    }
}
