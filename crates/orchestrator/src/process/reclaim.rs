//! Ends what an earlier daemon left under the same state directory.
//!
//! Everything is read before anything is killed. A process is killed only with a proof that it is
//! ours; neither its name nor its bare pid is one.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::cgroup;
use super::engine::Engine;
use super::environment::mark;
use super::hunt::{KILL_WITHIN, blocking, kill_exactly};
use super::record::Record;
use super::state::SandboxDirs;
use super::table::{self, Marks, Proc};
use super::uids::UidLease;
use crate::driver::{LifecycleId, ReclaimError, ReclaimReport};

/// Pause between two rounds of killing.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What is left of one sandbox.
#[derive(Debug)]
struct Leftover {
    lifecycle: LifecycleId,
    dirs: SandboxDirs,
    groups: Vec<PathBuf>,
    proofs: Proofs,
}

/// What proves that a process belongs to a sandbox of an earlier daemon.
#[derive(Debug, Default)]
struct Proofs {
    /// Its user. Holding the lease, we know that no other daemon has given it out.
    lease: Option<UidLease>,
    /// Its browser: pid and start time, of this very boot.
    browser: Option<(i32, u64)>,
    /// The mark in its environment.
    mark: String,
}

impl Proofs {
    fn hold(&self, process: &Proc) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.uid() == process.uid)
            || self.browser == Some((process.pid, process.start))
            || process.mark.as_deref() == Some(self.mark.as_str())
    }
}

impl Engine {
    /// Ends every sandbox that has a folder but no task of this driver.
    ///
    /// # Errors
    /// When a list or a record cannot be read; then nothing was killed.
    pub(crate) async fn reclaim(self: &Arc<Self>) -> Result<ReclaimReport, ReclaimError> {
        let told = |e: io::Error| ReclaimError(e.to_string());
        let engine = Arc::clone(self);
        let left = blocking(move || engine.leftovers()).await.map_err(told)?;
        let user = rustix::process::geteuid().as_raw();
        let scan = || blocking(move || table::scan(Marks::OfUser(user)));
        // Before the first kill it must be known that the list can be read.
        scan().await.map_err(told)?;

        let deadline = Instant::now() + KILL_WITHIN;
        let mut killed = HashSet::new();
        let mut empty = 0;
        let alive = loop {
            let all = scan().await.map_err(told)?;
            let alive = find(&left, &all).map_err(told)?;
            killed.extend(alive.iter().map(|process| (process.pid, process.start)));
            alive.iter().for_each(kill_exactly);
            empty = if alive.is_empty() { empty + 1 } else { 0 };
            if empty == 2 || Instant::now() >= deadline {
                break alive;
            }
            if empty == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let mut report = ReclaimReport { killed: killed.len(), ..ReclaimReport::default() };
        if !alive.is_empty() {
            let pids: Vec<_> = alive.iter().take(5).map(|p| p.pid.to_string()).collect();
            return Err(ReclaimError(format!(
                "{} processes of an earlier daemon do not die ({}); their directories are kept",
                alive.len(),
                pids.join(", ")
            )));
        }
        let engine = Arc::clone(self);
        report.ended = blocking(move || engine.remove_leftovers(left)).await.map_err(told)?;
        Ok(report)
    }

    fn leftovers(&self) -> io::Result<Vec<Leftover>> {
        let mut left = Vec::new();
        let leaves = self.tree.leaves()?;
        let mut names: HashSet<LifecycleId> = self.state.lifecycles()?.into_iter().collect();
        // A group without a folder is left when a removal was interrupted at its very end.
        let plain = leaves.iter().filter(|(name, _)| super::state::is_lifecycle(name));
        names.extend(plain.map(|(name, _)| LifecycleId::new(name.as_str())));
        for lifecycle in names {
            let dirs = self.state.dirs(&lifecycle);
            // Read before the map is asked: whoever starts now is in the map before it has a folder.
            let record = Record::read(&dirs.root).map_err(|e| about(&lifecycle, &e))?;
            if self.instance(&lifecycle).is_some() {
                continue;
            }
            let mut groups: Vec<PathBuf> = leaves
                .iter()
                .filter(|(name, _)| name == lifecycle.as_str())
                .map(|(_, path)| path.clone())
                .collect();
            let mut proofs =
                Proofs { mark: mark(self.state.id(), &lifecycle), ..Proofs::default() };
            if let Some(record) = record.filter(|record| record.boot == self.boot) {
                groups
                    .extend(record.cgroups.into_iter().filter(|dir| self.is_ours(dir, &lifecycle)));
                proofs.browser = record.browser.map(|browser| (browser.pid, browser.start));
                if let (Some(pool), Some(uid)) = (&self.uids, record.uid) {
                    proofs.lease = pool.lease_exactly(uid)?;
                }
            }
            groups.sort();
            groups.dedup();
            left.push(Leftover { lifecycle, dirs, groups, proofs });
        }
        Ok(left)
    }

    /// Whether a recorded group carries this state directory's id and the lifecycle's.
    fn is_ours(&self, dir: &Path, lifecycle: &LifecycleId) -> bool {
        let parent = dir.parent().and_then(Path::file_name);
        let ours = format!("lockkeeper-{}", self.state.id());
        dir.file_name().is_some_and(|name| name == lifecycle.as_str())
            && parent.is_some_and(|name| name == ours.as_str())
    }

    fn remove_leftovers(&self, left: Vec<Leftover>) -> io::Result<Vec<LifecycleId>> {
        self.hunter.spawner.nursery().pass()?;
        let mut ended = Vec::new();
        let mut first_error = None;
        for Leftover { lifecycle, dirs, groups, proofs } in left {
            let folders = || {
                dirs.remove().or_else(|e| {
                    tracing::error!(%lifecycle, error = %e, "a directory was set aside");
                    self.state.set_aside(&lifecycle)
                })
            };
            let removed =
                groups.iter().try_for_each(|dir| cgroup::remove(dir)).and_then(|()| folders());
            self.tree.forget_elsewhere(&groups);
            // The user goes back last.
            drop(proofs);
            match removed {
                Ok(()) => ended.push(lifecycle),
                Err(e) => {
                    first_error.get_or_insert(about(&lifecycle, &e));
                }
            }
        }
        first_error.map_or(Ok(ended), Err)
    }
}

/// Living processes with a proof.
fn find(left: &[Leftover], all: &[Proc]) -> io::Result<Vec<Proc>> {
    let mut inside = HashSet::new();
    for leftover in left {
        for group in &leftover.groups {
            inside.extend(cgroup::pids(group)?);
        }
    }
    let ours = |process: &&Proc| {
        !process.zombie
            && (inside.contains(&process.pid) || left.iter().any(|l| l.proofs.hold(process)))
    };
    Ok(all.iter().filter(ours).cloned().collect())
}

fn about(lifecycle: &LifecycleId, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("sandbox {lifecycle}: {e}"))
}

#[cfg(test)]
mod tests;
