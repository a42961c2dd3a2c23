//! The command-line client against a real node: what people read, what programs read, exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, cli, daemon, must};
use serde_json::{Value, json};

crate::facts! {
    a_sandbox_is_made_used_listed_and_ended_from_the_command_line,
    a_sandbox_is_parked_and_brought_back_from_the_command_line,
    a_sandbox_is_saved_and_another_one_begins_there_from_the_command_line,
    refusals_say_what_to_do_and_exit_with_their_own_code,
    a_drain_is_begun_and_undone_from_the_command_line,
    events_go_on_over_a_restart_of_the_node,
    watching_hears_the_last_step_of_a_node_and_begins_anew_with_the_next,
    the_doctor_starts_a_browser_and_agrees_with_the_node,
    completion_scripts_know_the_commands,
}

const LIMIT: Duration = Duration::from_secs(20);

fn run(base: &str, args: &[&str]) -> Result<Output, String> {
    command(base, args).output().map_err(|e| format!("the client did not start: {e}"))
}

fn command(base: &str, args: &[&str]) -> Command {
    let mut command = Command::new(cli());
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOCKKEEPER_URL", base)
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The output of a call that must succeed.
fn done(base: &str, args: &[&str]) -> Result<String, String> {
    let output = run(base, args)?;
    must!(output.status.success(), "{args:?} ended with {output:?}");
    Ok(text(&output.stdout))
}

fn done_json(base: &str, args: &[&str]) -> Result<Value, String> {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let text = done(base, &args)?;
    serde_json::from_str(&text).map_err(|e| format!("{args:?} printed {text:?}: {e}"))
}

fn a_sandbox_is_made_used_listed_and_ended_from_the_command_line() -> Outcome {
    let mut daemon = daemon().start()?;
    let base = daemon.base().to_owned();
    let made = done_json(&base, &["create", "--id", "a", "--label", "team=search", "--ttl", "1h"])?;
    daemon.remember();
    must!(made["state"] == "running" && made["labels"]["team"] == "search", "{made}");
    let mut cdp = Cdp::open(made["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let quiet = done(&base, &["create", "--quiet", "--id", "b"])?;
    must!(quiet == format!("{base}/sandboxes/b\n"), "{quiet:?}");
    daemon.remember();

    let listed = done(&base, &["ls", "--label", "team=search"])?;
    let lines: Vec<_> = listed.lines().collect();
    must!(lines.len() == 2 && lines[0].starts_with("ID "), "{listed}");
    must!(lines[1].starts_with("a ") && lines[1].contains("running"), "{listed}");
    let both = done_json(&base, &["ls"])?;
    must!(both.as_array().map(Vec::len) == Some(2), "{both}");
    let shown = done(&base, &["get", "a"])?;
    must!(shown.contains("team=search") && shown.contains("generation 1"), "{shown}");

    let ended = done(&base, &["rm", "a", "b"])?;
    must!(ended.lines().count() == 2 && ended.contains("stopped"), "{ended}");
    must!(done_json(&base, &["ls"])? == json!([]), "something is left");
    let all = done(&base, &["ls", "--all"])?;
    must!(all.contains("stopped (request)"), "{all}");
    let why = done(&base, &["get", "a"])?;
    must!(why.lines().any(|l| l.starts_with("reason") && l.ends_with("request")), "{why}");
    Ok(())
}

fn a_sandbox_is_parked_and_brought_back_from_the_command_line() -> Outcome {
    let mut daemon = daemon().start()?;
    let base = daemon.base().to_owned();
    let made = daemon.create(&json!({ "id": "a" }))?;
    let first = made["lifecycle_id"].as_str().unwrap_or_default();
    let parked = done(&base, &["pause", "a"])?;
    must!(parked == "a  paused\n", "{parked:?}");
    let listed = done(&base, &["ls"])?;
    must!(listed.lines().any(|l| l.starts_with("a ") && l.contains("paused")), "{listed}");
    let shown = done(&base, &["get", "a"])?;
    must!(shown.lines().any(|l| l.starts_with("parked ")), "{shown}");
    let back = done_json(&base, &["resume", "a"])?;
    daemon.remember();
    must!(back["state"] == "running" && back["id"] == "a", "{back}");
    let old = run(&base, &["pause", "a", "--lifecycle-id", first])?;
    must!(old.status.code() == Some(1), "an incarnation that is gone was parked: {old:?}");
    Ok(())
}

fn a_sandbox_is_saved_and_another_one_begins_there_from_the_command_line() -> Outcome {
    let mut daemon = daemon().start()?;
    let base = daemon.base().to_owned();
    daemon.create(&json!({ "id": "a" }))?;
    let saved = done(&base, &["checkpoint", "a"])?;
    daemon.remember();
    let id = saved.lines().find_map(|line| line.strip_prefix("snapshot"));
    let id = id.map(str::trim).unwrap_or_default();
    must!(!id.is_empty() && saved.contains("a  running"), "{saved}");
    let listed = done(&base, &["snapshots"])?;
    must!(listed.lines().count() == 2 && listed.contains(id), "{listed}");
    let shown = done_json(&base, &["snapshots", "get", id])?;
    must!(shown["sandbox_id"] == "a", "{shown}");
    let copy = done_json(&base, &["create", "--id", "b", "--snapshot", id])?;
    daemon.remember();
    must!(copy["state"] == "running", "{copy}");
    let removed = done(&base, &["snapshots", "rm", id])?;
    must!(removed == format!("{id}  removed\n"), "{removed:?}");
    must!(done_json(&base, &["snapshots", "ls"])? == json!([]), "it is still listed");
    let again = run(&base, &["snapshots", "rm", id])?;
    must!(again.status.code() == Some(1), "{again:?}");
    Ok(())
}

fn refusals_say_what_to_do_and_exit_with_their_own_code() -> Outcome {
    let token = "a-token-of-the-tests";
    let mut daemon = daemon().env("LOCKKEEPER_TOKEN", token).start()?;
    let base = daemon.base().to_owned();
    daemon.create(&json!({ "id": "taken" }))?;
    let file = daemon.state().path().join("token");
    std::fs::write(&file, format!("{token}\n")).map_err(|e| e.to_string())?;
    let file = file.to_str().unwrap_or_default();
    let silent = "http://127.0.0.1:1";
    let with = |args: &[&'static str]| -> Vec<String> {
        args.iter().copied().chain(["--token-file", file]).map(str::to_owned).collect()
    };
    let plain = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let cases: [(Vec<String>, i32, &[&str]); 9] = [
        (plain(&["ls"]), 77, &["token", "LOCKKEEPER_TOKEN"]),
        (with(&["get", "nobody"]), 1, &["nobody", "ls --all"]),
        (with(&["create", "--id", "taken"]), 1, &["taken", "choose another id"]),
        (with(&["create", "--template", "nope"]), 1, &["nope", "lockkeeper info"]),
        (with(&["create", "--ttl", "soon"]), 64, &["soon", "15m"]),
        (with(&["ls", "--state", "asleep"]), 64, &["asleep", "running"]),
        (with(&["rm", "nobody", "taken"]), 1, &["nobody", "1 of 2"]),
        (plain(&["info", "--url", silent]), 69, &[silent, "lockkeeperd", "--url"]),
        (plain(&["info", "--url", "ftp://node"]), 64, &["http://", "https://"]),
    ];
    for (args, code, words) in &cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = run(&base, &args)?;
        let said = text(&output.stderr);
        must!(output.status.code() == Some(*code), "{args:?} ended with {output:?}");
        for word in *words {
            must!(said.contains(word), "{args:?}: {word:?} is missing in {said:?}");
        }
    }
    let output = run(&base, &["get", "nobody", "--json", "--token-file", file])?;
    let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
    must!(error["error"]["code"] == "SANDBOX_NOT_FOUND", "{output:?}");
    must!(error["error"]["exit_code"] == 1, "{error}");
    Ok(())
}

fn a_drain_is_begun_and_undone_from_the_command_line() -> Outcome {
    let mut daemon = daemon().start()?;
    let base = &daemon.base().to_owned();
    let drained = done(base, &["drain"])?;
    must!(drained.contains("draining") && drained.contains("takes no sandboxes"), "{drained}");
    let refused = run(base, &["create"])?;
    must!(refused.status.code() == Some(75), "{refused:?}");
    must!(text(&refused.stderr).contains("lockkeeper undrain"), "{refused:?}");
    done(base, &["undrain"])?;
    daemon.create(&json!({ "id": "held" }))?;
    let waited = done(base, &["drain", "--wait", "--deadline", "1s"])?;
    must!(waited.contains("draining") && waited.contains("none"), "{waited}");
    let why = done_json(base, &["get", "held"])?;
    must!(why["stop_reason"] == "node_drain", "{why}");
    let undone = done_json(base, &["undrain"])?;
    must!(undone["accepting"] == true, "{undone}");
    let info = done(base, &["info"])?;
    must!(info.contains("healthy") && info.contains("templates"), "{info}");
    Ok(())
}

/// A client that is read line by line; killed when dropped.
struct Following {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Following {
    fn start(base: &str, args: &[&str]) -> Result<Self, String> {
        let mut child = command(base, args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("the client did not start: {e}"))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let (tell, lines) = std::sync::mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let until = Instant::now() + LIMIT;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(until - Instant::now().min(until)) {
            match serde_json::from_str::<Value>(&line) {
                Ok(event) if fits(&event) => return Ok(event),
                Ok(_) | Err(_) => seen.push(line),
            }
        }
        Err(format!("no {what}; seen were {seen:#?}"))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events_go_on_over_a_restart_of_the_node() -> Outcome {
    // Any port that is free: the second start takes the same one again.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .map_err(|e| e.to_string())?;
    let listen = port.to_string();
    let mut first = daemon().env("LOCKKEEPER_API_LISTEN", listen.clone()).start()?;
    let base = first.base().to_owned();
    let events = Following::start(&base, &["events", "--replay", "--json"])?;
    let started = |e: &Value| e["type"] == "node_started";
    let one = events.wait_for("first start", started)?;
    let state = first.state();
    first.signal(nix::sys::signal::Signal::SIGTERM);
    first.wait_exit(LIMIT)?;
    events.wait_for("end", |e| e["type"] == "node_stopped")?;
    let second = daemon().env("LOCKKEEPER_API_LISTEN", listen).state(state).start()?;
    let two = events.wait_for("second start", started)?;
    must!(two["epoch"] == one["epoch"], "{one} {two}");
    must!(two["offset"].as_u64() > one["offset"].as_u64(), "{one} {two}");
    drop(second);
    Ok(())
}

fn watching_hears_the_last_step_of_a_node_and_begins_anew_with_the_next() -> Outcome {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .map_err(|e| e.to_string())?;
    let listen = port.to_string();
    let mut first = daemon()
        .env("LOCKKEEPER_API_LISTEN", listen.clone())
        .env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "1s")
        .start()?;
    let base = first.base().to_owned();
    first.create(&json!({ "id": "early" }))?;
    let watch = Following::start(&base, &["ls", "--watch", "--json"])?;
    let state = |id: &'static str, state: &'static str| {
        move |e: &Value| e["sandbox"]["id"] == id && e["sandbox"]["state"] == state
    };
    let present = watch.wait_for("picture", |e| e["type"] == "present")?;
    must!(state("early", "running")(&present), "{present}");
    watch.wait_for("end of the picture", |e| e["type"] == "synced" && e["sandboxes"] == 1)?;
    first.create(&json!({ "id": "late" }))?;
    watch.wait_for("start", state("late", "starting"))?;
    watch.wait_for("ready sandbox", state("late", "running"))?;
    first.signal(nix::sys::signal::Signal::SIGTERM);
    let end = watch.wait_for("last step", |e| e["sandbox"]["state"] == "stopped")?;
    must!(end["sandbox"]["stop_reason"] == "node_drain", "{end}");
    watch.wait_for("other last step", |e| e["sandbox"]["state"] == "stopped")?;
    let status = first.wait_exit(LIMIT)?;
    must!(status.success(), "an open watch held the daemon up: {status}\n{}", first.log());
    let second = daemon().env("LOCKKEEPER_API_LISTEN", listen).start()?;
    watch.wait_for("gap", |e| e["type"] == "gap" && e["cause"] == "restarted")?;
    watch.wait_for("new picture", |e| e["type"] == "synced" && e["sandboxes"] == 0)?;
    drop(second);
    Ok(())
}

fn the_doctor_starts_a_browser_and_agrees_with_the_node() -> Outcome {
    let daemon = daemon().start()?;
    let state = daemon.state();
    let folder = state.path().to_str().unwrap_or_default();
    let report = done_json(daemon.base(), &["doctor", "--state-dir", folder])?;
    let verdict = |name: &str| {
        let found = report.as_array().into_iter().flatten().find(|c| c["check"] == name);
        found.map(|c| c["verdict"].as_str().unwrap_or_default().to_owned())
    };
    for name in ["node", "port", "browser", "browser starts", "user namespaces", "disk"] {
        must!(verdict(name).as_deref() == Some("ok"), "{name} is not ok in {report:#}");
    }
    let info = daemon.call("GET", "/v1/node", None)?;
    let isolation = info.body["isolation"].as_str().unwrap_or_default().to_owned();
    must!(report[0]["seen"].as_str().unwrap_or_default().contains(&isolation), "{report:#}");
    let missing = run(daemon.base(), &["doctor", "--browser", "/no/browser"])?;
    must!(missing.status.code() == Some(1), "{missing:?}");
    let said = text(&missing.stdout);
    must!(said.contains("broken") && said.contains("-> name the binary"), "{said}");
    Ok(())
}

fn completion_scripts_know_the_commands() -> Outcome {
    for shell in ["bash", "zsh", "fish"] {
        let script = done("http://127.0.0.1:1", &["completion", shell])?;
        for word in ["create", "doctor", "undrain", "queue-timeout"] {
            must!(script.contains(word), "{shell} does not know {word}");
        }
    }
    Ok(())
}
