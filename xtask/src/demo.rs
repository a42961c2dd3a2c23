//! `cargo xtask demo`: a tour a newcomer can watch, and a check that fails when anything is not so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::{Client, Events, Options};

use crate::{build, setup, tools};

/// The reasons the tour must produce, in order: each session's end, and what the tour did to it.
const ENDS: [(&str, &str, &str); 4] = [
    ("client_close", "client_closed", "Playwright closed"),
    ("upstream_changed", "browser_crashed", "its browser was killed"),
    ("client_close", "client_closed", "Playwright closed"),
    ("context_cancelled", "node_drain", "the daemon was told to end"),
];

const CLIENT: Duration = Duration::from_secs(60);
const EVENT: Duration = Duration::from_secs(10);

/// What the tour needs.
struct Tour {
    daemon: PathBuf,
    /// A Node that is new enough for the clients.
    node: PathBuf,
    clients: PathBuf,
    /// Where the screenshot and the events go.
    out: PathBuf,
}

type Outcome = Result<(), String>;

struct Clock(Instant);

impl Clock {
    fn step<T>(
        &mut self,
        what: &str,
        run: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let from = Instant::now();
        let result = run().map_err(|e| format!("{what}: {e}"));
        let mark = if result.is_ok() { "ok" } else { "FAILED" };
        let (took, at) = (from.elapsed().as_secs_f64() * 1e3, self.0.elapsed().as_secs_f64());
        println!("  {at:6.2} s  {took:8.1} ms  {mark:<6}  {what}");
        result
    }
}

/// Sets up, builds, and walks the tour; the last line printed is `demo: ok` or `demo: failed: WHY`.
///
/// # Errors
/// None: what goes wrong is the last line, and the exit code.
pub(crate) fn run() -> Result<ExitCode> {
    let outcome = prepare().map_err(|e| format!("{e:#}")).and_then(|tour| {
        println!("==> demo");
        walk(&tour)
    });
    Ok(match outcome {
        Ok(()) => {
            println!("demo: ok");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("demo: failed: {}", why.lines().collect::<Vec<_>>().join(" | "));
            ExitCode::FAILURE
        }
    })
}

fn prepare() -> Result<Tour> {
    setup::all()?;
    let daemon = build::release(&["lockkeeperd"])?.remove(0);
    let out = tools::target_dir()?.join("demo");
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    Ok(Tour { daemon, node: tools::node()?, clients: tools::clients_dir(), out })
}

fn walk(tour: &Tour) -> Outcome {
    let mut clock = Clock(Instant::now());
    println!("     at          took          step");
    let mut daemon = clock.step("start lockkeeperd on a free port", || {
        Options::new(&tour.daemon).env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "1s").start()
    })?;
    let events = daemon.events()?;
    let sandbox = clock
        .step("create a sandbox", || daemon.create(&json!({ "id": "demo", "ttl": "10min" })))?;
    let url = sandbox["cdp_url"].as_str().ok_or("the answer has no cdp_url")?.to_owned();
    println!("                              {url}");

    clock.step("Playwright opens a local page, clicks, takes a screenshot", || {
        play(tour, "drive", &url)?.finish(CLIENT).map(drop)
    })?;
    let shot =
        fs::metadata(tour.out.join("gate.png")).map_err(|e| format!("no screenshot: {e}"))?;
    must(shot.len() > 1000, || format!("the screenshot has only {} bytes", shot.len()))?;

    let held = clock.step("Playwright connects and stays", || hold(tour, &url))?;
    clock.step("kill the browser with SIGKILL; Playwright is told", || {
        kill_browser(&events)?;
        held.finish(CLIENT).map(drop)
    })?;
    clock.step("the disconnect event has its reason", || {
        events.wait_count("cdp_disconnect", 2, EVENT).map(drop)
    })?;
    clock.step("Playwright reconnects on the same URL and works", || {
        play(tour, "drive", &url)?.finish(CLIENT).map(drop)
    })?;

    let last = clock.step("Playwright connects once more", || hold(tour, &url))?;
    daemon.remember();
    clock.step("SIGTERM: drain, close at the deadline, exit 0", || {
        daemon.signal(Signal::SIGTERM);
        last.finish(CLIENT)?;
        let status = daemon.wait_exit(Duration::from_secs(30))?;
        must(status.success(), || format!("it ended with {status}: {}", daemon.log()))
    })?;
    clock.step("no process and no directory is left", || {
        daemon.assert_nothing_left(Duration::from_secs(2))
    })?;
    events.wait_end(EVENT)?;
    let all = events.all();
    write_events(&tour.out.join("events.jsonl"), &all)?;
    print_events(&all);
    check(&all)
}

