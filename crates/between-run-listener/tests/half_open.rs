//! A connection whose other end is gone without a word: no FIN, no RST, no acknowledgement.
//!
//! Each test has a network of its own, whose loopback it takes down under an open connection. That
//! needs root and `ip`; without them the tests are shown as ignored, with the cause.

#[allow(dead_code, reason = "shared with the tests of listeners, which use all of it")]
#[path = "listen/world.rs"]
mod world;

use std::process::Command;
use std::time::{Duration, Instant};

use between_run_listener::listener::{Reason, Rules, Setup};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::{CloneFlags, unshare};
use testkit::runner::Runner;

use world::{Session, World, key, rules, setup};

fn main() {
    let facts: [(&str, fn()); 2] = [
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

fn without_an_idle_timeout_the_kernel_finds_a_half_open_connection_within_a_minute() {
    let (reason, after) = left_after(Rules { idle: None, ..rules() }, Duration::from_secs(60));
    assert_eq!(reason, Reason::Unreachable);
    // Nothing but the kernel's own timers can have found it.
    assert!(after >= Duration::from_secs(20), "{after:?}");
}
