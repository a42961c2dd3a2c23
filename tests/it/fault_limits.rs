//! A sandbox that takes all it can get.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::{Daemon, Options, StateDir};

crate::facts! {
    a_page_that_takes_all_memory_ends_its_own_sandbox_as_oom_and_no_other,
}

/// The limit on processes holds per user, and only root gives each sandbox one.
pub(crate) const AS_ROOT: &[crate::Fact] = &[(
    "a_fork_bomb_in_a_sandbox_harms_no_other_and_dies_with_its_sandbox",
    a_fork_bomb_in_a_sandbox_harms_no_other_and_dies_with_its_sandbox,
)];

const LIMIT: Duration = Duration::from_secs(30);

/// What a sandbox may have of threads and processes; a browser itself has more than sixty.
const PIDS: usize = 260;

fn with_file(text: &str) -> Result<Options, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("settings.toml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(daemon().arg(format!("--config={}", file.display())).state(state))
}

/// The living processes of the bomb: they sleep for a time that nobody else does.
fn pieces(time: &str) -> usize {
    let wanted = format!("sleep\0{time}\0");
    let is_one = |entry: &std::fs::DirEntry| {
        // A zombie has none.
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    };
    std::fs::read_dir("/proc").map_or(0, |all| all.flatten().filter(is_one).count())
}

fn wait_until(what: &str, mut seen: impl FnMut() -> (bool, String)) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (enough, state) = seen();
        if enough {
            return Ok(());
        }
        must!(Instant::now() < deadline, "{what}: never; last: {state}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn answers(cdp: &mut Cdp) -> Outcome {
    let version = cdp.command("Browser.getVersion", &json!({}))?;
    must!(version["product"].is_string(), "{version}");
    Ok(())
}

fn end(mut daemon: Daemon) -> Outcome {
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn a_fork_bomb_in_a_sandbox_harms_no_other_and_dies_with_its_sandbox() -> Outcome {
    let time = format!("600.{}", std::process::id());
    // Makes processes that no polite signal ends, until it can make no more, and stays.
    let bomb = format!("trap '' TERM HUP; (while :; do sleep {time} & done); exec sleep {time}");
    let text = format!(
        "[templates.bomb]\nlimits = {{ pids = {PIDS} }}\n\
         runner = {{ command = [\"/bin/sh\", \"-c\", {bomb:?}] }}\n"
    );
    let mut daemon = with_file(&text)?.env("LOCKKEEPER_STOP_GRACE", "1s").start()?;
    let calm = daemon.create(&json!({ "id": "calm" }))?;
    let mut cdp = Cdp::open(calm["ws_url"].as_str().unwrap_or_default())?;
    daemon.create(&json!({ "id": "bomb", "template": "bomb" }))?;
    wait_until("the bomb goes off", || {
        let living = pieces(&time);
        (living > PIDS / 2, format!("{living} processes"))
    })?;
    must!(pieces(&time) <= PIDS, "{} processes", pieces(&time));
    answers(&mut cdp)?;
    daemon.create(&json!({ "id": "late" }))?;
    daemon.remember();
    let gone = daemon.call("DELETE", "/v1/sandboxes/bomb", None)?;
    must!(gone.status < 300, "{} {}", gone.status, gone.body);
    wait_until("the bomb is gone", || {
        let living = pieces(&time);
        (living == 0, format!("{living} processes"))
    })?;
    answers(&mut cdp)?;
    for id in ["calm", "late"] {
        daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    }
    end(daemon)
}

fn a_page_that_takes_all_memory_ends_its_own_sandbox_as_oom_and_no_other() -> Outcome {
    let text = "[templates.hog]\nlimits = { memory = \"400 MiB\" }\n";
    // Where a control group limits it, the kernel ends the page alone.
    let mut daemon = with_file(text)?.env("LOCKKEEPER_CGROUP", "off").start()?;
    let calm = daemon.create(&json!({ "id": "calm" }))?;
    let mut other = Cdp::open(calm["ws_url"].as_str().unwrap_or_default())?;
    let hog = daemon.create(&json!({ "id": "hog", "template": "hog" }))?;
    let listed = daemon.call("GET", "/sandboxes/hog/json/list", None)?;
    let page = listed.body[0]["webSocketDebuggerUrl"].as_str();
    let mut page = Cdp::open(page.ok_or(format!("no page in {}", listed.body))?)?;
    let take = "globalThis.kept = []; for (let i = 0; i < 10; i++) \
                kept.push(new Uint8Array(64 << 20).fill(7)); kept.length";
    // It may not live to answer.
    let answer = page.command("Runtime.evaluate", &json!({ "expression": take }));
    daemon.remember();
    let stopped = daemon.events()?.wait_for("the end of the hog", LIMIT, |e| {
        e["type"] == "sandbox_stopped" && e["data"]["lifecycle_id"] == hog["lifecycle_id"]
    })?;
    must!(stopped["data"]["stop_reason"] == "oom", "the page said {answer:?}: {stopped}");
    let gone = daemon.call("GET", "/v1/sandboxes/hog", None)?;
    must!(gone.body["stop_reason"] == "oom", "{}", gone.body);
    answers(&mut other)?;
    daemon.call("DELETE", "/v1/sandboxes/calm", None)?;
    end(daemon)
}
