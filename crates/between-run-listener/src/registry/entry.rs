//! The outermost frame of a listener's task: whatever happens inside, it frees the entry.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::feed::SessionKey;
use crate::listener::Task;

use super::table::Live;
use super::{Inner, now};

/// Frees the entry of its own generation when dropped, and says that it is gone.
#[must_use = "dropping it frees the listener's entry"]
pub(super) struct Entry {
    registry: Arc<Inner>,
    key: SessionKey,
    generation: u64,
    gone: CancellationToken,
}

impl Entry {
    pub(super) fn new(registry: &Arc<Inner>, key: SessionKey, live: &Live) -> Self {
        let registry = Arc::clone(registry);
        Self { registry, key, generation: live.generation, gone: live.gone.clone() }
    }

    /// Runs the listener. A panic in it becomes a state that people can see.
    pub(super) async fn run(self, task: Task) {
        // In this order, so that the listener is dropped first when the task is aborted.
        let entry = self;
        let board = Arc::clone(&task.board);
        let setup = Arc::clone(&task.setup);
        if AssertUnwindSafe(task.run()).catch_unwind().await.is_err() {
            tracing::error!(
                project = entry.key.project(),
                session = entry.key.session(),
                generation = entry.generation,
                "a listener panicked: this is a defect; the session's next use starts another"
            );
            let status = board.show_defect(now());
            setup.feed.status(&status);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.table().finished(&self.key, self.generation);
        self.gone.cancel();
    }
}
