//! A drain that ends what nobody uses any more, instead of waiting for its time to live.

use std::sync::Arc;

use futures_util::future::join_all;
use telemetry::words::StopReason;

use super::{Orchestrator, now};
use crate::lifecycle::{Event, State, Stop};

impl Orchestrator {
    /// Lets no further session into any sandbox that lives, and ends each, as `node_drain`, when its
    /// last session is gone; one that has none ends at once. Returns when all have been told.
    ///
    /// Whoever serves the sessions ends them: they are told nothing here.
    ///
    /// # Cancel safety
    /// No session gets in any more when the future is dropped; it can be called again.
    pub async fn end_unused(&self) {
        let shared = &self.shared;
        let living: Vec<_> = {
            let core = shared.lock();
            let live = |state: &State| {
                !matches!(state, State::Paused { .. } | State::Stopping(_) | State::Stopped(_))
            };
            let live = core.registry.sandboxes().filter(|sandbox| live(&sandbox.state));
            live.map(|sandbox| Arc::clone(&sandbox.handle)).collect()
        };
        join_all(living.into_iter().map(|handles| async move {
            handles.sessions.begin_drain();
            handles.gate.drained().await;
            let stop = Stop::new(StopReason::NodeDrain, "the node drains and nobody uses it");
            let mut core = shared.lock();
            let changes = core.registry.apply(&handles.lifecycle, &Event::Force(stop), now());
            shared.tell(&mut core, &changes);
        }))
        .await;
    }
}