fn must(condition: bool, why: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(why()) }
}

fn play(tour: &Tour, mode: &str, url: &str) -> Result<Client, String> {
    let shot = tour.out.join("gate.png");
    Client::start(
        &tour.node,
        &tour.clients,
        "playwright.mjs",
        &[mode, url, &shot.to_string_lossy()],
    )
}

fn hold(tour: &Tour, url: &str) -> Result<Client, String> {
    let client = play(tour, "hold", url)?;
    client.wait_step("holding", CLIENT)?;
    Ok(client)
}

fn kill_browser(events: &Events) -> Outcome {
    let started = events.wait_for("browser_started", EVENT, |e| e["type"] == "browser_started")?;
    let pid = started["data"]["pid"].as_i64().ok_or("the event names no pid")?;
    let pid = i32::try_from(pid).map_err(|_| format!("{pid} is no process id"))?;
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|e| format!("kill {pid}: {e}"))
}

fn write_events(path: &Path, events: &[Value]) -> Outcome {
    let lines: String = events.iter().map(|e| format!("{e}\n")).collect();
    fs::write(path, lines).map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

fn print_events(events: &[Value]) {
    let first = events.first().and_then(|e| e["ts"].as_i64()).unwrap_or(0);
    println!("\n  offset      at  event                what");
    for event in events {
        let at = (event["ts"].as_i64().unwrap_or(first) - first) as f64 / 1e6;
        let kind = event["type"].as_str().unwrap_or("?");
        let offset = event["offset"].as_u64().unwrap_or_default();
        println!("  {offset:>6}  {at:6.2}  {kind:<19}  {}", what(event));
    }
    println!();
}

/// The few fields of an event that tell the story.
fn what(event: &Value) -> String {
    const SHOWN: [&str; 14] = [
        "reason",
        "detail",
        "close_code",
        "generation",
        "new_generation",
        "exit",
        "stop_reason",
        "message_count",
        "duration_ms",
        "trigger",
        "phase",
        "outcome",
        "from",
        "to",
    ];
    SHOWN
        .iter()
        .filter_map(|name| Some((name, event["data"].get(name)?)))
        .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
        .collect::<Vec<_>>()
        .join(" ")
}

fn check(events: &[Value]) -> Outcome {
    let ends: Vec<&Value> = events.iter().filter(|e| e["type"] == "cdp_disconnect").collect();
    must(ends.len() == ENDS.len(), || {
        format!("{} sessions ended, {} were opened", ends.len(), ENDS.len())
    })?;
    for (end, (reason, detail, why)) in ends.iter().zip(ENDS) {
        let data = &end["data"];
        must(data["reason"] == reason && data["detail"] == detail, || {
            format!("when {why}, the reason was {}/{}", data["reason"], data["detail"])
        })?;
    }
    let offsets: Vec<u64> = events.iter().filter_map(|e| e["offset"].as_u64()).collect();
    must(offsets.windows(2).all(|w| w[1] == w[0] + 1), || {
        format!("offsets have holes: {offsets:?}")
    })?;
    let stopped: Vec<&Value> = events.iter().filter(|e| e["type"] == "sandbox_stopped").collect();
    must(stopped.len() == 1 && stopped[0]["data"]["stop_reason"] == "node_drain", || {
        format!("the sandbox ended as {stopped:?}")
    })
}
