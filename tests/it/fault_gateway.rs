//! What befalls a gateway: killed before a stop, a full disk, a client that hangs, a second gateway,
//! the end of it under load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use lockkeeper_tests::{Outcome, gateway, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, SESSION, again};

crate::facts! {
    a_stop_that_a_killed_gateway_owed_is_made_up_for_after_its_restart,
    a_subscriber_that_reads_nothing_for_a_minute_is_closed_and_no_other,
    a_second_gateway_on_the_same_sessions_is_refused_and_names_the_first,
    a_drain_lets_a_hundred_runs_end_and_takes_no_more,
}

pub(crate) const AS_ROOT: &[crate::Fact] = &[(
    "a_full_disk_is_named_ends_a_run_truly_and_loses_nothing",
    a_full_disk_is_named_ends_a_run_truly_and_loses_nothing,
)];

/// How long something may take that takes a minute by itself.
const MINUTES: Duration = Duration::from_secs(150);

/// Opens an event stream of the session.
fn stream(agents: &Agents) -> Result<TcpStream, String> {
    let host = agents.gateway.base().trim_start_matches("http://");
    let open = || {
        let mut socket = TcpStream::connect(host)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let head = format!("GET {SESSION}/agui/events HTTP/1.0\r\nHost: {host}\r\n\r\n");
        socket.write_all(head.as_bytes())?;
        Ok(socket)
    };
    open().map_err(|e: std::io::Error| format!("a subscriber: {e}"))
}

/// Reads a stream until so many of these words came in it.
fn read_until(stream: &mut TcpStream, word: &str, count: usize) -> Outcome {
    let (mut text, mut piece, mut found) = (String::new(), vec![0; 64 * 1024], 0);
    while found < count {
        match stream.read(&mut piece) {
            Ok(0) => return Err(format!("it ended after {found} of {count} {word}")),
            Ok(took) => text.push_str(&String::from_utf8_lossy(&piece[..took])),
            Err(e) => return Err(format!("after {found} of {count} {word}: {e}")),
        }
        found += text.matches(word).count();
        // A word may be cut; what was counted is not counted again.
        let rest = text.rfind(word).map_or(0, |at| at + word.len());
        let mut from = rest.max(text.len().saturating_sub(word.len()));
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text = text.split_off(from);
    }
    Ok(())
}

fn millis_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn a_stop_that_a_killed_gateway_owed_is_made_up_for_after_its_restart() -> Outcome {
    /// So often it must have died between the end of the run and the stop.
    const OWED: usize = 3;
    /// So often it is killed at most, if the stop was quicker.
    const ROUNDS: usize = 60;
    let stops = json!({ "stop_on_run_finished": true, "retry_min_ms": 100 });
    let mut agents = Agents::start(stops.clone())?;
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    let mut owed = 0;
    for round in 1..=ROUNDS {
        agents.wait_listener("streaming")?;
        let mut reader = stream(&agents)?;
        let run = agents.post("say", json!({})).map_err(|e| format!("round {round}: {e}"))?;
        let finished = format!("\"RUN_FINISHED\",\"threadId\":\"one\",\"runId\":\"{run}\"");
        read_until(&mut reader, &finished, 1)?;
        agents.gateway.signal(Signal::SIGKILL);
        let killed = millis_now();
        agents.gateway.wait_exit(LIMIT)?;
        agents.gateway = again(&base, state.clone())?;
        agents.wait("stopped", |s| s["agent"]["stopped"] == true)?;
        let seen = agents.runner("/seen", "")?;
        must!(seen["readers"] == 0, "round {round}: a stopped session listens: {seen}");
        let records = agents.records()?;
        let stop = |r: &&Value| r["kind"] == "note" && r["reason"] == "stop";
        let noted: Vec<i64> =
            records.iter().filter(stop).filter_map(|r| r["ts_ms"].as_i64()).collect();
        // At least one for each round: the one that was made up for may be noted a second time.
        must!(noted.len() >= round, "round {round}: {noted:?}");
        owed += usize::from(noted.last().is_some_and(|last| *last > killed));
        if owed == OWED {
            return agents.check();
        }
        let put = agents.put(SESSION, stops.clone())?;
        must!(put.0 == 200, "{put:?}");
    }
    Err(format!("{owed} of {ROUNDS} kills came before the stop"))
}

