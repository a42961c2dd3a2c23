//! `bench sandbox`: what a sandbox costs over the raw browser, in interleaved rounds.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lockkeeper_tests::Cdp;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options};
use testkit::procs;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "sandbox",
    about: "a sandbox, against the raw browser with the same switches",
    take,
};

/// Counted rounds; the median of five is steady to a few per cent.
const ROUNDS: usize = 5;

/// The user of the raw browser: outside the range that the daemon hands out.
const RAW_USER: u32 = 60_590;

/// Measures both flavours.
fn take(run: &Run) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let daemon = run.release("lockkeeperd")?;
    let daemon = &mut Options::new(daemon).start().map_err(|e| anyhow!(e))?;
    let idle = procs::resident(daemon.pid()).context("the daemon has gone")?;
    figures.push(run.figure("daemon, nothing running", "resident", "MiB", mib(idle)));
    for flavour in ["headless-shell", "chromium"] {
        start_times(run, daemon, flavour, &mut figures)?;
    }
    Ok(figures)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn start_times(
    run: &Run,
    daemon: &mut Daemon,
    flavour: &str,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let (mut our_memory, mut raw_memory) = (Vec::new(), Vec::new());
    let command = command_of(daemon, flavour)?;
    // The first round warms the page cache and does not count.
    create(daemon, flavour)?;
    start_raw(&command)?;
    for _ in 0..run.pick(ROUNDS, 2) {
        let (one, two) = run.sample(|| Ok((create(daemon, flavour)?, start_raw(&command)?)))?;
        ours.push(one.0);
        our_memory.push(one.1);
        raw.push(two.0);
        raw_memory.push(two.1);
    }
    figures.push(
        run.figure(format!("{flavour}, cold create"), "to first answer", "ms", 0.0)
            .against_rounds(&ours, &raw)
            .with_goal(Goal::RatioAtMost(1.2)),
    );
    figures.push(
        run.figure(format!("{flavour}, idle"), "proportional memory", "MiB", 0.0)
            .against_rounds(&our_memory, &raw_memory)
            .with_goal(Goal::RatioAtMost(1.02)),
    );
    Ok(())
}

/// The command line with which the daemon starts a browser of this flavour.
fn command_of(daemon: &mut Daemon, flavour: &str) -> Result<Vec<String>> {
    let sandbox = daemon.create(&json!({ "flavour": flavour })).map_err(|e| anyhow!(e))?;
    let pid = browser_pid(daemon, &sandbox)?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = line
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    delete(daemon, &sandbox)?;
    Ok(words)
}

fn browser_pid(daemon: &Daemon, sandbox: &Value) -> Result<i32> {
    let events = daemon.events().map_err(|e| anyhow!(e))?;
    let started = events
        .wait_for("browser_started", Duration::from_secs(5), |e| {
            e["type"] == "browser_started" && e["sandbox"] == sandbox["id"]
        })
        .map_err(|e| anyhow!(e))?;
    let pid = started["data"]["pid"].as_i64().context("the event names no pid")?;
    Ok(i32::try_from(pid)?)
}

fn delete(daemon: &Daemon, sandbox: &Value) -> Result<()> {
    let id = sandbox["id"].as_str().context("no id")?;
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None).map_err(|e| anyhow!(e))?;
    Ok(())
}

/// From the request to the first answer of the browser through the proxy; and its idle memory.
fn create(daemon: &mut Daemon, flavour: &str) -> Result<(f64, f64)> {
    let from = Instant::now();
    let answer = daemon
        .call("POST", "/v1/sandboxes", Some(&json!({ "flavour": flavour })))
        .map_err(|e| anyhow!(e))?;
    let url = answer.body["ws_url"].as_str().with_context(|| format!("{}", answer.body))?;
    first_answer(url)?;
    let took = from.elapsed().as_secs_f64() * 1e3;
    let memory = settled_memory(browser_pid(daemon, &answer.body)?);
    delete(daemon, &answer.body)?;
    Ok((took, memory))
}

fn first_answer(url: &str) -> Result<()> {
    let mut cdp = Cdp::open(url).map_err(|e| anyhow!(e))?;
    cdp.command("Browser.getVersion", &json!({})).map_err(|e| anyhow!(e))?;
    Ok(())
}

/// The same browser with the same switches, started by hand as a user of its own.
fn start_raw(command: &[String]) -> Result<(f64, f64)> {
    let folder = tempfile::Builder::new().prefix("raw-browser-").tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
    let root = nix::unistd::geteuid().is_root();
    if root {
        chown(folder.path(), Some(RAW_USER), Some(RAW_USER))?;
    }
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let switches = command[1..].iter().map(|word| {
        if word.starts_with("--user-data-dir=") { profile.clone() } else { word.clone() }
    });
    let mut browser = Command::new(&command[0]);
    browser
        .args(switches)
        .env_clear()
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if root {
        browser.uid(RAW_USER).gid(RAW_USER);
    }
    let from = Instant::now();
    let mut child = browser.spawn().with_context(|| format!("{} did not start", command[0]))?;
    let outcome = raw_answer(&mut child).map(|()| from.elapsed().as_secs_f64() * 1e3);
    let memory = settled_memory(i32::try_from(child.id())?);
    let family = procs::descendants(i32::try_from(child.id())?);
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    child.wait()?;
    if let Err(left) = procs::wait_all_gone(&family, Duration::from_secs(5)) {
        bail!("the raw browser left {left:?}");
    }
    Ok((outcome?, memory))
}

fn raw_answer(child: &mut Child) -> Result<()> {
    let stderr = child.stderr.take().context("piped")?;
    let mut lines = BufReader::new(stderr).lines();
    let url = loop {
        let line = lines.next().context("the raw browser ended")??;
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            break url.trim().to_owned();
        }
    };
    first_answer(&url)?;
    // Whoever stops reading a browser's log stops the browser.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(())
}

/// Proportional memory of a browser's whole tree in MiB, once it has stopped changing by 1 %.
fn settled_memory(browser: i32) -> f64 {
    let mut last = 0.0;
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        let pids = procs::descendants(browser).into_iter().map(|p| p.pid).chain([browser]);
        let now: f64 = pids.filter_map(procs::proportional).map(mib).sum();
        if (now - last).abs() < last * 0.01 {
            return now;
        }
        last = now;
    }
    last
}
