//! Shutdowns of a busy node, and shutdowns that something stands in the way of.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must, node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Events};
use testkit::procs;

crate::facts! {
    sigterm_with_eight_sandboxes_serves_each_until_it_ends,
    one_sandbox_that_never_ends_is_forced_at_the_deadline,
    a_browser_that_ignores_sigterm_is_dead_after_the_grace,
    a_killed_daemon_with_eight_sandboxes_leaves_nothing_and_touches_nobody_else,
    creates_saves_and_deletes_with_the_drain_at_a_random_instant_end_as_they_were_answered,
}

/// Facts that need root: a folder that nobody can remove.
pub(crate) const AS_ROOT: &[crate::Fact] =
    &[("a_third_signal_ends_a_shutdown_that_hangs", a_third_signal_ends_a_shutdown_that_hangs)];

const LIMIT: Duration = Duration::from_secs(20);
const EIGHT: usize = 8;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Eight sandboxes, two of them of the full browser.
fn eight(daemon: &mut Daemon) -> Result<Vec<Value>, String> {
    let flavour = |n| if n % 4 == 0 { "chromium" } else { "headless-shell" };
    let body = |n: usize| json!({ "id": format!("s{n}"), "flavour": flavour(n), "ttl": "1h" });
    (0..EIGHT).map(|n| daemon.create(&body(n))).collect()
}

fn browser_of(events: &Events, id: &str) -> Result<Pid, String> {
    let started = events.wait_for("browser_started", LIMIT, |e| {
        e["type"] == "browser_started" && e["sandbox"] == id
    })?;
    let pid = started["data"]["pid"].as_i64().ok_or(format!("no pid in {started}"))?;
    Ok(Pid::from_raw(pid as i32))
}

