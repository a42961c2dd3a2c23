//! Watching the sandboxes: all that exist, then every change in order.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::handles::Handles;
use super::{Core, Orchestrator, Shared, Snapshot, now};
use crate::ids::LifecycleId;
use crate::registry::Change;
use crate::watch::{Cursor, Missed};

/// Changes that are kept for watchers that lag or come back. At a few hundred bytes each this is
/// about a megabyte.
pub(super) const KEPT: usize = 4_096;
/// Changes that a watcher takes out of the journal at once.
const BATCH: usize = 256;

/// What a watcher is told.
#[derive(Debug, Clone)]
pub enum Watched {
    /// One sandbox of the picture that a watch begins with.
    Present(Arc<Snapshot>),
    /// The picture is complete.
    Synced {
        /// The place to come back to.
        cursor: Cursor,
        /// How many sandboxes it has.
        sandboxes: u64,
    },
    /// A sandbox is new, has taken a step, or was changed.
    Changed {
        /// The place to come back to.
        cursor: Cursor,
        /// The sandbox after it.
        sandbox: Arc<Snapshot>,
    },
    /// Changes are missing; what exists now follows as a new picture.
    Gap(Missed),
}

impl Watched {
    /// The place to come back to, if this is one.
    pub fn cursor(&self) -> Option<&Cursor> {
        match self {
            Self::Synced { cursor, .. } | Self::Changed { cursor, .. } => Some(cursor),
            Self::Present(_) | Self::Gap(_) => None,
        }
    }
}

/// One who watches. It takes memory for one batch, however slowly it reads.
#[derive(Debug)]
pub struct Watch {
    node: Orchestrator,
    /// Absent until the picture has been taken.
    last: Option<u64>,
    ready: VecDeque<Watched>,
    news: watch::Receiver<u64>,
}

impl Orchestrator {
    /// Watches the sandboxes: from behind `after` if its changes are still known, else from a picture
    /// of all that have not ended.
    pub fn watch(&self, after: Option<&Cursor>) -> Watch {
        let core = self.shared.lock();
        let mut ready = VecDeque::new();
        let last = after.and_then(|cursor| match core.journal.resume(cursor) {
            Ok(last) => Some(last),
            Err(missed) => {
                ready.push_back(Watched::Gap(missed));
                None
            }
        });
        let news = self.shared.news.subscribe();
        drop(core);
        Watch { node: self.clone(), last, ready, news }
    }

    /// Ends every watch once it has told what there is: the daemon is ending.
    pub fn end_watches(&self) {
        self.shared.watches_end.cancel();
    }
}

impl Watch {
    /// What is next; `None` when the daemon is ending.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Option<Watched> {
        loop {
            if let Some(watched) = self.ready.pop_front() {
                return Some(watched);
            }
            // Before the look, so that what comes after it wakes us.
            self.news.borrow_and_update();
            self.look();
            if !self.ready.is_empty() {
                continue;
            }
            let ending = self.node.shared.watches_end.clone();
            tokio::select! {
                biased;
                changed = self.news.changed() => changed.ok()?,
                () = ending.cancelled() => return None,
            }
        }
    }

    fn look(&mut self) {
        let core = self.node.shared.lock();
        let Some(last) = self.last else {
            let (picture, last) = (core.picture(), core.journal.last());
            let sandboxes = picture.len() as u64;
            self.ready.extend(picture.into_iter().map(Watched::Present));
            self.ready.push_back(Watched::Synced { cursor: core.journal.cursor(last), sandboxes });
            self.last = Some(last);
            return;
        };
        match core.journal.after(last, BATCH) {
            Ok(changes) => {
                for (sandbox, seen) in changes.into_iter().zip(last + 1..) {
                    let cursor = core.journal.cursor(seen);
                    self.ready.push_back(Watched::Changed { cursor, sandbox });
                    self.last = Some(seen);
                }
            }
            Err(missed) => {
                self.ready.push_back(Watched::Gap(missed));
                self.last = None;
            }
        }
    }
}

impl Core {
    /// Everything that has not ended, oldest first.
    fn picture(&self) -> Vec<Arc<Snapshot>> {
        let taken = now();
        let mut all: Vec<_> =
            self.registry.sandboxes().map(|sandbox| Snapshot::of_sandbox(sandbox, taken)).collect();
        all.sort_by_key(|snapshot| snapshot.record().seq);
        all.into_iter().map(Arc::new).collect()
    }
}

impl Shared {
    /// A sandbox has taken a step. The caller holds the lock.
    pub(super) fn journal_step(&self, core: &mut Core, change: &Change<Arc<Handles>>) {
        let snapshot = Snapshot::of_change(change, &core.registry, now());
        self.journal(core, snapshot);
    }

    /// A sandbox is new, or something other than its state has changed. The caller holds the lock.
    pub(super) fn journal_present(&self, core: &mut Core, lifecycle: &LifecycleId) {
        let sandbox = core.registry.by_lifecycle(lifecycle);
        if let Some(snapshot) = sandbox.map(|sandbox| Snapshot::of_sandbox(sandbox, now())) {
            self.journal(core, snapshot);
        }
    }

    fn journal(&self, core: &mut Core, snapshot: Snapshot) {
        core.journal.push(Arc::new(snapshot));
        self.news.send_replace(core.journal.last());
    }
}
