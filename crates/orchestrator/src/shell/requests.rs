//! Repeats of a create: the same request id gets the first outcome.

use std::collections::HashMap;

use telemetry::words::StopReason;

use super::Core;
use super::handles::Handles;
use crate::ids::{LifecycleId, SandboxId};
use crate::lifecycle::Stop;

/// Which incarnation of which sandbox a request id has made. An entry is worth as much as what is
/// remembered of the incarnation: it goes with the tombstone.
#[derive(Debug, Default)]
pub(super) struct Requests(HashMap<String, (SandboxId, LifecycleId)>);

/// How many entries there may be before those that are worth nothing are dropped.
const SWEEP: usize = 1024;

impl Core {
    /// The incarnation that this request id has made, if its client got it or may still get it. One
    /// that was undone because its client left does not count.
    pub(super) fn made_by(&self, request: &str) -> Option<(SandboxId, LifecycleId)> {
        let (id, lifecycle) = self.requests.0.get(request)?;
        let stop = self.remembered(id, lifecycle)?;
        let undone = stop.is_some_and(|stop| stop.reason == StopReason::StartCancelled);
        (!undone).then(|| (id.clone(), lifecycle.clone()))
    }

    pub(super) fn note_request(&mut self, request: String, handles: &Handles) {
        if self.requests.0.len() >= SWEEP {
            let mut requests = std::mem::take(&mut self.requests);
            requests.0.retain(|_, (id, lifecycle)| self.remembered(id, lifecycle).is_some());
            self.requests = requests;
        }
        let made = (handles.sandbox.clone(), handles.lifecycle.clone());
        self.requests.0.insert(request, made);
    }

    /// Why an incarnation ended, if it has; `None` if nothing is known of it any more.
    fn remembered(&self, id: &SandboxId, lifecycle: &LifecycleId) -> Option<Option<&Stop>> {
        if let Some(sandbox) = self.registry.by_lifecycle(lifecycle) {
            return Some(sandbox.state.stop());
        }
        let tomb = self.registry.tombstone(id.as_str())?;
        (tomb.record.lifecycle == *lifecycle).then_some(Some(&tomb.stop))
    }
}
