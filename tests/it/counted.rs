//! What the test process itself holds before and after: descriptors, threads, children, folders.
//!
//! Where tests run one at a time, as `cargo nextest` runs them, each is counted by itself; where
//! several share the process at the same time, all of them together.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Conclusion, Trial};
use lockkeeper_tests::Outcome;
use tempfile::TempDir;
use testkit::census::Census;

/// How long what a test has let go may take to end, such as a thread that reads a closed stream.
const LIMIT: Duration = Duration::from_secs(20);

/// A trial of a fact; the place where every test is made, so that none goes uncounted.
pub(crate) fn trial(name: String, run: fn() -> Outcome, alone: bool) -> Trial {
    Trial::test(name, move || {
        let before = alone.then(|| Census::of(own()));
        run()?;
        before.map_or(Ok(()), |before| nothing_left(&before)).map_err(Into::into)
    })
}

/// Whether tests are run one after the other.
pub(crate) fn one_at_a_time(arguments: &Arguments) -> bool {
    arguments.test_threads == Some(1) || (arguments.exact && arguments.filter.is_some())
}

/// Runs trials in a temporary folder of this process's own.
///
/// # Errors
/// What is left of them.
pub(crate) fn run(mut arguments: Arguments, trials: Vec<Trial>) -> Result<Conclusion, String> {
    if one_at_a_time(&arguments) {
        // On this very thread: one of a pool would be counted as a leak of the first test.
        arguments.test_threads = Some(1);
    }
    // A short name: sockets in it have room for few more bytes.
    let folder = tempfile::Builder::new().prefix("lk").tempdir().map_err(|e| e.to_string())?;
    readable(&folder).map_err(|e| e.to_string())?;
    tempfile::env::override_temp_dir(folder.path())
        .map_err(|other| format!("{other:?} is used"))?;
    what_a_runtime_keeps()?;
    let before = Census::of(own());
    let conclusion = libtest_mimic::run(&arguments, trials);
    nothing_left(&before).map(|()| conclusion)
}

/// The first runtime of a process makes the pair of sockets that signals come through, for as long as
/// the process lives, whenever anything in the build asks tokio for signals: it is no test's leak.
fn what_a_runtime_keeps() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map(drop).map_err(|e| format!("no runtime: {e}"))
}

fn nothing_left(before: &Census) -> Outcome {
    before.wait_until_back(LIMIT).map_err(|e| format!("this test process: {e}"))?;
    no_folder_left(&tempfile::env::temp_dir())
}

/// Sandboxes' users have to come through it.
fn readable(folder: &TempDir) -> std::io::Result<()> {
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), all)
}

fn no_folder_left(folder: &Path) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
        let left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("the test has left {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn own() -> i32 {
    std::process::id() as i32
}
