//! The one task that waits for deadlines.

use std::sync::Arc;

use super::{Shared, now};
use crate::registry::Due;

pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        let next = shared.run_due();
        let wait = async {
            match next {
                Some(at) => tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.abandon.cancelled() => return,
            // Something changed: the next deadline may be another one.
            () = shared.timer.notified() => {}
            () = wait => {}
        }
    }
}

impl Shared {
    /// Does what is due and says when the next thing will be.
    fn run_due(self: &Arc<Self>) -> Option<std::time::Instant> {
        let mut core = self.lock();
        let now = now();
        while let Some(due) = core.registry.pop_due(now) {
            let changes = match due {
                Due::Changed(changes) => changes,
                Due::CheckIdle(lifecycle, handle) => {
                    let in_use = handle.session_count() > 0 || self.runs(&handle.sandbox);
                    match core.registry.idle_checked(&lifecycle, in_use, now) {
                        Due::Changed(changes) => changes,
                        Due::Park(lifecycle, else_) => {
                            self.park_later(lifecycle, else_);
                            continue;
                        }
                        Due::CheckIdle(..) => Vec::new(),
                    }
                }
                Due::Park(lifecycle, else_) => {
                    self.park_later(lifecycle, else_);
                    continue;
                }
            };
            self.tell(&mut core, &changes);
        }
        self.node_due(&mut core, now);
        let pool = self.tend_pool(&mut core, now);
        let deadlines =
            [core.registry.next_deadline(), core.node.closes_at(), core.drain.stops_at(), pool];
        deadlines.into_iter().flatten().min()
    }
}
