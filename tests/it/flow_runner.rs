//! Sandboxes with an agent's runner beside the browser: from the template to the events of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, daemon, must, rust_client_binary};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options, StateDir};

crate::facts! {
    a_run_drives_the_browser_of_its_sandbox_with_a_key_of_its_own,
    a_session_comes_with_its_sandbox_sleeps_with_it_and_goes_with_it,
    a_sandbox_ends_when_its_run_has_finished_or_its_runner_has_ended,
    a_required_runner_that_does_not_start_fails_the_create_with_its_words,
    an_open_run_keeps_its_sandbox_and_a_shutdown_ends_them_all,
}

const LIMIT: Duration = Duration::from_secs(30);
const TOKEN: &str = "correct-horse-battery-staple";

/// A node whose template `agent` has a runner with these further settings.
fn node(more: &str) -> Result<Options, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    node_on(state, more)
}

/// The same on this folder.
fn node_on(state: Arc<StateDir>, more: &str) -> Result<Options, String> {
    // Where the users of sandboxes can read it.
    let program = state.path().join("agent");
    if !program.exists() {
        std::fs::copy(rust_client_binary()?, &program).map_err(|e| e.to_string())?;
    }
    let program = program.display();
    let text = format!(
        "[templates.agent]\nrunner = {{ command = [\"{program}\", \"agent\"], \
         ready_path = \"/health\", {more} }}\n"
    );
    let file = state.path().join("settings.toml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(daemon().arg(format!("--config={}", file.display())).state(state))
}

fn session(id: &str) -> String {
    format!("/v1/projects/sandboxes/sessions/{id}")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, String>) -> Result<T, String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("never {what}"));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Waits for an answer to GET; its body.
fn wait(
    daemon: &Daemon,
    path: &str,
    wanted: impl Fn(u16, &Value) -> bool,
) -> Result<Value, String> {
    let mut last = Value::Null;
    let found = until("as wanted", || {
        let answer = daemon.call("GET", path, None)?;
        last = json!([answer.status, answer.body]);
        Ok(wanted(answer.status, &answer.body).then_some(answer.body))
    });
    found.map_err(|e| format!("{path}: {e}: {last}\n{}", daemon.log()))
}

fn listening(daemon: &Daemon, id: &str) -> Result<Value, String> {
    let path = format!("{}/status", session(id));
    wait(daemon, &path, |status, body| status == 200 && body["listener"]["state"] == "streaming")
}

fn post(daemon: &Daemon, id: &str, message: &str) -> Result<Value, String> {
    let message = json!({ "id": format!("u-{message}"), "role": "user", "content": message });
    let path = format!("{}/agui/run", session(id));
    let answer = daemon.call("POST", &path, Some(&json!({ "messages": [message] })))?;
    match answer.status {
        202 => Ok(answer.body),
        status => Err(format!("the run was answered {status} {}", answer.body)),
    }
}

/// Everything that the sessions' client sees until now.
fn exported(daemon: &Daemon, id: &str) -> Result<String, String> {
    let answer = daemon.call("GET", &format!("{}/export?open=true", session(id)), None)?;
    Ok(answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned))
}

/// Waits until so many runs have told the title of the page that they opened.
fn answered(daemon: &Daemon, id: &str, runs: usize) -> Outcome {
    let mut last = String::new();
    let found = until("answered", || {
        last = exported(daemon, id)?;
        let titles = last.matches(&format!("Lock 7 of {id}")).count();
        // What was posted is a closed run too.
        let ends = last.matches("RUN_FINISHED").count();
        Ok((titles == runs && ends == 2 * runs).then_some(()))
    });
    found.map_err(|e| format!("{e}:\n{last}"))
}

/// Kills the node and starts another on what it has left.
fn after_a_kill(mut daemon: Daemon, more: &str) -> Result<Daemon, String> {
    daemon.remember();
    daemon.signal(Signal::SIGKILL);
    daemon.wait_exit(LIMIT)?;
    node_on(daemon.state(), more)?.start()
}

