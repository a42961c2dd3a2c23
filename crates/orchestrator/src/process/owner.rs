//! By what the processes of one sandbox are recognised.
//!
//! No single mark finds them all. The browser's crash handlers leave session, group and parent; its
//! helper processes overwrite their environment; a sandbox has a user of its own only when the
//! daemon is root, and a control group only where the host allows it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cgroup::Leaf;
use super::table::Proc;
use super::uids::UidLease;

/// What the processes of one incarnation have in common.
#[derive(Debug)]
pub(crate) struct Owner {
    /// A user that nobody else has as long as the lease lives.
    lease: Option<UidLease>,
    leaf: Option<Leaf>,
    mark: String,
    /// The session of the running browser, which is also its pid; 0 if none runs. Set while nobody
    /// has waited for the browser, so that the number cannot mean anybody else's session.
    session: AtomicI32,
    /// Processes that had a mark while they could still be asked, by pid and start time.
    known: Mutex<HashSet<(i32, u64)>>,
}

impl Owner {
    pub(crate) fn new(lease: Option<UidLease>, leaf: Option<Leaf>, mark: String) -> Arc<Self> {
        let (session, known) = (AtomicI32::new(0), Mutex::default());
        Arc::new(Self { lease, leaf, mark, session, known })
    }

    pub(crate) fn uid(&self) -> Option<u32> {
        self.lease.as_ref().map(UidLease::uid)
    }

    pub(crate) fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()
    }

    /// The group that no process of this sandbox can leave: they have a user of their own, and only
    /// root may move processes between groups. What is not inside is not of this sandbox, but for a
    /// launcher on its way in.
    pub(crate) fn seal(&self) -> Option<&Leaf> {
        self.leaf().filter(|_| self.lease.is_some())
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// The browser was started, in a session that has its pid.
    pub(crate) fn session_begins(&self, pid: i32) {
        self.session.store(pid, Ordering::SeqCst);
    }

    /// Somebody is about to wait for the browser: its pid may mean another process afterwards.
    pub(crate) fn session_ends(&self) {
        self.session.store(0, Ordering::SeqCst);
    }

    /// Pid of the browser, as long as nobody has waited for it.
    pub(crate) fn session(&self) -> Option<i32> {
        Some(self.session.load(Ordering::SeqCst)).filter(|session| *session != 0)
    }

    /// Whether a process belongs to this sandbox.
    pub(crate) fn owns(&self, process: &Proc) -> bool {
        self.session().is_some_and(|s| s == process.session || s == process.pid)
            || self.uid() == Some(process.uid)
            || process.mark.as_deref() == Some(&self.mark)
            || self.lock_known().contains(&(process.pid, process.start))
    }

    /// Remembers a process that was recognised: once it is dead most of its marks are gone.
    pub(crate) fn remember(&self, process: &Proc) {
        self.lock_known().insert((process.pid, process.start));
    }

    /// Forgets what was remembered, when nothing of it lives any more.
    pub(crate) fn forget(&self) {
        self.lock_known().clear();
    }

    fn lock_known(&self) -> std::sync::MutexGuard<'_, HashSet<(i32, u64)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
