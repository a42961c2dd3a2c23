//! What the tests of agent sessions share: a gateway, a runner, and an AG-UI client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Certified, gateway, node, node_trusting};
use serde_json::{Value, json};
use testkit::daemon::{Client, Daemon, Options, StateDir};

/// How long anything may take on a machine that is slow and loaded.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A gateway, a runner as a process of its own, and a session `one` of project `p`.
pub(crate) struct Agents {
    pub(crate) gateway: Daemon,
    pub(crate) runner: Client,
    pub(crate) port: u64,
    /// Who signed the gateway's certificate, if it speaks TLS.
    pub(crate) trusted: Option<PathBuf>,
}

pub(crate) const SESSION: &str = "/v1/projects/p/sessions/one";

impl Agents {
    /// Starts both. The session's settings are `more` and the runner's address.
    pub(crate) fn start(more: Value) -> Result<Self, String> {
        Self::start_on(gateway(), more)
    }

    /// The same on a gateway with other settings.
    pub(crate) fn start_on(gateway: Options, more: Value) -> Result<Self, String> {
        Self::start_trusting(gateway, None, more)
    }

    /// The same on a gateway that speaks TLS.
    pub(crate) fn start_on_tls(files: &Certified, more: Value) -> Result<Self, String> {
        Self::start_trusting(files.on(gateway()), Some(files.ca()), more)
    }

    fn start_trusting(
        gateway: Options,
        trusted: Option<PathBuf>,
        more: Value,
    ) -> Result<Self, String> {
        let runner = node("runner.mjs", &[])?;
        let port = port(&runner)?;
        let gateway = gateway.start()?;
        let agents = Self { gateway, runner, port, trusted };
        let put = agents.put(SESSION, more)?;
        if put.0 != 201 {
            return Err(format!("the session was answered {put:?}"));
        }
        Ok(agents)
    }

    pub(crate) fn put(&self, session: &str, more: Value) -> Result<(u16, Value), String> {
        let mut settings = json!({ "runner_url": format!("http://127.0.0.1:{}", self.port) });
        if let Value::Object(more) = more {
            for (name, value) in more {
                settings[name] = value;
            }
        }
        let answer = self.gateway.call("PUT", session, Some(&settings))?;
        Ok((answer.status, answer.body))
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}{SESSION}{rest}", self.gateway.base())
    }

    /// The unmodified client.
    pub(crate) fn client(&self, args: &[&str]) -> Result<Client, String> {
        match &self.trusted {
            Some(authority) => node_trusting("agui.mjs", args, authority),
            None => node("agui.mjs", args),
        }
    }

    /// Posts a run with the unmodified client; what it saw.
    pub(crate) fn run(&self, word: &str) -> Result<Value, String> {
        let client = self.client(&["run", &self.url("/agui"), word])?;
        let done = client.wait_step("done", LIMIT)?;
        client.finish(LIMIT)?;
        Ok(done)
    }

    /// Posts a run and does not wait for it.
    pub(crate) fn post(&self, message: &str, props: Value) -> Result<String, String> {
        self.post_to(SESSION, message, props)
    }

    /// The same to a session.
    pub(crate) fn post_to(
        &self,
        session: &str,
        message: &str,
        props: Value,
    ) -> Result<String, String> {
        let id = format!("u-{message}-{}", std::process::id());
        let message = json!({ "id": id, "role": "user", "content": message });
        let body = json!({ "messages": [message], "forwardedProps": props });
        let answer = self.gateway.call("POST", &format!("{session}/agui/run"), Some(&body))?;
        match answer.body["runId"].as_str() {
            Some(run) if answer.status == 202 => Ok(run.to_owned()),
            _ => Err(format!("the run was answered {} {}", answer.status, answer.body)),
        }
    }

    pub(crate) fn status(&self) -> Result<Value, String> {
        Ok(self.gateway.call("GET", &format!("{SESSION}/status"), None)?.body)
    }

    /// Waits until the status is as wanted.
    pub(crate) fn wait(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.status()?;
            if wanted(&status) {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(format!("never {what}: {status}\n{}", self.gateway.log()));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    pub(crate) fn wait_listener(&self, state: &str) -> Result<Value, String> {
        self.wait(state, |status| status["listener"]["state"] == state)
    }

    pub(crate) fn wait_agent(&self, word: &str) -> Result<Value, String> {
        self.wait(word, |status| status["agent"]["status"] == word)
    }

    /// One call to the runner.
    pub(crate) fn runner(&self, path: &str, body: &str) -> Result<Value, String> {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", self.port as u16))
            .map_err(|e| format!("the runner: {e}"))?;
        use std::io::{Read, Write};
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: r\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let sent =
            socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes()));
        sent.map_err(|e| format!("the runner: {e}"))?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).map_err(|e| format!("the runner: {e}"))?;
        let text = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let json = text.find('{').and_then(|at| Some(&text[at..=text.rfind('}')?]));
        Ok(json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or(Value::Null))
    }

    /// The log with envelopes, one value a record.
    pub(crate) fn records(&self) -> Result<Vec<Value>, String> {
        let path = format!("{SESSION}/export?form=records");
        Ok(lines(&self.gateway.call("GET", &path, None)?.body))
    }

    /// The types of the events in the log, those of our own with their code or kind.
    pub(crate) fn types(&self) -> Result<Vec<String>, String> {
        let events = self.records()?.into_iter().filter(|record| record["kind"] == "event");
        Ok(events.map(|record| tell(&record)).collect())
    }

    /// The export as a file.
    fn export(&self) -> Result<String, String> {
        let folder = self.gateway.state().path().join("export");
        self.export_of(SESSION, &folder, "events")
    }

    /// The export of a session as a file of a name.
    pub(crate) fn export_of(
        &self,
        session: &str,
        folder: &Path,
        name: &str,
    ) -> Result<String, String> {
        let body = self.gateway.call("GET", &format!("{session}/export?open=true"), None)?.body;
        let text: String = lines(&body).iter().map(|line| format!("{line}\n")).collect();
        std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let file = folder.join(format!("{name}.jsonl"));
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        Ok(file.to_str().unwrap_or_default().to_owned())
    }

    /// Replays the export through the protocol's own client.
    pub(crate) fn check(&self) -> Result<(), String> {
        check(&self.export()?)
    }

    /// Holds the export to the validator's rules; a runner that breaks the protocol is held to fewer.
    pub(crate) fn validate(&self, hostile: bool) -> Result<(), String> {
        let lowered: &[&str] = if hostile { &OF_RUNNERS } else { &[] };
        validate(&self.export()?, lowered)
    }
}

