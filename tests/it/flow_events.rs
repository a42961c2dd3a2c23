//! Events leave the daemon: into files and to receivers, whole, once, and in order.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, Receiver, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options};

crate::facts! {
    a_receiver_that_was_down_gets_every_event_once,
    a_file_of_lines_is_turned_over_and_misses_nothing,
}

/// With a file system of a size of its own.
pub(crate) const AS_ROOT: &[crate::Fact] = &[(
    "a_file_on_a_full_disk_goes_on_when_there_is_room",
    a_file_on_a_full_disk_goes_on_when_there_is_room,
)];

const LIMIT: Duration = Duration::from_secs(20);
/// How long the receiver is down: longer where time does not matter.
const OUTAGES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// Posts an event of about so many bytes, and gives its offset.
fn post(daemon: &Daemon, number: u64, bytes: usize) -> Result<u64, String> {
    let filler = "x".repeat(bytes);
    let event = json!({
        "type": "test_event", "category": "system", "data": { "number": number, "filler": filler },
    });
    let answer = daemon.call("POST", "/v1/telemetry/events", Some(&event))?;
    answer.body["offset"].as_u64().ok_or_else(|| format!("it was answered {answer:?}"))
}

/// The value of a metric of one sink.
fn metric(daemon: &Daemon, name: &str, sink: &str) -> Result<f64, String> {
    let answer = daemon.call("GET", "/metrics", None)?;
    let text = answer.body.as_str().unwrap_or_default();
    let start = format!("lockkeeper_{name}{{sink=\"{sink}\"");
    let line = text.lines().find(|line| line.starts_with(&start));
    let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    value.ok_or_else(|| format!("{name} of {sink} is not in:\n{text}"))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> Result<bool, String>) -> Outcome {
    let until = Instant::now() + LIMIT;
    while !holds()? {
        must!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn end(mut daemon: Daemon) -> Outcome {
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    Ok(())
}

/// Whether these are all offsets from the first to the last, each once.
fn without_a_hole(offsets: &[u64]) -> bool {
    offsets.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

fn a_receiver_that_was_down_gets_every_event_once() -> Outcome {
    let outage = OUTAGES[usize::from(std::env::var_os("LOCKKEEPER_TEST_LONG").is_some())];
    let receiver = Receiver::start()?;
    let first = daemon().env("LOCKKEEPER_OTLP_ENDPOINT", receiver.endpoint()).start()?;
    let state = first.state();
    let before = post(&first, 0, 10)?;
    receiver.wait_for(before, LIMIT)?;

    receiver.set_down(true);
    let began = Instant::now();
    let mut number = 1;
    while began.elapsed() < outage || number < 1_000 {
        post(&first, number, 300)?;
        number += 1;
    }
    wait_until("the sink says how far it is behind", || {
        Ok(metric(&first, "sink_lag_events", "otlp")? >= 1_000.0
            && metric(&first, "sink_lag_seconds", "otlp")? >= outage.as_secs_f64() * 0.5)
    })?;
    let degraded = first.events()?.wait_count("sink_degraded", 1, LIMIT)?;
    must!(degraded[0]["data"]["sink"] == "otlp", "{degraded:?}");
    receiver.set_down(false);
    let last = post(&first, number, 10)?;
    // Pauses grow with the outage, to 30 s.
    receiver.wait_for(last, outage + LIMIT)?;
    first.events()?.wait_count("sink_recovered", 1, LIMIT)?;

    // What it cannot send before its end, the next daemon sends.
    receiver.set_down(true);
    let unsent = post(&first, 0, 10)?;
    end(first)?;
    receiver.set_down(false);
    let second =
        daemon().state(state).env("LOCKKEEPER_OTLP_ENDPOINT", receiver.endpoint()).start()?;
    receiver.wait_for(unsent, LIMIT)?;
    wait_until("nothing is left to send", || {
        Ok(metric(&second, "sink_lag_events", "otlp")? == 0.0)
    })?;
    let offsets = receiver.offsets();
    must!(without_a_hole(&offsets), "not each once, in order: {offsets:?}");
    must!(offsets.len() as u64 > number, "only {} of {number}", offsets.len());
    let kinds = receiver.records();
    let named = |name: &str| kinds.iter().any(|record| record.event_name == name);
    must!(named("test_event") && named("node_started"), "{kinds:?}");
    end(second)
}

/// The lines of a file and of those that it was renamed to, oldest first.
fn lines(path: &Path) -> Result<Vec<Value>, String> {
    let renamed = |number| PathBuf::from(format!("{}.{number}", path.display()));
    let full = (1..100).map(renamed).take_while(|path| path.exists()).collect::<Vec<_>>();
    let mut lines = Vec::new();
    for path in full.iter().rev().map(PathBuf::as_path).chain([path]) {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for line in text.lines() {
            lines.push(serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))?);
        }
    }
    Ok(lines)
}

fn offsets(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["offset"].as_u64()).collect()
}