fn sigterm_with_eight_sandboxes_serves_each_until_it_ends() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "10min").start()?;
    let sandboxes = eight(&mut daemon)?;
    let events = daemon.events()?;
    // Two are driven by Playwright, the others by a raw client each.
    let (played, raw) = sandboxes.split_at(2);
    let players: Vec<_> = played
        .iter()
        .map(|sandbox| node("playwright.mjs", &["hold", text(sandbox, "cdp_url")]))
        .collect::<Result<_, _>>()?;
    for player in &players {
        player.wait_step("holding", Duration::from_secs(60))?;
    }
    let mut clients: Vec<Cdp> =
        raw.iter().map(|sandbox| Cdp::open(text(sandbox, "ws_url"))).collect::<Result<_, _>>()?;
    daemon.remember();

    daemon.signal(Signal::SIGTERM);
    events.wait_for("drain_started", LIMIT, |e| e["type"] == "drain_started")?;
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&json!({})))?;
    must!(refused.status == 503, "a create was answered {} {}", refused.status, refused.body);
    for sandbox in sandboxes.iter().take(EIGHT - 1) {
        for client in &mut clients {
            client.command("Browser.getVersion", &json!({}))?;
        }
        let gone =
            daemon.call("DELETE", &format!("/v1/sandboxes/{}", text(sandbox, "id")), None)?;
        must!(gone.status == 200, "{} {}", gone.status, gone.body);
        if sandbox["id"] != "s0" && sandbox["id"] != "s1" {
            let end = clients.remove(0).wait_end(LIMIT)?;
            must!(matches!(end, Ended::Close(..)), "no close frame but {end:?}");
        }
    }
    let last = &mut clients[0];
    last.command("Browser.getVersion", &json!({}))?;
    must!(events.of("drain_finished").is_empty(), "it ended while a sandbox lived");
    daemon.call("DELETE", "/v1/sandboxes/s7", None)?;
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    must!(matches!(last.wait_end(LIMIT)?, Ended::Close(..)), "the last client saw no close frame");
    for player in players {
        let lines = player.finish(LIMIT)?;
        must!(lines.iter().any(|line| line["step"] == "lost"), "never noticed: {lines:?}");
    }
    events.wait_end(LIMIT)?;
    let stopped = events.of("sandbox_stopped");
    must!(stopped.len() == EIGHT, "{stopped:?}");
    must!(stopped.iter().all(|e| e["data"]["stop_reason"] == "request"), "{stopped:?}");
    must!(events.of("drain_forced").is_empty(), "{:?}", events.of("drain_forced"));
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn one_sandbox_that_never_ends_is_forced_at_the_deadline() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "6s").start()?;
    let sandboxes = eight(&mut daemon)?;
    let events = daemon.events()?;
    let player = node("playwright.mjs", &["hold", text(&sandboxes[7], "cdp_url")])?;
    player.wait_step("holding", Duration::from_secs(60))?;
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let told = Instant::now();
    events.wait_for("drain_started", LIMIT, |e| e["type"] == "drain_started")?;
    for n in 0..EIGHT - 1 {
        daemon.call("DELETE", &format!("/v1/sandboxes/s{n}?wait=accepted"), None)?;
    }
    let status = daemon.wait_exit(Duration::from_secs(60))?;
    let took = told.elapsed();
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    must!(took >= Duration::from_secs(6), "it ended after only {took:?}");
    events.wait_end(LIMIT)?;
    let stopped = events.of("sandbox_stopped");
    let of = |reason: &str| stopped.iter().filter(|e| e["data"]["stop_reason"] == reason).count();
    must!((of("request"), of("node_drain")) == (EIGHT - 1, 1), "{stopped:?}");
    let forced = events.of("drain_forced");
    must!(forced.len() == 1 && forced[0]["data"]["cause"] == "deadline", "{forced:?}");
    let lines = player.finish(LIMIT)?;
    must!(lines.iter().any(|line| line["step"] == "lost"), "never noticed: {lines:?}");
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn a_browser_that_ignores_sigterm_is_dead_after_the_grace() -> Outcome {
    let mut daemon = daemon()
        .env("LOCKKEEPER_STOP_GRACE", "1s")
        .env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "1s")
        .start()?;
    let events = daemon.events()?;
    // A stopped process handles no signal but SIGKILL.
    let stop = |daemon: &mut Daemon, id: &str| -> Result<(), String> {
        daemon.create(&json!({ "id": id }))?;
        let pid = browser_of(&events, id)?;
        daemon.remember();
        kill(pid, Signal::SIGSTOP).map_err(|e| e.to_string())
    };
    stop(&mut daemon, "normal")?;
    let began = Instant::now();
    let gone = daemon.call("DELETE", "/v1/sandboxes/normal?wait=cleaned", None)?;
    must!(gone.body["state"] == "stopped", "{}", gone.body);
    must!(began.elapsed() >= Duration::from_secs(1), "no grace: {:?}", began.elapsed());
    let stopped = events.wait_count("sandbox_stopped", 1, LIMIT)?;
    must!(stopped[0]["data"]["exit"]["signal"] == 9, "{stopped:?}");
    must!(stopped[0]["data"]["cleanup_errors"] == 0, "{stopped:?}");

    stop(&mut daemon, "forced")?;
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

/// A browser of somebody else: the same binary and arguments, started by this test.
struct Foreign(Child);

impl Foreign {
    fn start(like: Pid) -> Result<Self, String> {
        let read = |file: &str| std::fs::read(format!("/proc/{like}/{file}"));
        let line = read("cmdline").map_err(|e| e.to_string())?;
        let program = std::fs::read_link(format!("/proc/{like}/exe")).map_err(|e| e.to_string())?;
        let words = line.split(|b| *b == 0).filter(|word| !word.is_empty()).skip(1);
        let folder = std::env::temp_dir().join(format!("foreign-browser-{}", std::process::id()));
        let args: Vec<String> = words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .map(|word| match word.starts_with("--user-data-dir=") {
                true => format!("--user-data-dir={}", folder.display()),
                false => word,
            })
            .collect();
        let mut command = Command::new(program);
        if nix::unistd::geteuid().is_root() {
            // A user outside the range of sandboxes; a browser as root would need no sandbox.
            command.uid(60_590).gid(60_590).env("HOME", "/nonexistent");
        }
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("the foreign browser did not start: {e}"))?;
        Ok(Self(child))
    }

    fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let folder = format!("foreign-browser-{}", std::process::id());
        let _ = std::fs::remove_dir_all(std::env::temp_dir().join(folder));
    }
}

