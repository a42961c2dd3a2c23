//! The runtime of a daemon, and an end that nothing can hold up.

use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::ExitStatus;

/// How long threads that block may hold up the exit. Cleanup that hangs in the file system would
/// otherwise keep the process for ever, with everything else already reported and closed.
const BLOCKED_BOUND: Duration = Duration::from_millis(500);

/// Prints a line for people or scripts on standard output. That nobody reads it is no failure.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_status_of_the_daemon_is_the_status_of_the_process() {
        assert_eq!(run(async { ExitStatus::LeftBehind }), ExitStatus::LeftBehind);
    }

    #[test]
    fn a_panic_is_a_failure() {
        assert_eq!(run(async { panic!("a defect") }), ExitStatus::Failed);
    }

    #[test]
    fn a_thread_that_blocks_for_ever_does_not_hold_up_the_end() {
        let began = Instant::now();
        let status = run(async {
            let (blocked, is_blocked) = tokio::sync::oneshot::channel();
            let _blocks = tokio::task::spawn_blocking(move || {
                let _ = blocked.send(());
                loop {
                    std::thread::park();
                }
            });
            is_blocked.await.map_or(ExitStatus::Failed, |()| ExitStatus::Success)
        });
        assert_eq!(status, ExitStatus::Success);
        assert!(began.elapsed() < 20 * BLOCKED_BOUND, "{:?}", began.elapsed());
    }
}
