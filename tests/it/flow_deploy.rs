//! The command lines that are deployed, read from the files that deploy them and run as they are.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lockkeeper_api::TimeSpan;
use lockkeeper_tests::{Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::{Options, StateDir};

crate::facts! {
    the_units_command_line_serves_tells_the_supervisor_and_ends_in_its_time,
    the_images_command_line_serves_with_a_token_and_refuses_without,
    what_images_copy_is_a_workspace_that_cargo_reads,
}

const EXIT: Duration = Duration::from_secs(20);

/// A file of `deploy/`.
fn deployed(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    // A backslash at the end of a line joins it with the next.
    Ok(text.replace("\\\n", " "))
}

/// The values of every `name=value` line of a unit.
fn values<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix('=');
    unit.lines().filter_map(value).map(str::trim).collect()
}

/// A daemon with the arguments and the environment that are deployed. Only what belongs to the
/// machine is replaced: where the program is, its port, and its folder.
fn as_deployed(args: &[String], env: &BTreeMap<String, String>) -> Options {
    let mut options = daemon();
    for arg in args {
        options = options.arg(arg);
    }
    for (name, value) in env {
        let value = match name.as_str() {
            "LOCKKEEPER_STATE_DIR" => continue,
            "LOCKKEEPER_API_LISTEN" => {
                value.rsplit_once(':').map_or("", |(host, _)| host).to_owned() + ":0"
            }
            _ => value.clone(),
        };
        options = options.env(name, value);
    }
    options
}

fn the_units_command_line_serves_tells_the_supervisor_and_ends_in_its_time() -> Outcome {
    let unit = deployed("lockkeeperd.service")?;
    let start = values(&unit, "ExecStart");
    must!(start.len() == 1, "the unit starts {start:?}");
    let words: Vec<String> = start[0].split_whitespace().map(str::to_owned).collect();
    must!(words[0].ends_with("/lockkeeperd"), "the unit starts {words:?}");
    let pairs = values(&unit, "Environment").into_iter();
    let env: BTreeMap<String, String> = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    must!(values(&unit, "Type") == ["notify"], "the unit does not wait for READY");

    let state = StateDir::create().map_err(|e| e.to_string())?;
    let socket = state.path().join("notify");
    let supervisor = UnixDatagram::bind(&socket).map_err(|e| e.to_string())?;
    supervisor.set_read_timeout(Some(EXIT)).map_err(|e| e.to_string())?;
    let mut daemon = as_deployed(&words[1..], &env)
        .env("NOTIFY_SOCKET", socket.to_string_lossy())
        .state(state)
        .start()?;
    wait_told(&supervisor, "READY=1")?;
    daemon.create(&json!({ "id": "served" }))?;
    daemon.call("DELETE", "/v1/sandboxes/served", None)?;
    daemon.signal(Signal::SIGTERM);
    wait_told(&supervisor, "STOPPING=1")?;
    let status = daemon.wait_exit(EXIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());

    // A drain extends the stop time while it goes on; what follows it has to fit.
    let log = daemon.log();
    let (_, budget) = log.split_once("a shutdown takes ").ok_or("no budget in the log")?;
    let part = |name: &str| -> Result<Duration, String> {
        let (_, rest) = budget.split_once(name).ok_or(format!("no {name:?} in {budget}"))?;
        let word = rest.split([',', ')']).next().unwrap_or_default().replace(' ', "");
        word.parse().map(TimeSpan::duration).map_err(|e| format!("{name}{word}: {e}"))
    };
    let needed = part("force ")? + part("close ")? + part("spare ")?;
    let granted: TimeSpan = values(&unit, "TimeoutStopSec")
        .first()
        .and_then(|text| text.parse().ok())
        .ok_or("the unit does not say how long a stop may take")?;
    must!(granted.duration() > needed, "a stop is granted {granted}, and needs {needed:?}");
    daemon.assert_nothing_left(Duration::from_secs(2))
}

/// Reads what the supervisor is told until it is told this.
fn wait_told(supervisor: &UnixDatagram, line: &str) -> Outcome {
    let until = Instant::now() + EXIT;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while Instant::now() < until {
        let Ok(n) = supervisor.recv(&mut buffer) else { break };
        let told = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if told.lines().any(|found| found == line) {
            return Ok(());
        }
        seen.push_str(&told);
    }
    Err(format!("the supervisor was never told {line}, only:\n{seen}"))
}

fn the_images_command_line_serves_with_a_token_and_refuses_without() -> Outcome {
    let file = deployed("Containerfile.lockkeeperd")?;
    let instructions = |name: &str| -> Vec<&str> {
        file.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect()
    };
    let start: Vec<String> = instructions("ENTRYPOINT")
        .first()
        .and_then(|list| serde_json::from_str(list).ok())
        .ok_or("the image has no ENTRYPOINT in the form of a list")?;
    must!(start[0].ends_with("/lockkeeperd"), "the image starts {start:?}");
    let copied = instructions("COPY --from=build");
    must!(copied.iter().any(|line| line.ends_with(&start[0])), "{start:?} is not in {copied:?}");
    let pairs = instructions("ENV").into_iter().flat_map(str::split_whitespace);
    let env: BTreeMap<String, String> = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let volumes = instructions("VOLUME");
    let folder = env.get("LOCKKEEPER_STATE_DIR").map(String::as_str).unwrap_or_default();
    must!(volumes == [folder], "{folder:?} is not kept: the volumes are {volumes:?}");

    let (status, log) = as_deployed(&start[1..], &env).run_to_end(EXIT)?;
    must!(status.code() == Some(64), "without a token it ended with {status}:\n{log}");
    let mut daemon =
        as_deployed(&start[1..], &env).env("LOCKKEEPER_TOKEN", "a-token-of-the-tests").start()?;
    let made = daemon.create(&json!({}))?;
    must!(made["state"] == "running", "{made}");
    Ok(())
}

/// A member of the workspace that an image does not copy breaks its build long after the member was
/// added.
fn what_images_copy_is_a_workspace_that_cargo_reads() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = std::fs::read_dir(root.join("deploy")).map_err(|e| e.to_string())?;
    let names: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("Containerfile."))
        .collect();
    must!(names.len() >= 2, "the images are {names:?}");
    for name in names {
        let file = deployed(&name)?;
        let there = tempfile::tempdir().map_err(|e| e.to_string())?;
        for copy in file.lines().filter_map(|line| line.strip_prefix("COPY ")) {
            let words: Vec<&str> = copy.split_whitespace().collect();
            let (Some((to, from)), false) = (words.split_last(), copy.starts_with("--")) else {
                continue;
            };
            let to = there.path().join(to);
            let folder =
                if from.len() > 1 || from[0].ends_with(".toml") { Some(&*to) } else { to.parent() };
            std::fs::create_dir_all(folder.unwrap_or(there.path())).map_err(|e| e.to_string())?;
            let copied = Command::new("cp")
                .arg("-r")
                .args(from.iter().map(|from| root.join(from)))
                .arg(&to)
                .status()
                .map_err(|e| e.to_string())?;
            must!(copied.success(), "{name}: {copy} copies what does not exist");
        }
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let read = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .current_dir(there.path())
            .output()
            .map_err(|e| format!("{cargo}: {e}"))?;
        must!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
    }
    Ok(())
}
