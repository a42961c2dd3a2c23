//! The sessions of this process: how many there are, whose, and whether there is room for one more.
//!
//! Count and list are one table behind one lock, and a place in it is a guard, so they cannot
//! differ: not after a client that left early, not after a panic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::refusal::Refusal;

#[cfg(test)]
mod tests;

/// One session as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The id that its events and answers carry.
    pub connection_id: Arc<str>,
    /// Its sandbox.
    pub sandbox_id: Arc<str>,
    /// When it was let in.
    pub since: Instant,
    /// The generation of the browser it is connected to; `None` until the 101.
    pub generation: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    per_sandbox: usize,
    total: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<Arc<str>, SessionInfo>,
    by_sandbox: HashMap<Arc<str>, usize>,
}

impl Registry {
    pub(crate) fn new(per_sandbox: usize, total: usize) -> Self {
        Self { per_sandbox, total, table: Mutex::default() }
    }

    /// Takes a place for a session, or says which limit is reached.
    pub(crate) fn take(
        self: &Arc<Self>,
        sandbox_id: &Arc<str>,
        connection_id: &Arc<str>,
        since: Instant,
    ) -> Result<Place, Refusal> {
        let mut table = self.lock();
        if table.sessions.len() >= self.total {
            return Err(Refusal::ProcessFull(self.total));
        }
        let count = table.by_sandbox.entry(Arc::clone(sandbox_id)).or_default();
        if *count >= self.per_sandbox {
            return Err(Refusal::SandboxFull(self.per_sandbox));
        }
        *count += 1;
        let info = SessionInfo {
            connection_id: Arc::clone(connection_id),
            sandbox_id: Arc::clone(sandbox_id),
            since,
            generation: None,
        };
        table.sessions.insert(Arc::clone(connection_id), info);
        drop(table);
        Ok(Place {
            registry: Arc::clone(self),
            sandbox_id: Arc::clone(sandbox_id),
            connection_id: Arc::clone(connection_id),
        })
    }

    /// All sessions, the oldest first.
    pub(crate) fn list(&self) -> Vec<SessionInfo> {
        let mut list: Vec<_> = self.lock().sessions.values().cloned().collect();
        list.sort_by_key(|info| info.since);
        list
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().sessions.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the table, for as long as the session lives.
#[must_use = "dropping it frees the place, and the limits no longer hold"]
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<Registry>,
    sandbox_id: Arc<str>,
    connection_id: Arc<str>,
}

impl Place {
    /// Notes that the client got its 101.
    pub(crate) fn connected(&self, generation: u64) {
        if let Some(info) = self.registry.lock().sessions.get_mut(&self.connection_id) {
            info.generation = Some(generation);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.registry.lock();
        table.sessions.remove(&self.connection_id);
        if let Some(count) = table.by_sandbox.get_mut(&self.sandbox_id) {
            *count -= 1;
            if *count == 0 {
                table.by_sandbox.remove(&self.sandbox_id);
            }
        }
    }
}