fn a_file_of_lines_is_turned_over_and_misses_nothing() -> Outcome {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("events.jsonl");
    let with_file = |options: Options| {
        options
            .env("LOCKKEEPER_EVENTS_FILE", file.to_string_lossy())
            .env("LOCKKEEPER_EVENTS_FILE_SIZE", "64 KiB")
            .env("LOCKKEEPER_EVENTS_FILE_SYNC", "true")
    };
    let first = with_file(daemon()).start()?;
    let state = first.state();
    let mut newest = 0;
    for number in 0..200 {
        newest = post(&first, number, 1_000)?;
    }
    let told = first.events()?;
    told.wait_for("the newest event", LIMIT, |e| e["offset"] == newest)?;
    end(first)?;
    must!(file.with_extension("jsonl.2").exists(), "it was not turned over");
    let there = lines(&file)?;
    must!(without_a_hole(&offsets(&there)), "not each once: {:?}", offsets(&there));
    let last = there.last().map(|line| line["type"].clone());
    must!(last == Some("node_stopped".into()), "the last line is {last:?}");
    // The file and the stream tell the same of everything since the sink began.
    let streamed = told.all();
    let in_both = there.iter().filter(|line| streamed.contains(line)).count();
    must!(in_both >= 200, "only {in_both} lines are what the stream said");

    let second = with_file(daemon()).state(state).start()?;
    post(&second, 0, 10)?;
    end(second)?;
    let all = offsets(&lines(&file)?);
    must!(without_a_hole(&all) && all.len() > there.len(), "{all:?}");
    Ok(())
}

fn a_file_on_a_full_disk_goes_on_when_there_is_room() -> Outcome {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let disk = folder.path().display();
    let daemon = daemon()
        .wrapped(
            "unshare",
            &[
                "--mount",
                "sh",
                "-c",
                &format!("mount -t tmpfs -o size=256k tmpfs '{disk}' && exec \"$0\" \"$@\""),
            ],
        )
        .env("LOCKKEEPER_EVENTS_FILE", format!("{disk}/events.jsonl"))
        .start()?;
    // The file system exists for the daemon alone.
    let disk = PathBuf::from(format!("/proc/{}/root{disk}", daemon.pid()));
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![0; 128 << 10]).map_err(|e| format!("{ballast:?}: {e}"))?;
    let mut newest = 0;
    for number in 0..150 {
        newest = post(&daemon, number, 1_000)?;
    }
    let told = daemon.events()?;
    let degraded = told.wait_count("sink_degraded", 1, LIMIT)?;
    must!(degraded[0]["data"]["sink"] == "jsonl", "{degraded:?}");
    must!(metric(&daemon, "sink_failures_total", "jsonl")? >= 1.0, "no failure was counted");
    std::fs::remove_file(&ballast).map_err(|e| e.to_string())?;
    told.wait_count("sink_recovered", 1, LIMIT)?;
    wait_until("nothing is left to send", || {
        Ok(metric(&daemon, "sink_lag_events", "jsonl")? == 0.0)
    })?;
    let there = offsets(&lines(&disk.join("events.jsonl"))?);
    must!(without_a_hole(&there) && there.contains(&newest), "{there:?}");
    end(daemon)
}
