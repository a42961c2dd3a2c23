//! Snapshots of real browsers: a login that outlives its node, and what a checkpoint leaves alone.

use std::path::Path;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::{Daemon, Options};

use crate::login::{LIMIT, Site, call, log_in, post, still_logged_in};

crate::facts! {
    a_login_is_there_on_another_node_after_its_own_was_killed_with_headless_shell,
    a_login_is_there_on_another_node_after_its_own_was_killed_with_chromium,
    a_checkpoint_that_was_let_in_goes_on_over_a_sigterm,
    a_snapshot_of_one_flavour_makes_no_sandbox_of_the_other,
}

fn a_login_is_there_on_another_node_after_its_own_was_killed_with_headless_shell() -> Outcome {
    outlives_its_node("headless-shell")
}

fn a_login_is_there_on_another_node_after_its_own_was_killed_with_chromium() -> Outcome {
    outlives_its_node("chromium")
}

/// A node with a store that others can use too.
fn on(store: &Path) -> Options {
    daemon().env("LOCKKEEPER_SNAPSHOT_STORE", store.to_string_lossy())
}

fn outlives_its_node(flavour: &str) -> Outcome {
    let store = tempfile::tempdir().map_err(|e| e.to_string())?;
    login_outlives_its_node(flavour, &|| on(store.path()))
}

/// Two nodes with one store.
pub(crate) fn login_outlives_its_node(flavour: &str, node: &dyn Fn() -> Options) -> Outcome {
    let site = Site::open()?;
    let mut first = node().start()?;
    let before = first.create(&json!({ "id": "shop", "flavour": flavour, "ttl": "1h" }))?;
    log_in(&first, "shop", &site)?;
    let mut session = Cdp::open(before["ws_url"].as_str().unwrap_or_default())?;
    let made = post(&first, "shop", "checkpoint")?;
    let ended = session.wait_end(LIMIT)?;
    must!(format!("{ended:?}").contains("sandbox paused"), "its session was told {ended:?}");
    let (after, snapshot) = (&made["sandbox"], &made["snapshot"]);
    must!(after["state"] == "running", "{made}");
    must!(after["execution_id"] == before["execution_id"], "{made}");
    must!(after["lifecycle_id"] != before["lifecycle_id"], "{made}");
    must!(after["expires_at_ms"] == before["expires_at_ms"], "its deadline stays: {made}");
    let (packed, whole) = (snapshot["bytes"].as_u64(), snapshot["unpacked_bytes"].as_u64());
    must!(packed.is_some_and(|bytes| bytes > 0) && whole > packed, "{snapshot}");
    still_logged_in(&first, "shop", &site)?;
    let told = first.events()?.wait_count("sandbox_checkpointed", 1, LIMIT)?;
    must!(told[0]["data"]["checkpoint_id"] == snapshot["id"], "{told:?}");
    first.remember();
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;

    let mut second = node().start()?;
    must!(second.state().path() != first.state().path(), "it is another node");
    let (status, page) = call(&second, "GET", "/v1/snapshots")?;
    must!(status == 200 && page["snapshots"][0]["id"] == snapshot["id"], "{page}");
    let copy = second.create(&json!({ "id": "copy", "snapshot_id": snapshot["id"] }))?;
    must!(copy["flavour"] == flavour, "{copy}");
    still_logged_in(&second, "copy", &site)?;
    let (status, _) = call(&second, "DELETE", &path(&snapshot["id"]))?;
    must!(status == 200, "{status}");
    let (status, gone) = call(&second, "GET", &path(&snapshot["id"]))?;
    must!(status == 404 && gone["error"]["code"] == "SNAPSHOT_NOT_FOUND", "{gone}");
    still_logged_in(&second, "copy", &site)?;
    end(second, "copy")
}

fn a_checkpoint_that_was_let_in_goes_on_over_a_sigterm() -> Outcome {
    let site = Site::open()?;
    // Longer than a loaded machine takes: it ends when its sandbox does.
    let mut node = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "2m").start()?;
    node.create(&json!({ "id": "shop", "ttl": "1h" }))?;
    log_in(&node, "shop", &site)?;
    let answer = std::thread::scope(|scope| {
        let saving = scope.spawn(|| call(&node, "POST", "/v1/sandboxes/shop/checkpoint"));
        let events = node.events()?;
        events.wait_for("the begin of the checkpoint", LIMIT, |event| {
            event["type"] == "sandbox_state" && event["data"]["to"] == "checkpointing"
        })?;
        node.signal(Signal::SIGTERM);
        saving.join().map_err(|_| "the call panicked".to_owned())?
    })?;
    must!(answer.0 == 200, "{answer:?}");
    still_logged_in(&node, "shop", &site)?;
    let (status, refused) = call(&node, "POST", "/v1/sandboxes/shop/checkpoint")?;
    must!(status == 503 && refused["error"]["code"] == "NODE_DRAINING", "{refused}");
    must!(refused["error"]["sandbox_after"] == "untouched", "{refused}");
    still_logged_in(&node, "shop", &site)?;
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    node.remember();
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(std::time::Duration::from_secs(2))
}

fn a_snapshot_of_one_flavour_makes_no_sandbox_of_the_other() -> Outcome {
    let mut node = daemon().start()?;
    node.create(&json!({ "id": "shop", "flavour": "headless-shell" }))?;
    let made = post(&node, "shop", "checkpoint")?;
    let body = json!({ "snapshot_id": made["snapshot"]["id"], "flavour": "chromium" });
    let answer = node.call("POST", "/v1/sandboxes", Some(&body))?;
    must!(answer.status == 409, "{}", answer.body);
    must!(answer.body["error"]["code"] == "SNAPSHOT_INCOMPATIBLE", "{}", answer.body);
    end(node, "shop")
}

fn path(id: &serde_json::Value) -> String {
    format!("/v1/snapshots/{}", id.as_str().unwrap_or_default())
}

fn end(mut node: Daemon, id: &str) -> Outcome {
    call(&node, "DELETE", &format!("/v1/sandboxes/{id}?wait=cleaned"))?;
    let kept =
        std::fs::read_dir(node.state().path().join("profiles")).map_err(|e| e.to_string())?;
    must!(kept.count() == 0, "a profile outlived its sandbox");
    node.remember();
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(std::time::Duration::from_secs(2))
}