fn end(mut daemon: Daemon) -> Outcome {
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn a_run_drives_the_browser_of_its_sandbox_with_a_key_of_its_own() -> Outcome {
    let mut daemon = node("required = true")?.env("LOCKKEEPER_TOKEN", TOKEN).start()?;
    let sandbox = daemon.create(&json!({ "template": "agent", "id": "one" }))?;
    must!(sandbox["state"] == "running", "{sandbox}");
    listening(&daemon, "one")?;
    post(&daemon, "one", "look")?;
    answered(&daemon, "one", 1)?;
    let events = daemon.events()?;
    events.wait_count("run_ended", 1, LIMIT)?;
    let connect = events.wait_count("cdp_connect", 1, LIMIT)?;
    must!(connect[0]["sandbox"] == "one", "{connect:?}");
    let log = daemon.log();
    must!(!log.contains("token="), "the key of the runner is in the log:\n{log}");

    // They are the node's to make.
    for (method, body) in
        [("PUT", Some(json!({ "runner_url": "http://127.0.0.1:1" }))), ("DELETE", None)]
    {
        let refused = daemon.call(method, &session("one"), body.as_ref())?;
        must!(refused.status == 403, "{method}: {} {}", refused.status, refused.body);
        must!(refused.body["error"]["code"] == "not_by_clients", "{}", refused.body);
    }
    daemon.call("DELETE", "/v1/sandboxes/one", None)?;
    wait(&daemon, &session("one"), |status, _| status == 404)?;
    end(daemon)
}

fn a_session_comes_with_its_sandbox_sleeps_with_it_and_goes_with_it() -> Outcome {
    let more = "env = { MODE = \"quiet\" }";
    let mut daemon = node(more)?.start()?;
    daemon.create(&json!({ "template": "agent", "id": "one" }))?;
    daemon.create(&json!({ "id": "plain" }))?;
    listening(&daemon, "one")?;
    let none = daemon.call("GET", &session("plain"), None)?;
    must!(none.status == 404, "a sandbox without a runner has a session: {}", none.body);
    post(&daemon, "one", "look")?;
    answered(&daemon, "one", 1)?;

    let paused = daemon.call("POST", "/v1/sandboxes/one/pause", Some(&json!({})))?;
    must!(paused.status == 200, "{} {}", paused.status, paused.body);
    let status = format!("{}/status", session("one"));
    wait(&daemon, &status, |_, body| body["listener"]["state"] != "streaming")?;

    // A node that was killed finds it again, asleep, with what was said.
    let daemon = after_a_kill(daemon, more)?;
    answered(&daemon, "one", 1)?;
    let resumed = daemon.call("POST", "/v1/sandboxes/one/resume", Some(&json!({})))?;
    must!(resumed.status == 200, "{} {}", resumed.status, resumed.body);
    listening(&daemon, "one")?;
    post(&daemon, "one", "again")?;
    answered(&daemon, "one", 2)?;

    // Those of sandboxes that a killed node did not park are gone with them.
    let daemon = after_a_kill(daemon, more)?;
    wait(&daemon, &session("one"), |status, _| status == 404)?;
    end(daemon)
}

fn a_sandbox_ends_when_its_run_has_finished_or_its_runner_has_ended() -> Outcome {
    for (more, message, reason) in [
        ("stop_on_run_finished = true", "look", "run_finished"),
        ("on_exit = \"stop\"", "exit", "runner_exited"),
    ] {
        let mut daemon = node(more)?.start()?;
        daemon.create(&json!({ "template": "agent", "id": "one" }))?;
        listening(&daemon, "one")?;
        daemon.remember();
        post(&daemon, "one", message)?;
        let events = daemon.events()?;
        let ended = events.wait_count("sandbox_stopped", 1, LIMIT)?;
        must!(ended[0]["data"]["stop_reason"] == reason, "{more}: {ended:?}");
        if reason == "runner_exited" {
            must!(ended[0]["data"]["stop_detail"] == "runner exited: code 3", "{ended:?}");
            let exits = events.of("sandbox_runner_exited");
            must!(exits[0]["data"]["exit"]["code"] == 3, "{exits:?}");
        }
        wait(&daemon, &session("one"), |status, _| status == 404)?;
        end(daemon)?;
    }
    Ok(())
}

fn a_required_runner_that_does_not_start_fails_the_create_with_its_words() -> Outcome {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("settings.toml");
    let text = "[templates.agent.runner]\nrequired = true\n\
                command = ['/bin/sh', '-c', 'echo no model is configured; exit 4']\n";
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    let daemon = daemon().arg(format!("--config={}", file.display())).state(state).start()?;
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&json!({ "template": "agent" })))?;
    must!(refused.status == 502, "{} {}", refused.status, refused.body);
    must!(refused.body["error"]["code"] == "RUNNER_START_FAILED", "{}", refused.body);
    let message = refused.body["error"]["message"].as_str().unwrap_or_default();
    for part in ["the runner ended (exited: code 4)", "no model is configured"] {
        must!(message.contains(part), "{part:?} is not in {message:?}");
    }
    end(daemon)
}

fn an_open_run_keeps_its_sandbox_and_a_shutdown_ends_them_all() -> Outcome {
    let daemon = node("on_exit = \"restart\"")?;
    let mut daemon = daemon.start()?;
    daemon.create(&json!({ "template": "agent", "id": "one", "idle": "1s" }))?;
    listening(&daemon, "one")?;
    daemon.remember();
    // A runner that stands still has its run open for as long as it does.
    let ready = daemon.events()?.wait_count("sandbox_runner_ready", 1, LIMIT)?;
    let pid = ready[0]["data"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    let pid = Pid::from_raw(pid.ok_or_else(|| format!("no pid in {ready:?}"))?);
    let signal = |signal| nix::sys::signal::kill(pid, signal).map_err(|e| e.to_string());
    signal(Signal::SIGSTOP)?;
    post(&daemon, "one", "look")?;
    std::thread::sleep(Duration::from_secs(4));
    let events = daemon.events()?;
    must!(events.of("sandbox_stopped").is_empty(), "{:?}", events.of("sandbox_stopped"));
    signal(Signal::SIGCONT)?;
    let ended = events.wait_count("sandbox_stopped", 1, LIMIT)?;
    must!(ended[0]["data"]["stop_reason"] == "idle", "{ended:?}");

    // One that lives when the node is told to end at once.
    daemon.create(&json!({ "template": "agent", "id": "two" }))?;
    listening(&daemon, "two")?;
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.code().is_some(), "it ended with {status}");
    daemon.assert_nothing_left(Duration::from_secs(2))
}
