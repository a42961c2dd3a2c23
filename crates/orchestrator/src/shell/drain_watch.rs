//! Watching a drain: how it stands, at once and whenever that changes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lockkeeper_api::{DrainReport, DrainView, SandboxState};
use tokio::sync::watch;

use super::snapshot::{millis, unix_ms};
use super::{Core, Orchestrator, Shared, now};
use crate::node::NodeStatus;

/// Those who block are named up to this many, the oldest first; a client counts the others.
const NAMED: usize = 100;
/// While the node drains, ages and what is left of the budget are told anew this often.
const REFRESH: Duration = Duration::from_secs(5);

/// One who watches a drain. It is told the newest state: a slow reader skips what is between.
#[derive(Debug)]
pub struct DrainWatch {
    node: Orchestrator,
    news: watch::Receiver<()>,
    told: Option<DrainReport>,
}

impl Orchestrator {
    /// How a drain stands, or would stand if it began now.
    pub fn drain_report(&self) -> DrainReport {
        self.shared.lock().drain_report(&self.shared.config.node_id)
    }

    /// Watches the drain.
    pub fn watch_drain(&self) -> DrainWatch {
        let news = self.shared.drain_news.subscribe();
        DrainWatch { node: self.clone(), news, told: None }
    }
}

impl DrainWatch {
    /// How it stands: at once the first time, then when it has changed; `None` when the daemon is
    /// ending.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Option<DrainReport> {
        let mut refresh = false;
        loop {
            self.news.borrow_and_update();
            let report = self.node.drain_report();
            let draining = report.status == NodeStatus::Draining;
            if refresh || self.told.as_ref().is_none_or(|told| differ(told, &report)) {
                self.told = Some(report.clone());
                return Some(report);
            }
            let ending = self.node.shared.watches_end.clone();
            tokio::select! {
                biased;
                changed = self.news.changed() => changed.ok()?,
                () = ending.cancelled() => return None,
                () = tokio::time::sleep(REFRESH), if draining => refresh = true,
            }
        }
    }
}

/// Whether anything but the passing of time lies between two reports.
fn differ(old: &DrainReport, new: &DrainReport) -> bool {
    let still = |report: &DrainReport| {
        let mut report = report.clone();
        report.budget_left_ms = None;
        for blocker in &mut report.blockers {
            (blocker.age_ms, blocker.expires_in_ms) = (0, None);
        }
        report
    };
    still(old) != still(new)
}

impl Shared {
    /// Something that a drain depends on may have changed.
    pub(super) fn tell_drain(&self) {
        self.drain_news.send_replace(());
    }
}

impl Core {
    fn drain_report(&self, node_id: &str) -> DrainReport {
        let now = now();
        let tally = self.registry.tally();
        let counts = self.drain_counts();
        let operator = self.drain.stops_at().map(|at| at.saturating_duration_since(now.instant));
        let deadline: Option<SystemTime> = match (self.drain.deadline_wall(), operator) {
            (Some(at), _) => Some(at),
            (None, Some(left)) => now.wall.checked_add(left),
            (None, None) => None,
        };
        let mut waited: Vec<_> = self.registry.sandboxes().collect();
        // A parked one is in the way until nothing of it runs and its profile is kept.
        let parked = |state: SandboxState| state == SandboxState::Paused;
        waited.retain(|one| !parked(one.state.word()) || one.occupies(&self.registry));
        waited.sort_by_key(|sandbox| sandbox.record.seq);
        let view = |sandbox: &&crate::registry::Sandbox<Arc<super::Handles>>| DrainView {
            id: sandbox.record.id.to_string(),
            state: sandbox.state.word(),
            age_ms: millis(now.instant.saturating_duration_since(sandbox.record.created.instant)),
            sessions: sandbox.handle.session_count(),
            expires_in_ms: sandbox
                .record
                .expires
                .filter(|_| sandbox.state.stop().is_none())
                .map(|at| millis(at.saturating_duration_since(now.instant))),
        };
        let count = |state: SandboxState| Some((state, tally.of(state))).filter(|(_, n)| *n > 0);
        DrainReport {
            node_id: node_id.to_owned(),
            status: self.node.status(),
            accepting: self.node.accepting(),
            phase: self.phase().to_owned(),
            sandboxes: SandboxState::ALL.into_iter().filter_map(count).collect(),
            lifecycles: tally.lifecycles,
            sessions: counts.sessions,
            saves: counts.saves,
            blocking: waited.len() as u64,
            blockers: waited.iter().take(NAMED).map(view).collect(),
            deadline_ms: deadline.map(unix_ms),
            budget_left_ms: deadline
                .map(|at| millis(at.duration_since(now.wall).unwrap_or_default())),
        }
    }
}
