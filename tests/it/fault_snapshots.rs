//! Saves that go wrong: a store that fails, a disk that is full, a daemon that is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;

use crate::login::{LIMIT, Site, call, log_in, post, still_logged_in};

crate::facts! {
    a_store_that_fails_costs_the_sessions_and_not_the_sandbox,
    a_store_that_does_not_answer_costs_nothing,
    a_daemon_killed_in_the_middle_of_a_checkpoint_leaves_only_what_can_be_restored,
}

pub(crate) const AS_ROOT: &[crate::Fact] = &[(
    "a_full_disk_refuses_saves_and_touches_nothing_and_one_that_fills_up_tears_nothing",
    a_full_disk_refuses_saves_and_touches_nothing_and_one_that_fills_up_tears_nothing,
)];

fn a_store_that_fails_costs_the_sessions_and_not_the_sandbox() -> Outcome {
    let site = Site::open()?;
    let mut node = daemon().start()?;
    node.create(&json!({ "id": "shop" }))?;
    log_in(&node, "shop", &site)?;
    // A small write works, and an archive has no place.
    let archives = node.state().path().join("snapshots/archives");
    std::fs::write(&archives, "in the way").map_err(|e| e.to_string())?;
    let (status, body) = call(&node, "POST", "/v1/sandboxes/shop/checkpoint")?;
    must!(status == 409 && body["error"]["code"] == "CHECKPOINT_NOT_SAVED", "{status} {body}");
    must!(body["error"]["sandbox_after"] == "running", "{body}");
    let folder = node.state().path().display().to_string();
    must!(!body.to_string().contains(&folder), "the answer tells a path: {body}");
    still_logged_in(&node, "shop", &site)?;
    let failed = node.events()?.wait_count("sandbox_checkpoint_failed", 1, LIMIT)?;
    must!(failed[0]["data"]["alive"] == true, "{failed:?}");
    std::fs::remove_file(&archives).map_err(|e| e.to_string())?;
    post(&node, "shop", "checkpoint")?;
    still_logged_in(&node, "shop", &site)?;
    end(node)
}

fn a_store_that_does_not_answer_costs_nothing() -> Outcome {
    let mut node = daemon().start()?;
    let made = node.create(&json!({ "id": "shop" }))?;
    let mut session = Cdp::open(made["ws_url"].as_str().unwrap_or_default())?;
    let probes = node.state().path().join("snapshots/probes");
    std::fs::write(&probes, "in the way").map_err(|e| e.to_string())?;
    let (status, body) = call(&node, "POST", "/v1/sandboxes/shop/checkpoint")?;
    must!(status == 503 && body["error"]["code"] == "STORE_UNAVAILABLE", "{status} {body}");
    must!(body["error"]["sandbox_after"] == "untouched", "{body}");
    untouched(&node, &made, &mut session)?;
    drop(session);
    end(node)
}

/// The same incarnation and generation, and a session that goes on.
fn untouched(node: &Daemon, before: &serde_json::Value, session: &mut Cdp) -> Outcome {
    let (_, now) = call(node, "GET", "/v1/sandboxes/shop")?;
    must!(now["state"] == "running" && now["lifecycle_id"] == before["lifecycle_id"], "{now}");
    must!(now["browser"]["generation"] == before["browser"]["generation"], "{now}");
    session.command("Browser.getVersion", &json!({}))?;
    Ok(())
}

fn a_daemon_killed_in_the_middle_of_a_checkpoint_leaves_only_what_can_be_restored() -> Outcome {
    // A checkpoint takes a few hundred milliseconds; on a loaded machine more.
    for wait in [0, 60, 150, 300, 500, 900] {
        killed_after(Duration::from_millis(wait)).map_err(|e| format!("after {wait} ms: {e}"))?;
    }
    Ok(())
}

fn killed_after(wait: Duration) -> Outcome {
    let site = Site::open()?;
    let mut first = daemon().start()?;
    let state = first.state();
    first.create(&json!({ "id": "shop" }))?;
    log_in(&first, "shop", &site)?;
    let answer = std::thread::scope(|scope| {
        let saving = scope.spawn(|| call(&first, "POST", "/v1/sandboxes/shop/checkpoint"));
        std::thread::sleep(wait);
        first.signal(Signal::SIGKILL);
        saving.join().unwrap_or(Err("the call panicked".to_owned()))
    });
    first.wait_exit(LIMIT)?;
    let mut second = daemon().state(state).start()?;
    let (_, page) = call(&second, "GET", "/v1/snapshots")?;
    let stored = page["snapshots"].as_array().cloned().unwrap_or_default();
    if let Ok((200, made)) = &answer {
        must!(stored.len() == 1 && stored[0]["id"] == made["snapshot"]["id"], "{page}");
    }
    for snapshot in &stored {
        second.create(&json!({ "id": "copy", "snapshot_id": snapshot["id"] }))?;
        still_logged_in(&second, "copy", &site)?;
        call(&second, "DELETE", "/v1/sandboxes/copy?wait=cleaned")?;
    }
    let (_, shop) = call(&second, "GET", "/v1/sandboxes/shop")?;
    match shop["state"].as_str() {
        Some("paused") => {
            post(&second, "shop", "resume")?;
            still_logged_in(&second, "shop", &site)?;
        }
        Some("stopped") => must!(shop["stop_reason"] == "node_restart", "{shop}"),
        _ => return Err(format!("the sandbox is neither paused nor told of: {shop}")),
    }
    end(second)
}