fn a_killed_daemon_with_eight_sandboxes_leaves_nothing_and_touches_nobody_else() -> Outcome {
    let mut first = daemon().start()?;
    let state = first.state();
    eight(&mut first)?;
    let events = first.events()?;
    let mut foreign = Foreign::start(browser_of(&events, "s1")?)?;
    let family = procs::descendants(first.pid());
    must!(family.len() > 3 * EIGHT, "the browsers have only {} processes", family.len());
    first.signal(Signal::SIGKILL);
    first.wait_exit(LIMIT)?;
    procs::wait_all_gone(&family, Duration::from_secs(3))
        .map_err(|left| format!("three seconds after the daemon's death: {left:?}"))?;
    must!(foreign.lives(), "the kill of the daemon ended a foreign browser");
    let mut second = daemon().state(state).start()?;
    let told = second.events()?.wait_count("sandbox_stopped", EIGHT, LIMIT)?;
    must!(told.iter().all(|e| e["data"]["stop_reason"] == "node_restart"), "{told:?}");
    must!(foreign.lives(), "the next start ended a foreign browser");
    let all = second.call("GET", "/v1/sandboxes", None)?;
    must!(all.body["sandboxes"] == json!([]), "{}", all.body);
    second.create(&json!({ "id": "s0" }))?;
    second.signal(Signal::SIGTERM);
    let status = second.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", second.log());
    must!(foreign.lives(), "the end of the daemon ended a foreign browser");
    second.assert_nothing_left(Duration::from_secs(2))
}

/// How many random runs: `LOCKKEEPER_TEST_SEEDS`, which the long run sets to 20.
#[expect(clippy::disallowed_methods, reason = "a test binary, told how long to run")]
fn seeds() -> u64 {
    let set = std::env::var("LOCKKEEPER_TEST_SEEDS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(3)
}

/// A small generator, the same on every machine (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn creates_saves_and_deletes_with_the_drain_at_a_random_instant_end_as_they_were_answered()
-> Outcome {
    let seeds = seeds();
    println!("{seeds} random runs; the long run takes LOCKKEEPER_TEST_SEEDS=20");
    for seed in 1..=seeds {
        random_run(seed).map_err(|e| format!("seed {seed}: {e}"))?;
    }
    Ok(())
}

fn random_run(seed: u64) -> Outcome {
    const CREATES: u64 = 10;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "4s").start()?;
    let events = daemon.events()?;
    let drain_after = Duration::from_millis(random.below(1500));
    let plans: Vec<_> = (0..CREATES).map(|n| (n, random.below(1200), random.below(5))).collect();
    let shared = &daemon;
    let answers: Vec<Result<(Value, u16, Value), String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = plans
            .into_iter()
            .map(|(n, wait, then)| {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(wait));
                    let body = json!({ "id": format!("r{n}"), "ttl": "10m" });
                    let made = shared.call("POST", "/v1/sandboxes", Some(&body))?;
                    let path = format!("/v1/sandboxes/r{n}");
                    let mut saved = Value::Null;
                    match then {
                        0 | 1 if made.status == 201 => {
                            let gone = shared.call("DELETE", &path, None)?;
                            must_be(gone.status == 200, || {
                                format!("{} {}", gone.status, gone.body)
                            })?;
                        }
                        // The drain may refuse or cut these; the sandbox was made all the same.
                        2 if made.status == 201 => {
                            let answer = shared.call("POST", &format!("{path}/checkpoint"), None);
                            if let Some(answer) = answer.ok().filter(|a| a.status == 200) {
                                saved = answer.body["snapshot"]["id"].clone();
                            }
                        }
                        3 if made.status == 201 => {
                            let _ = shared.call("POST", &format!("{path}/pause"), None);
                        }
                        _ => {}
                    }
                    Ok((saved, made.status, made.body))
                })
            })
            .collect();
        std::thread::sleep(drain_after);
        shared.signal(Signal::SIGTERM);
        workers.into_iter().map(|worker| worker.join().unwrap_or(Err("panic".into()))).collect()
    });
    let status = daemon.wait_exit(Duration::from_secs(60))?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    events.wait_end(LIMIT)?;
    let began = events.of("drain_started");
    let ready = events.of("sandbox_ready");
    let stopped = events.of("sandbox_stopped");
    let (mut made, mut refused) = (0, 0);
    for answer in answers {
        match answer {
            Ok((saved, 201, _)) => {
                made += 1;
                if let Some(id) = saved.as_str() {
                    let manifests = daemon.state().path().join("snapshots/manifests");
                    let there = manifests.join(format!("{id}.json")).exists();
                    must!(there, "{id} was told of and is not stored");
                }
            }
            Ok((_, 503, body)) if body["error"]["code"] == "NODE_DRAINING" => refused += 1,
            Ok((_, status, body)) => return Err(format!("a create was answered {status} {body}")),
            // The listener has closed: the client was never answered, and nothing was made.
            Err(_) => refused += 1,
        }
    }
    must!(made + refused == CREATES as usize, "{made} made and {refused} refused");
    must!(ready.len() == made, "{made} creates succeeded and {} were ready", ready.len());
    let profiles = daemon.state().path().join("profiles");
    let paused = std::fs::read_dir(profiles).map_err(|e| e.to_string())?.count();
    must!(
        stopped.len() + paused == made,
        "{made} were made, {} ended and {paused} are paused: {stopped:?}",
        stopped.len()
    );
    must!(began.len() == 1, "{began:?}");
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn must_be(holds: bool, text: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(text()) }
}

