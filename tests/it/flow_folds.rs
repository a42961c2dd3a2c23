//! Closed runs are folded; clients that replay a session have the same as before.

use std::path::Path;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, gateway, must, node};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::Options;

use crate::agents::{Agents, LIMIT, SESSION, again_as};
use crate::flow_agents::hostile;

crate::facts! {
    what_was_folded_leads_a_client_to_the_same_messages_and_state,
    a_gateway_killed_while_it_folds_shows_what_it_showed_before,
    a_session_has_its_runs_folded_while_it_goes_on,
}

/// Sessions with histories of their own, in a quick run and with `LOCKKEEPER_TEST_LONG`.
const HISTORIES: [u64; 2] = [25, 100];
/// The runs in each.
const RUNS: u64 = 6;

fn long() -> bool {
    std::env::var_os("LOCKKEEPER_TEST_LONG").is_some()
}

/// All but the newest four runs are folded at once.
fn folding() -> Options {
    gateway().env("LOCKKEEPER_FOLD_BYTES", "1KiB")
}

fn session(number: u64) -> String {
    format!("/v1/projects/p/sessions/h{number}")
}

/// What a runner says of which little is right. Calls and results have ids that no message has: two
/// messages of one id become one object in the client, and what it has then depends on how it came
/// to be.
fn said(seed: u64) -> Vec<Value> {
    let mut events = hostile(seed);
    for (at, event) in events.iter_mut().enumerate() {
        if let Some(call) = event["toolCallId"].as_str() {
            event["toolCallId"] = format!("call-{call}").into();
        }
        if event["type"] == "TOOL_CALL_RESULT" {
            event["messageId"] = format!("result-{seed}-{at}").into();
        }
    }
    events
}

/// Posts runs, one after the other: those that say anything, and some that are as they should be.
fn history(agents: &Agents, number: u64) -> Outcome {
    let session = session(number);
    let put = agents.put(&session, json!({ "thread_id": "one" }))?;
    must!(put.0 == 201, "the session was answered {put:?}");
    for run in 0..RUNS {
        let seed = number * 1_000 + run;
        let (word, props) = match run % 3 {
            0 => ("say".to_owned(), json!({})),
            _ => (format!("raw {seed}"), json!({ "events": said(seed) })),
        };
        let until = Instant::now() + LIMIT;
        while let Err(refused) = agents.post_to(&session, &word, props.clone()) {
            must!(refused.contains("run_active") && Instant::now() < until, "{refused}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    wait(agents, &session, "the runs ended", |status| {
        status["agent"]["status"] != "working" && status["lane"]["open_run"].is_null()
    })
}

fn wait(agents: &Agents, session: &str, what: &str, done: impl Fn(&Value) -> bool) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        let status = agents.gateway.call("GET", &format!("{session}/status"), None)?.body;
        if done(&status) {
            return Ok(());
        }
        must!(Instant::now() < until, "never {what}: {status}\n{}", agents.gateway.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the protocol's own client has after each export in a folder.
fn applied(folder: &Path) -> Result<Value, String> {
    let client = node("agui.mjs", &["apply", folder.to_str().unwrap_or_default()])?;
    let mut applied = client.wait_step("applied", LIMIT)?;
    client.finish(LIMIT)?;
    Ok(applied["outcomes"].take())
}

fn restart(agents: &mut Agents, with: Options, signal: Signal) -> Outcome {
    let (base, state) = (agents.gateway.base().to_owned(), agents.gateway.state());
    agents.gateway.signal(signal);
    agents.gateway.wait_exit(LIMIT)?;
    agents.gateway = again_as(with, &base, state)?;
    Ok(())
}

fn what_was_folded_leads_a_client_to_the_same_messages_and_state() -> Outcome {
    let mut agents = Agents::start(json!({}))?;
    let histories = HISTORIES[usize::from(long())];
    for number in 0..histories {
        history(&agents, number)?;
    }
    let folder = agents.gateway.state().path().join("exports");
    let (before, after) = (folder.join("before"), folder.join("after"));
    let export = |agents: &Agents, folder: &Path| {
        (0..histories).try_for_each(|number| {
            agents.export_of(&session(number), folder, &format!("h{number}")).map(drop)
        })
    };
    // The input, the run, and the run that what comes behind it opens: all are closed here.
    restart(&mut agents, gateway(), Signal::SIGTERM)?;
    export(&agents, &before)?;
    restart(&mut agents, folding(), Signal::SIGTERM)?;
    for number in 0..histories {
        wait(&agents, &session(number), "folded", |s| s["log"]["first"].as_u64() > Some(1))?;
    }
    export(&agents, &after)?;
    let (before, after) = (applied(&before)?, applied(&after)?);
    let mut large = 0;
    for number in 0..histories {
        let name = format!("h{number}");
        let messages = before[&name]["messages"].as_array().map_or(0, Vec::len);
        large += usize::from(messages > 5);
        must!(
            before[&name] == after[&name] && before[&name].is_object(),
            "{name} was {}\nis {}",
            before[&name],
            after[&name]
        );
    }
    must!(large as u64 > histories / 3, "only {large} histories have more than five messages");
    Ok(())
}

fn a_gateway_killed_while_it_folds_shows_what_it_showed_before() -> Outcome {
    let mut agents = Agents::start(json!({}))?;
    let folder = agents.gateway.state().path().join("exports");
    let kills = if long() { 100 } else { 8 };
    for round in 0..kills {
        for _ in 0..6 {
            let seen = agents.run("say")?;
            must!(seen["failed"].is_null(), "{seen}");
        }
        agents.export_of(SESSION, &folder, "before")?;
        let covered = agents.status()?["log"]["base"]["covers"].as_u64().unwrap_or(0);
        restart(&mut agents, folding(), Signal::SIGKILL)?;
        // It folds as soon as it has opened the session; each round it is killed a little later.
        std::thread::sleep(Duration::from_micros(round * 977 % 12_000));
        restart(&mut agents, gateway(), Signal::SIGKILL)?;
        agents.export_of(SESSION, &folder, "after")?;
        let seen = applied(&folder)?;
        must!(seen["before"] == seen["after"], "round {round}: {seen}");
        let covers = agents.status()?["log"]["base"]["covers"].as_u64().unwrap_or(0);
        must!(covers >= covered, "round {round}: the base covered {covered}, now {covers}");
        agents.check()?;
    }
    // Left alone, it gets there.
    restart(&mut agents, folding(), Signal::SIGKILL)?;
    agents.wait("folded", |s| s["log"]["first"].as_u64() > Some(1))?;
    agents.export_of(SESSION, &folder, "after")?;
    let seen = applied(&folder)?;
    must!(seen["before"] == seen["after"], "{seen}");
    agents.check()
}

fn a_session_has_its_runs_folded_while_it_goes_on() -> Outcome {
    let agents = Agents::start_on(folding(), json!({}))?;
    for _ in 0..12 {
        let seen = agents.run("say")?;
        must!(seen["failed"].is_null(), "{seen}");
    }
    let status = agents.wait("folded", |s| s["log"]["base"]["covers"].as_u64() > Some(0))?;
    let folder = agents.gateway.state().path().join("exports");
    agents.export_of(SESSION, &folder, "all")?;
    let seen = applied(&folder)?;
    // What the user said, the answer, and the result of its call, of each run.
    let messages = seen["all"]["messages"].as_array().map_or(0, Vec::len);
    must!(messages == 36, "{messages} messages: {seen}");
    let notes = agents.records()?.into_iter().filter(|record| record["reason"] == "fold").count();
    must!(notes > 0, "no note of a fold: {status}");
    agents.check()
}