/// Room for a browser's profile and little more.
const DISK: &str =
    "mount -t tmpfs -o size=96m,mode=755 tmpfs \"$LOCKKEEPER_STATE_DIR\" && exec \"$0\" \"$@\"";

fn a_full_disk_refuses_saves_and_touches_nothing_and_one_that_fills_up_tears_nothing() -> Outcome {
    let site = Site::open()?;
    let mut node = daemon()
        .wrapped("unshare", &["--mount", "sh", "-c", DISK])
        .env("LOCKKEEPER_MIN_FREE_DISK", "16MiB")
        .start()?;
    let made = node.create(&json!({ "id": "shop" }))?;
    log_in(&node, "shop", &site)?;
    // The file system exists for the daemon alone.
    let disk = node.state().path().display().to_string();
    let disk = PathBuf::from(format!("/proc/{}/root{disk}", node.pid()));
    let ballast = disk.join("ballast");
    let mut session = Cdp::open(made["ws_url"].as_str().unwrap_or_default())?;
    fill(&ballast)?;
    for verb in ["pause", "checkpoint"] {
        let (status, body) = call(&node, "POST", &format!("/v1/sandboxes/shop/{verb}"))?;
        let code = body["error"]["code"].as_str().unwrap_or_default();
        must!(
            matches!((status, code), (507, "DISK_LOW") | (503, "STORE_UNAVAILABLE")),
            "{verb}: {status} {body}"
        );
        must!(body["error"]["sandbox_after"] == "untouched", "{body}");
        untouched(&node, &made, &mut session)?;
    }
    drop(session);
    std::fs::remove_file(&ballast).map_err(|e| e.to_string())?;
    for verb in ["checkpoint", "pause"] {
        let answer = std::thread::scope(|scope| {
            let path = format!("/v1/sandboxes/shop/{verb}");
            let shared = &node;
            let saving = scope.spawn(move || call(shared, "POST", &path));
            let begun = node.events().and_then(|events| {
                events.wait_for("the begin of the save", LIMIT, |event| {
                    event["type"] == "sandbox_state"
                        && event["data"]["to"] == format!("{}ing", verb.trim_end_matches('e'))
                })
            });
            let filled = fill(&ballast);
            let answer = saving.join().unwrap_or(Err("the call panicked".to_owned()));
            begun.and(filled).and(answer)
        });
        std::fs::remove_file(&ballast).map_err(|e| e.to_string())?;
        let (status, body) = answer?;
        println!("{verb} while the disk fills up: {status}");
        let (_, shop) = call(&node, "GET", "/v1/sandboxes/shop")?;
        let state = shop["state"].as_str().unwrap_or_default();
        let after = body["error"]["sandbox_after"].as_str();
        match (status, after) {
            (200, _) => {}
            // It is told what has become of it, and that is true.
            (409, Some("running")) => must!(state == "running", "{verb}: {body} and {shop}"),
            (500, Some("gone")) => must!(state == "stopped", "{verb}: {body} and {shop}"),
            _ => return Err(format!("{verb}: {status} {body}")),
        }
        let (_, page) = call(&node, "GET", "/v1/snapshots")?;
        for snapshot in page["snapshots"].as_array().into_iter().flatten() {
            node.create(&json!({ "id": "copy", "snapshot_id": snapshot["id"] }))?;
            still_logged_in(&node, "copy", &site)?;
            call(&node, "DELETE", "/v1/sandboxes/copy?wait=cleaned")?;
        }
        if state == "stopped" {
            node.create(&json!({ "id": "shop" }))?;
            log_in(&node, "shop", &site)?;
        }
    }
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    node.remember();
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    Ok(())
}

/// Writes until nothing more is taken.
fn fill(path: &Path) -> Outcome {
    use std::io::Write;
    let mut file = std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    for size in [1 << 20, 64 << 10, 4 << 10, 512] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

fn end(mut node: Daemon) -> Outcome {
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    let profiles = node.state().path().join("profiles");
    let kept = std::fs::read_dir(profiles).map_err(|e| e.to_string())?;
    must!(kept.count() == 0, "a profile outlived its sandbox");
    node.remember();
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(Duration::from_secs(2))
}