/// A file that even root cannot remove, until this is dropped.
struct Stuck(PathBuf);

impl Stuck {
    fn make(path: PathBuf) -> Result<Self, String> {
        std::fs::write(&path, "x").map_err(|e| e.to_string())?;
        let stuck = Self(path);
        match stuck.chattr("+i") {
            true => Ok(stuck),
            false => Err("this file system has no attribute against removal".to_owned()),
        }
    }

    fn chattr(&self, flag: &str) -> bool {
        Command::new("chattr").arg(flag).arg(&self.0).status().is_ok_and(|s| s.success())
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.chattr("-i");
    }
}

fn a_third_signal_ends_a_shutdown_that_hangs() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "10min").start()?;
    let sandboxes = eight(&mut daemon)?;
    let events = daemon.events()?;
    let lifecycle = text(&sandboxes[3], "lifecycle_id");
    let folder = daemon.state().path().join("sandboxes").join(lifecycle).join("tmp");
    let stuck = Stuck::make(folder.join("stuck"))?;
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    events.wait_for("drain_started", LIMIT, |e| e["type"] == "drain_started")?;
    // Signals less than a second apart are one.
    std::thread::sleep(Duration::from_millis(1300));
    daemon.signal(Signal::SIGTERM);
    events.wait_for("drain_forced", LIMIT, |e| e["type"] == "drain_forced")?;
    events.wait_count("sandbox_stopped", EIGHT - 1, LIMIT)?;
    std::thread::sleep(Duration::from_millis(1300));
    daemon.signal(Signal::SIGINT);
    let third = Instant::now();
    let status = daemon.wait_exit(Duration::from_secs(10))?;
    let took = third.elapsed();
    must!(status.code() == Some(75), "the daemon ended with {status}:\n{}", daemon.log());
    must!(took < Duration::from_secs(4), "the third signal took {took:?}");
    must!(daemon.log().contains("s3"), "who is left is not named:\n{}", daemon.log());
    procs::wait_all_gone(&procs::mentioning(daemon.state().path()), Duration::from_secs(2))
        .map_err(|left| format!("processes outlived the third signal: {left:?}"))?;
    drop(stuck);
    // The next start finishes what this one could not.
    let mut second = lockkeeper_tests::daemon().state(daemon.state()).start()?;
    second.signal(Signal::SIGTERM);
    let status = second.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", second.log());
    second.assert_nothing_left(Duration::from_secs(2))
}
