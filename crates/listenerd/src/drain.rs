//! The end of the sessions as the shutdown walks it.

use std::sync::Arc;

use between_run_listener::session::Sessions;
use service::BoxFuture;
use service::shutdown::{DrainPhases, DrainProgress, Faults, ForceCause};
use tokio::time::Instant;

/// Posted runs are waited for; listeners and subscribers end with the process and come back.
pub(crate) struct Runs(pub(crate) Arc<Sessions>);

impl DrainPhases for Runs {
    /// Sessions live here, so there is no other gateway to be sent to meanwhile.
    fn worth_announcing(&self) -> bool {
        false
    }

    fn close_server_gate(&self, _: Option<Instant>) {
        self.0.begin_drain();
    }

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wait_live(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.drained())
    }

    /// A run that is cut stays open in its log, and the next start goes on with it.
    fn force_stop(&self, _: ForceCause, _: Faults) -> BoxFuture<'_, ()> {
        self.0.begin_drain();
        self.0.cut_runs();
        Box::pin(self.0.drained())
    }

    /// Nothing here has processes.
    fn kill_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn progress(&self) -> DrainProgress {
        DrainProgress { runs: self.0.open_runs(), ..DrainProgress::default() }
    }
}
