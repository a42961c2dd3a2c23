//! A connection whose other end is gone without a word: no FIN, no RST, no acknowledgement.
//!
//! Each test has a network of its own, whose loopback it takes down under an open connection. That
//! needs root and `ip`; without them the tests are shown as ignored, with the cause.

#[allow(dead_code, reason = "shared with the tests of listeners, which use all of it")]
#[path = "listen/world.rs"]
mod world;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use between_run_listener::http::{Client, Options};
use between_run_listener::listener::{Reason, Rules, Setup};
use between_run_listener::session::Sessions;
use between_run_listener::session::sessions::RunInput;
use between_run_listener::session::settings::{Checked, Settings};
use eventlog::memory::MemoryStore;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::{CloneFlags, unshare};
use testkit::runner::Runner;

use world::{Session, World, key, rules, setup};

fn main() {
    let facts: [(&str, fn()); 3] = [
        (
            "a_posted_run_on_a_half_open_connection_ends_within_its_idle_time",
            a_posted_run_on_a_half_open_connection_ends_within_its_idle_time,
        ),
        (
            "a_half_open_connection_is_left_within_the_idle_timeout",
            a_half_open_connection_is_left_within_the_idle_timeout,
        ),
        (
            "without_an_idle_timeout_the_kernel_finds_a_half_open_connection_within_a_minute",
            without_an_idle_timeout_the_kernel_finds_a_half_open_connection_within_a_minute,
        ),
    ];
    let missing = in_own_network(|| ()).err();
    let trials = facts.map(|(name, run)| {
        Trial::test(name, move || in_own_network(run).map_err(Failed::from))
            .with_kind(missing.clone().unwrap_or_default())
            .with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

/// Runs it on a thread with a network of its own, in which loopback is up.
fn in_own_network(run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("needs root for a network of its own: {error}"))?;
        loopback("up")?;
        run();
        Ok(())
    });
    thread.join().map_err(|_| "it panicked; its message is above".to_owned())?
}

/// A child has the network of the thread that starts it.
fn loopback(state: &str) -> Result<(), String> {
    let done = Command::new("ip").args(["link", "set", "lo", state]).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("ip: {}", String::from_utf8_lossy(&done.stderr))),
        Err(error) => Err(format!("needs the program ip (iproute2): {error}")),
    }
}

/// Why the connection was left and how long after its other end was gone.
fn left_after(rules: Rules, patience: Duration) -> (Reason, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
        let setup = Setup { rules, ..setup(&runner.url("/"), &session) };
        world.registry.ensure(&key("s"), setup).await;
        let mut ask = runner.next().await;
        ask.stream("data: a\n\n").await;
        session.has(&["a"]).await;
        loopback("down").expect("loopback goes down");
        let begin = Instant::now();
        while session.heard(|heard| heard.cuts.is_empty()) {
            assert!(begin.elapsed() < patience, "the connection is still open");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let after = begin.elapsed();
        world.end().await;
        (session.heard(|heard| heard.cuts[0].1), after)
    })
}

fn a_half_open_connection_is_left_within_the_idle_timeout() {
    let rules = Rules { idle: Some(Duration::from_secs(1)), ..rules() };
    let (reason, _) = left_after(rules, testkit::runner::PATIENCE);
    assert_eq!(reason, Reason::Idle);
}

fn a_posted_run_on_a_half_open_connection_ends_within_its_idle_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let runner = Runner::start().await;
        let client = Client::new(Options::default());
        let sessions = Sessions::open(Arc::new(MemoryStore::default()), client, Default::default());
        let sessions = sessions.await.expect("an empty store");
        let settings =
            Settings { run_idle_timeout_ms: Some(1_000), ..Settings::at(runner.url("")) };
        let settings = Checked::new(settings).expect("good settings");
        sessions.put(&key("s"), settings).await.expect("a session");
        // What the runner says between runs is not what this is about.
        sessions.registry().cancel(&key("s")).await;
        let held = sessions.find(&key("s")).expect("it was made");
        let body = r#"{"runId":"r","messages":[{"id":"1","role":"user","content":"x"}]}"#;
        let input = RunInput::complete(&body.into(), "t").expect("a run");
        sessions.post(&held, input, None).await.expect("it is taken");
        let mut ask = loop {
            let ask = runner.next().await;
            if ask.head.starts_with("POST") {
                break ask;
            }
        };
        let started = r#"{"type":"RUN_STARTED","threadId":"t","runId":"r"}"#;
        ask.stream(&format!("data: {started}\n\n")).await;
        until("the run is open", || held.session.snapshot().open_run.is_some()).await;
        loopback("down").expect("loopback goes down");
        until("the run has ended", || held.session.snapshot().open_run.is_none()).await;
        let error = held.session.snapshot().last_error.expect("it has failed");
        assert_eq!(error.code.as_deref(), Some("RUNNER_IDLE"));
        let report = sessions.shutdown(Instant::now() + testkit::runner::PATIENCE).await;
        assert_eq!(report.late, 0);
    });
}

async fn until(what: &str, wanted: impl Fn() -> bool) {
    let begin = Instant::now();
    while !wanted() {
        assert!(begin.elapsed() < testkit::runner::PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn without_an_idle_timeout_the_kernel_finds_a_half_open_connection_within_a_minute() {
    let (reason, after) = left_after(Rules { idle: None, ..rules() }, Duration::from_secs(60));
    assert_eq!(reason, Reason::Unreachable);
    // Nothing but the kernel's own timers can have found it.
    assert!(after >= Duration::from_secs(20), "{after:?}");
}