/// Replays an export, or each of a folder, through the protocol's own client.
pub(crate) fn check(exported: &str) -> Result<(), String> {
    let client = node("agui.mjs", &["check", exported])?;
    let checked = client.wait_step("checked", LIMIT)?;
    client.finish(LIMIT)?;
    match checked["refused"] {
        Value::Null => Ok(()),
        _ => Err(format!("the client refuses the log: {checked}")),
    }
}

/// Holds an export to the validator's rules, of which these only warn.
pub(crate) fn validate(file: &str, lowered: &[&str]) -> Result<(), String> {
    let mut command = std::process::Command::new(validator());
    command.args([file, "--no-color", "--group"]);
    command.args(lowered.iter().flat_map(|rule| ["--rule".to_owned(), format!("{rule}=warning")]));
    let output = command.output().map_err(|e| format!("the validator: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the validator refuses: {}", String::from_utf8_lossy(&output.stdout)))
}

/// Rules about what a runner says, not about its order; and those that the validator breaks itself
/// after an id was used twice, because it then forgets what is open.
const OF_RUNNERS: [&str; 11] = [
    "AGUI104", "AGUI204", "AGUI205", "AGUI207", "AGUI302", "AGUI503", "AGUI504", "AGUI101",
    "AGUI102", "AGUI201", "AGUI202",
];

fn validator() -> std::path::PathBuf {
    lockkeeper_tests::clients().join("venv/bin/ag-ui-validate")
}

/// Why the validator cannot run here, if it cannot.
pub(crate) fn needs_validator() -> Option<&'static str> {
    (!validator().exists()).then_some("ag-ui-validate is missing; cargo xtask setup")
}

/// A gateway on the files and the port of one that has ended.
pub(crate) fn again(base: &str, state: Arc<StateDir>) -> Result<Daemon, String> {
    again_as(gateway(), base, state)
}

/// The same with other settings.
pub(crate) fn again_as(
    gateway: Options,
    base: &str,
    state: Arc<StateDir>,
) -> Result<Daemon, String> {
    let address = base.trim_start_matches("http://");
    gateway.env("LOCKKEEPER_API_LISTEN", address).state(state).start()
}

pub(crate) fn port(runner: &Client) -> Result<u64, String> {
    let ready = runner.wait_step("ready", LIMIT)?;
    ready["port"].as_u64().ok_or_else(|| format!("the runner has no port: {ready}"))
}

/// A body of one line is read as JSON, one of several as text.
fn lines(body: &Value) -> Vec<Value> {
    match body {
        Value::String(text) => {
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        }
        one => vec![one.clone()],
    }
}

fn tell(record: &Value) -> String {
    let kind = record["type"].as_str().unwrap_or_default();
    if record["origin"] == "runner" {
        return kind.to_owned();
    }
    let event: Value =
        serde_json::from_str(record["data"].as_str().unwrap_or_default()).unwrap_or_default();
    match event["code"].as_str() {
        Some(code) => format!("+{code}"),
        None => {
            format!("+{kind}({})", event["metadata"]["lockkeeper"]["kind"].as_str().unwrap_or(""))
        }
    }
}
