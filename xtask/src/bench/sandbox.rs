//! `bench sandbox`: what a sandbox costs over the raw browser, in interleaved rounds.

mod pool;
mod raw;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lockkeeper_tests::Cdp;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options};
use testkit::procs;

use self::raw::Raw;
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

/// Measures both flavours.
fn take(run: &Run) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let binary = run.release("lockkeeperd")?;
    let daemon = &mut Options::new(&binary).start().map_err(|e| anyhow!(e))?;
    let idle = procs::resident(daemon.pid()).context("the daemon has gone")?;
    figures.push(run.figure("daemon, nothing running", "resident", "MiB", mib(idle)));
    for flavour in ["headless-shell", "chromium"] {
        start_times(run, daemon, flavour, &mut figures)?;
    }
    figures.extend(pool::take(run, &binary, &command_of(daemon, pool::FLAVOUR)?)?);
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
    let (mut ours, mut served, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_memory, mut raw_memory) = (Vec::new(), Vec::new());
    let command = command_of(daemon, flavour)?;
    // The first round warms the page cache and does not count.
    create(daemon, flavour)?;
    start_raw(&command)?;
    for _ in 0..run.pick(ROUNDS, 2) {
        let (one, two) = run.sample(|| Ok((create(daemon, flavour)?, start_raw(&command)?)))?;
        ours.push(one.answered);
        served.push(one.served);
        our_memory.push(one.memory);
        raw.push(two.0);
        raw_memory.push(two.1);
    }
    // A create is answered once its browser has answered `Browser.getVersion`: the same on both sides.
    figures.push(
        run.figure(format!("{flavour}, cold create"), "to the browser's first answer", "ms", 0.0)
            .against_rounds(&ours, &raw)
            .with_goal(Goal::RatioAtMost(1.2)),
    );
    // And then a client connects and asks again.
    figures.push(
        run.figure(format!("{flavour}, cold create"), "to a client's first answer", "ms", 0.0)
            .against_rounds(&served, &raw),
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

/// What a create took, in milliseconds, and what it made.
struct Created {
    /// Until it was answered.
    answered: f64,
    /// Until a client that then connected had its first answer through the proxy.
    served: f64,
    /// Idle memory of the browser, in MiB.
    memory: f64,
}

fn create(daemon: &mut Daemon, flavour: &str) -> Result<Created> {
    let from = Instant::now();
    let answer = daemon
        .call("POST", "/v1/sandboxes", Some(&json!({ "flavour": flavour })))
        .map_err(|e| anyhow!(e))?;
    let answered = from.elapsed().as_secs_f64() * 1e3;
    let url = answer.body["ws_url"].as_str().with_context(|| format!("{}", answer.body))?;
    first_answer(url)?;
    let served = from.elapsed().as_secs_f64() * 1e3;
    let memory = settled_memory(browser_pid(daemon, &answer.body)?);
    delete(daemon, &answer.body)?;
    Ok(Created { answered, served, memory })
}

/// A browser started by hand, from the start to its first answer; and its idle memory.
fn start_raw(command: &[String]) -> Result<(f64, f64)> {
    let from = Instant::now();
    let browser = Raw::start(command)?;
    first_answer(browser.url())?;
    let took = from.elapsed().as_secs_f64() * 1e3;
    let memory = settled_memory(browser.pid());
    browser.end()?;
    Ok((took, memory))
}

fn first_answer(url: &str) -> Result<()> {
    let mut cdp = Cdp::open(url).map_err(|e| anyhow!(e))?;
    cdp.command("Browser.getVersion", &json!({})).map_err(|e| anyhow!(e))?;
    Ok(())
}

/// Proportional memory of a browser's whole tree in MiB, once it has not changed by 1 % for half a
/// second: on a busy machine a browser pauses in the middle of its start.
fn settled_memory(browser: i32) -> f64 {
    let (mut last, mut steady) = (0.0_f64, 0);
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let pids = procs::descendants(browser).into_iter().map(|p| p.pid).chain([browser]);
        let now: f64 = pids.filter_map(procs::proportional).map(mib).sum();
        steady = if (now - last).abs() < last * 0.01 { steady + 1 } else { 0 };
        last = now;
        if steady == 5 {
            break;
        }
    }
    last
}