fn a_subscriber_that_reads_nothing_for_a_minute_is_closed_and_no_other() -> Outcome {
    let agents = Agents::start(json!({}))?;
    agents.wait_listener("streaming")?;
    let (deaf, mut reader) = (stream(&agents)?, stream(&agents)?);
    agents.wait("read by both", |s| s["subscribers"] == 2)?;
    // More than the kernel takes for somebody who reads nothing.
    agents.post("huge 12", json!({}))?;
    read_until(&mut reader, "RUN_FINISHED", 1)?;
    let begin = Instant::now();
    let mut said = 0;
    while agents.status()?["subscribers"] == 2 {
        must!(begin.elapsed() < MINUTES, "it is never closed: {:?}", agents.status());
        said += 1;
        let event = json!({ "type": "CUSTOM", "name": "n", "value": said });
        agents.runner("/push", &format!("{event}\n"))?;
        // Whoever reads is served all the while.
        read_until(&mut reader, "\"CUSTOM\"", 1)?;
        std::thread::sleep(Duration::from_millis(500));
    }
    let after = begin.elapsed();
    must!(after > Duration::from_secs(45), "it was closed after {after:?} already");
    must!(agents.status()?["subscribers"] == 1, "{:?}", agents.status());
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"n\",\"value\":0}\n")?;
    read_until(&mut reader, "\"CUSTOM\"", 1)?;
    drop(deaf);
    Ok(())
}

fn a_second_gateway_on_the_same_sessions_is_refused_and_names_the_first() -> Outcome {
    let agents = Agents::start(json!({}))?;
    agents.run("say")?;
    let (status, log) = gateway().state(agents.gateway.state()).run_to_end(LIMIT)?;
    must!(status.code() == Some(73), "it ended with {status}:\n{log}");
    let first = agents.gateway.pid().to_string();
    must!(log.contains(&first), "{first} is not named:\n{log}");
    // The first goes on.
    let done = agents.run("say")?;
    must!(done["failed"] == Value::Null, "{done}");
    agents.check()
}

fn a_drain_lets_a_hundred_runs_end_and_takes_no_more() -> Outcome {
    const RUNS: usize = 100;
    let patient = gateway().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "2min");
    let mut agents = Agents::start_on(patient, json!({}))?;
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    let session = |at: usize| format!("/v1/projects/p/sessions/s{at}");
    for at in 0..RUNS {
        let put = agents.put(&session(at), json!({}))?;
        must!(put.0 == 201, "{at}: {put:?}");
    }
    for at in 0..RUNS {
        agents.post_to(&session(at), "tick 100 100", json!({}))?;
    }
    let signal = millis_now();
    agents.gateway.signal(Signal::SIGTERM);
    let until = Instant::now() + LIMIT;
    loop {
        let body = json!({ "messages": [{ "id": "m", "role": "user", "content": "say" }] });
        let answer = agents.gateway.call("POST", &format!("{SESSION}/agui/run"), Some(&body))?;
        match answer.status {
            503 => break,
            // The signal has not arrived yet.
            202 | 409 => must!(Instant::now() < until, "it still takes runs"),
            status => return Err(format!("{status} {}", answer.body)),
        }
    }
    let status = agents.gateway.wait_exit(MINUTES)?;
    must!(status.success(), "ended with {status}:\n{}", agents.gateway.log());
    agents.gateway = again(&base, state)?;
    for at in 0..RUNS {
        let path = format!("{}/export?form=records", session(at));
        let answer = agents.gateway.call("GET", &path, None)?;
        let text = answer.body.as_str().unwrap_or_default();
        let ticks = text.matches("\"type\":\"CUSTOM\"").count();
        let ended = text.matches("\"type\":\"RUN_FINISHED\"").count();
        // The run, and the input before it.
        must!((ticks, ended) == (100, 2), "session {at}: {ticks} events, {ended} ends");
        must!(!text.contains("\"type\":\"RUN_ERROR\""), "session {at} was cut");
        let last = text.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let last = last.and_then(|record| record["ts_ms"].as_i64()).unwrap_or_default();
        must!(last > signal, "session {at} had ended before");
    }
    Ok(())
}

