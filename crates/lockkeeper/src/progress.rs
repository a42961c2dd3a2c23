//! One line on the terminal that says what is waited for and for how long.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Waits shorter than this say nothing.
const QUIET: Duration = Duration::from_millis(400);
/// How often the line is written anew.
const TICK: Duration = Duration::from_millis(200);

/// Shows the line until it is dropped, which wipes it.
#[must_use = "the line is wiped when this is dropped"]
pub(crate) struct Progress {
    ticker: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins a wait for `what`; says nothing unless `shown`.
    pub(crate) fn start(what: String, shown: bool) -> Self {
        if !shown {
            return Self { ticker: None };
        }
        let (end, ended) = sync_channel(0);
        let started = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut wait = QUIET;
            let mut told = false;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                eprint!("\r\u{1b}[K{what} ({} s)", started.elapsed().as_secs());
                told = true;
                wait = TICK;
            }
            if told {
                eprint!("\r\u{1b}[K");
            }
            let _ = std::io::stderr().flush();
        });
        Self { ticker: Some((end, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.ticker.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}
