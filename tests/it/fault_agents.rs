//! Runners that die, freeze, and say too much.

use lockkeeper_tests::{Outcome, gateway, must, node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::agents::{Agents, LIMIT};

crate::facts! {
    a_runner_that_is_killed_leaves_an_error_and_is_found_again,
    a_runner_that_freezes_is_left_and_found_again,
    a_line_over_the_limit_costs_one_event_and_little_memory,
    a_gateway_that_is_killed_in_a_run_ends_it_or_goes_on_with_it,
}

fn a_runner_that_is_killed_leaves_an_error_and_is_found_again() -> Outcome {
    let mut agents = Agents::start(json!({ "retry_min_ms": 100 }))?;
    agents.wait_listener("streaming")?;
    agents.post("hang", json!({}))?;
    agents.wait_agent("working")?;
    agents.wait("begun", |s| s["lane"]["open_run"]["began"] == "client")?;
    let _ = kill(Pid::from_raw(agents.runner.pid()), Signal::SIGKILL);
    let status = agents.wait_agent("idle")?;
    must!(status["agent"]["last_error"]["code"] == "RUNNER_TRUNCATED", "{status}");
    agents.runner = node("runner.mjs", &[&agents.port.to_string()])?;
    agents.runner.wait_step("ready", LIMIT)?;
    agents.wait_listener("streaming")?;
    agents.post("say", json!({}))?;
    agents.wait("right again", |s| {
        s["agent"]["status"] == "idle" && s["agent"]["last_error"].is_null()
    })?;
    agents.check()
}

fn a_runner_that_freezes_is_left_and_found_again() -> Outcome {
    let agents = Agents::start(json!({ "idle_timeout_ms": 3000, "retry_min_ms": 100 }))?;
    agents.wait_listener("streaming")?;
    let runner = Pid::from_raw(agents.runner.pid());
    let _ = kill(runner, Signal::SIGSTOP);
    agents.wait("left", |s| s["listener"]["state"] != "streaming")?;
    let _ = kill(runner, Signal::SIGCONT);
    let status = agents.wait_listener("streaming")?;
    must!(status["listener"]["generation"] == 1, "{status}");
    agents.runner("/push", "{\"type\":\"CUSTOM\",\"name\":\"n\",\"value\":1}\n")?;
    agents.wait("heard", |s| s["log"]["tail"].as_u64() >= Some(2))?;
    Ok(())
}

fn a_line_over_the_limit_costs_one_event_and_little_memory() -> Outcome {
    let agents = Agents::start_on(gateway().env("LOCKKEEPER_EVENT_LIMIT", "4MiB"), json!({}))?;
    agents.run("huge 64")?;
    let records = agents.records()?;
    let losses: Vec<_> = records.iter().filter(|r| r["kind"] == "loss").collect();
    must!(losses.len() == 1 && losses[0]["reason"] == "oversize", "{losses:?}");
    let last = records.last().map(|r| r["type"].clone());
    must!(last == Some("RUN_FINISHED".into()), "{last:?}");
    // Just under the limit it is kept, whole, although it is more than one record of the log holds.
    agents.run("huge 3")?;
    let events = agents.records()?;
    let kept = events.iter().filter_map(|r| r["data"].as_str()).map(str::len).max();
    must!(kept > Some(3 << 20), "the largest has {kept:?} bytes");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agents.gateway.pid()));
    let status = status.map_err(|e| e.to_string())?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak.and_then(|p| p.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    must!(peak > 0 && peak < 200 * 1024, "it took {peak} KiB");
    agents.check()
}

fn a_gateway_that_is_killed_in_a_run_ends_it_or_goes_on_with_it() -> Outcome {
    let mut agents = Agents::start(json!({ "retry_min_ms": 100 }))?;
    agents.wait_listener("streaming")?;
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    let push = |agents: &Agents, event: serde_json::Value| {
        agents.runner("/push", &format!("{event}\n")).map(drop)
    };
    push(&agents, json!({ "type": "RUN_STARTED", "threadId": "t", "runId": "own" }))?;
    push(&agents, json!({ "type": "TEXT_MESSAGE_START", "messageId": "m" }))?;
    agents.wait("logged", |s| s["log"]["tail"] == 2)?;
    agents.gateway.signal(Signal::SIGKILL);
    agents.gateway.wait_exit(LIMIT)?;
    agents.gateway = crate::agents::again(&base, state)?;
    agents.wait_listener("streaming")?;
    let status = agents.status()?;
    must!(status["lane"]["open_run"]["runId"] == "own", "{status}");
    push(&agents, json!({ "type": "RUN_FINISHED", "threadId": "t", "runId": "own" }))?;
    agents.wait_agent("idle")?;
    let expected =
        ["RUN_STARTED", "TEXT_MESSAGE_START", "+TEXT_MESSAGE_END(close)", "RUN_FINISHED"];
    must!(agents.types()? == expected, "{:?}", agents.types());
    agents.check()
}
