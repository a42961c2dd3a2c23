//! Sandboxes that are paused and come back with what their pages had stored.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;

use crate::login::{LIMIT, Site, call, log_in, post, still_logged_in};

crate::facts! {
    a_login_survives_pause_and_resume_with_headless_shell,
    a_login_survives_pause_and_resume_with_chromium,
    a_paused_sandbox_survives_a_killed_daemon,
    a_deploy_parks_a_sandbox_and_many_clients_at_once_wake_it_once,
}

/// Clients that connect to a parked sandbox at the same moment.
const CLIENTS: usize = 50;

fn a_login_survives_pause_and_resume_with_headless_shell() -> Outcome {
    survives_pause("headless-shell")
}

fn a_login_survives_pause_and_resume_with_chromium() -> Outcome {
    survives_pause("chromium")
}

fn survives_pause(flavour: &str) -> Outcome {
    let site = Site::open()?;
    let mut node = daemon().start()?;
    let before = node.create(&json!({ "id": "shop", "flavour": flavour }))?;
    log_in(&node, "shop", &site)?;
    let mut session = Cdp::open(before["ws_url"].as_str().unwrap_or_default())?;
    let paused = post(&node, "shop", "pause")?;
    must!(paused["state"] == "paused", "{paused}");
    let ended = session.wait_end(LIMIT)?;
    must!(format!("{ended:?}").contains("sandbox paused"), "its session was told {ended:?}");
    let (status, text) = call(&node, "POST", "/v1/sandboxes/shop/pause")?;
    must!(status == 409, "{status}: {text}");
    let after = post(&node, "shop", "resume")?;
    must!(after["state"] == "running", "{after}");
    must!(after["execution_id"] == before["execution_id"], "{after}");
    must!(after["lifecycle_id"] != before["lifecycle_id"], "{after}");
    still_logged_in(&node, "shop", &site)?;
    let events = node.events()?;
    let told = events.wait_count("sandbox_paused", 1, LIMIT)?;
    must!(told[0]["data"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told:?}");
    events.wait_count("sandbox_resumed", 1, LIMIT)?;
    end(node)
}

fn a_paused_sandbox_survives_a_killed_daemon() -> Outcome {
    let site = Site::open()?;
    let mut first = daemon().start()?;
    let state = first.state();
    first.create(&json!({ "id": "shop", "labels": { "team": "search" } }))?;
    first.create(&json!({ "id": "lost" }))?;
    log_in(&first, "shop", &site)?;
    post(&first, "shop", "pause")?;
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    let second = daemon().state(state).start()?;
    let events = second.events()?;
    let ended = events.wait_for("the end of the other one", LIMIT, |event| {
        event["type"] == "sandbox_stopped" && event["sandbox"] == "lost"
    })?;
    must!(ended["data"]["stop_reason"] == "node_restart", "{ended}");
    let (status, text) = call(&second, "GET", "/v1/sandboxes/shop")?;
    must!(status == 200 && text["state"] == "paused", "{text}");
    must!(text["labels"]["team"] == "search", "{text}");
    post(&second, "shop", "resume")?;
    still_logged_in(&second, "shop", &site)?;
    end(second)
}

fn a_deploy_parks_a_sandbox_and_many_clients_at_once_wake_it_once() -> Outcome {
    let site = Site::open()?;
    let mut first = daemon().start()?;
    let state = first.state();
    first.create(&json!({ "id": "shop", "ttl": "1h", "on_drain": "pause" }))?;
    log_in(&first, "shop", &site)?;
    first.signal(Signal::SIGTERM);
    let status = first.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", first.log());
    let second = daemon().state(state).start()?;
    let url = format!("{}/sandboxes/shop", second.ws_base());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || -> Result<Cdp, String> {
                let mut cdp = Cdp::open(&url)?;
                cdp.command("Browser.getVersion", &json!({}))?;
                Ok(cdp)
            })
        })
        .collect();
    let mut open = Vec::new();
    for client in clients {
        open.push(client.join().map_err(|_| "a client panicked")??);
    }
    let resumed = second.events()?.wait_count("sandbox_resumed", 1, LIMIT)?;
    must!(resumed.len() == 1, "{resumed:?}");
    still_logged_in(&second, "shop", &site)?;
    drop(open);
    end(second)
}

fn end(mut node: Daemon) -> Outcome {
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    let kept =
        std::fs::read_dir(node.state().path().join("profiles")).map_err(|e| e.to_string())?;
    must!(kept.count() == 0, "a profile outlived its sandbox");
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(Duration::from_secs(2))
}
