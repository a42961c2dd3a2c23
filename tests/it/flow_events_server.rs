//! Events are kept in a server beside the node.

use std::time::{Duration, Instant};

use lockkeeper_tests::{NatsServer, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;

crate::facts! {
    events_in_a_server_outlive_the_node_and_its_folder,
}

const LIMIT: Duration = Duration::from_secs(20);

/// Posts an event until it is taken, and gives its offset.
fn post(daemon: &Daemon) -> Result<u64, String> {
    let until = Instant::now() + LIMIT;
    loop {
        let event = json!({ "type": "test_event", "category": "system" });
        let answer = daemon.call("POST", "/v1/telemetry/events", Some(&event))?;
        match answer.body["offset"].as_u64() {
            Some(offset) => return Ok(offset),
            None => must!(Instant::now() < until, "not taken: {answer:?}"),
        }
    }
}

fn events_in_a_server_outlive_the_node_and_its_folder() -> Outcome {
    let mut server = NatsServer::start()?;
    let start = || {
        let daemon = daemon().env("LOCKKEEPER_NODE_ID", "one.node");
        daemon.env("LOCKKEEPER_EVENT_LOG", server.url()).start()
    };
    let mut first = start()?;
    let newest = post(&first)?;
    let told = first.events()?;
    told.wait_for("the newest event", LIMIT, |e| e["offset"] == newest)?;
    let before = told.all();
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    must!(!first.state().path().join("events").exists(), "there is a database too");

    // Another folder, the same node.
    let mut second = start()?;
    let told = second.events()?;
    told.wait_for("a start behind them", LIMIT, |e| {
        e["type"] == "node_started" && e["offset"].as_u64() > Some(newest)
    })?;
    let after = told.all();
    must!(after[..before.len()] == before, "{before:?} is not the beginning of {after:?}");

    server.kill();
    server.run()?;
    let again = post(&second)?;
    must!(again > newest, "{again} was given out before");
    second.signal(Signal::SIGTERM);
    let status = second.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", second.log());
    Ok(())
}
