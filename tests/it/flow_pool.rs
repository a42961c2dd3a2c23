//! Browsers that wait for a create, with real ones.

use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options, StateDir};
use testkit::procs;

crate::facts! {
    a_create_from_the_pool_is_ready_at_once_and_its_browser_is_new,
    a_killed_daemon_leaves_no_waiting_browser,
    a_drain_ends_the_browsers_that_wait,
}

const LIMIT: Duration = Duration::from_secs(20);

fn pooled(size: usize) -> Result<Options, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("settings.toml");
    let text = format!("[templates.fast]\nflavour = 'headless-shell'\npool = {size}\n");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(daemon().arg(format!("--config={}", file.display())).state(state))
}

/// Waits until so many browsers wait.
fn filled(daemon: &Daemon, size: u64) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    loop {
        let node = daemon.call("GET", "/v1/node", None)?;
        if node.body["pool"]["fast"]["idle"] == size {
            return Ok(());
        }
        must!(Instant::now() < deadline, "the pool has {}", node.body["pool"]);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn warm(daemon: &mut Daemon) -> Result<Value, String> {
    let sandbox = daemon.create(&json!({ "template": "fast", "ttl": "1m" }))?;
    match sandbox["warm"] == true {
        true => Ok(sandbox),
        false => Err(format!("it was not from the pool: {sandbox}")),
    }
}

fn a_create_from_the_pool_is_ready_at_once_and_its_browser_is_new() -> Outcome {
    let mut daemon = pooled(2)?.start()?;
    filled(&daemon, 2)?;
    let sandbox = warm(&mut daemon)?;
    must!(sandbox["times"]["start_ms"] == 0 && sandbox["state"] == "running", "{sandbox}");
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    let targets = cdp.command("Target.getTargets", &json!({}))?;
    let pages = targets["targetInfos"].as_array().map_or(0, Vec::len);
    must!(pages == 1, "a new browser has one page: {targets}");
    // Its life is that of every sandbox: a crash is relaunched under the same address.
    let events = daemon.events()?;
    let told = events.wait_count("browser_started", 1, LIMIT)?;
    must!(told[0]["data"]["adopted"] == true, "{told:?}");
    let pid = told[0]["data"]["pid"].as_i64().unwrap_or_default();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).map_err(|e| e.to_string())?);
    nix::sys::signal::kill(pid, Signal::SIGKILL).map_err(|e| e.to_string())?;
    events.wait_count("browser_restarted", 1, LIMIT)?;
    let mut again = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    again.command("Browser.getVersion", &json!({}))?;
    filled(&daemon, 2)?;
    daemon.remember();
    let id = sandbox["id"].as_str().unwrap_or_default();
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    end(daemon)
}

fn a_killed_daemon_leaves_no_waiting_browser() -> Outcome {
    let mut first = pooled(2)?.start()?;
    let state = first.state();
    filled(&first, 2)?;
    warm(&mut first)?;
    filled(&first, 2)?;
    let family = procs::descendants(first.pid());
    must!(family.len() > 6, "the browsers have only {} processes", family.len());
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    procs::wait_all_gone(&family, Duration::from_secs(2))
        .map_err(|left| format!("two seconds after the daemon's death: {left:?}"))?;
    let folders = || -> Result<usize, String> {
        let list = std::fs::read_dir(state.path().join("sandboxes")).map_err(|e| e.to_string())?;
        Ok(list.count())
    };
    must!(folders()? == 3, "{} folders are left", folders()?);
    let second = daemon().state(state.clone()).start()?;
    second.events()?.wait_count("sandbox_stopped", 3, LIMIT)?;
    must!(folders()? == 0, "{} folders are left", folders()?);
    end(second)
}

fn a_drain_ends_the_browsers_that_wait() -> Outcome {
    let daemon = pooled(3)?.env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "10min").start()?;
    filled(&daemon, 3)?;
    let mut daemon = daemon;
    daemon.remember();
    let began = Instant::now();
    daemon.call("POST", "/v1/node/drain", Some(&json!({})))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let node = daemon.call("GET", "/v1/node", None)?;
        if node.body["capacity"]["used"] == 0 {
            break;
        }
        must!(Instant::now() < deadline, "{} after {:?}", node.body, began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.call("PUT", "/v1/node/status", Some(&json!({ "status": "healthy" })))?;
    filled(&daemon, 3)?;
    daemon.remember();
    end(daemon)
}

fn end(mut daemon: Daemon) -> Outcome {
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}