/// Room for a log and little more.
const DISK: &str =
    "mount -t tmpfs -o size=24m,mode=755 tmpfs \"$LOCKKEEPER_STATE_DIR\" && exec \"$0\" \"$@\"";

/// Writes until nothing more is taken, not even the smallest piece.
fn fill(path: &Path) -> Outcome {
    let mut file = std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    for piece in [64 << 10, 4 << 10, 64] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    Ok(())
}

fn a_full_disk_is_named_ends_a_run_truly_and_loses_nothing() -> Outcome {
    let small = gateway().wrapped("unshare", &["--mount", "sh", "-c", DISK]);
    let agents = Agents::start_on(small, json!({ "retry_min_ms": 100 }))?;
    agents.wait_listener("streaming")?;
    // The file system exists for the gateway alone.
    let disk = agents.gateway.state().path().display().to_string();
    let disk = PathBuf::from(format!("/proc/{}/root{disk}", agents.gateway.pid()));
    let ballast = disk.join("ballast");
    agents.run("say")?;
    let before = agents.records()?;
    // A run that goes on saying something for longer than a log may take nothing.
    agents.post("tick 30000", json!({}))?;
    agents.wait_agent("working")?;
    agents.wait("begun", |s| s["log"]["tail"].as_u64() > Some(before.len() as u64 + 20))?;
    fill(&ballast)?;
    let stalled = agents.wait("stalled", |s| s["log"]["log_stalled"] == true)?;
    let told = stalled["log"]["log_error"].as_str().unwrap_or_default();
    must!(told.contains("full"), "{stalled}");
    let body = json!({ "messages": [{ "id": "m", "role": "user", "content": "say" }] });
    let refused = agents.gateway.call("POST", &format!("{SESSION}/agui/run"), Some(&body))?;
    must!(refused.status == 503, "{} {}", refused.status, refused.body);
    let told = refused.body["error"]["message"].as_str().unwrap_or_default();
    must!(told.contains("full"), "{}", refused.body);
    // What is there is read, and nothing is shown that is not.
    let shown = agents.records()?;
    must!(shown.len() >= before.len() + 20 && shown[..before.len()] == before[..], "{shown:?}");
    // Streams that cannot be read on are closed after a minute.
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"n\",\"value\":1}\n")?;
    let until = Instant::now() + MINUTES;
    loop {
        let seen = agents.runner("/seen", "")?;
        let status = agents.status()?;
        if seen["left"] == 1 && status["listener"]["reconnects"].as_u64() > Some(0) {
            break;
        }
        must!(Instant::now() < until, "they are never closed: {status} {seen}");
        std::thread::sleep(Duration::from_millis(500));
    }
    must!(agents.records()?.len() == shown.len(), "a full log grows");
    std::fs::remove_file(&ballast).map_err(|e| format!("{}: {e}", ballast.display()))?;
    let status = agents.wait_agent("idle")?;
    must!(status["agent"]["last_error"]["code"] == "LOG_STALLED", "{status}");
    must!(status["log"]["log_stalled"] == false, "{status}");
    must!(status["log"]["log_error"] == Value::Null, "{status}");
    agents.wait_listener("streaming")?;
    let done = agents.run("say")?;
    must!(done["failed"] == Value::Null, "{done}");
    let after = agents.records()?;
    must!(after[..shown.len()] == shown[..], "what was shown is gone or is another");
    agents.check()
}
