//! The runtime of a daemon, and an end that nothing can hold up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::ExitStatus;

/// How long threads that block may hold up the exit. Cleanup that hangs in the file system would
/// otherwise keep the process for ever, with everything else already reported and closed.
const BLOCKED_BOUND: Duration = Duration::from_millis(500);

/// Runs a daemon on a multi-threaded runtime and returns how the process has to exit. A panic that
/// reaches this point is a failure.
///
/// Return the result from `main`: it is a [`std::process::Termination`].
pub fn run<F: Future<Output = ExitStatus>>(daemon: F) -> ExitStatus {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %error, "no runtime");
            return ExitStatus::Unavailable;
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(daemon)));
    runtime.shutdown_timeout(BLOCKED_BOUND);
    ended.unwrap_or(ExitStatus::Failed)
}
