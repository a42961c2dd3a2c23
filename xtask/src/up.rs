//! `cargo xtask up`: the main job, from nothing to a URL that a client can use.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{build, cmd, setup};

/// Where the daemon listens.
const LISTEN: &str = "127.0.0.1:7300";

/// Starts the daemon, creates a first sandbox, prints how to use it, and stays until the daemon ends.
///
/// Signals are passed on to the daemon, and this process waits for it: the daemon has the last word.
///
/// # Errors
/// When a step fails; then nothing is left running.
pub(crate) fn run() -> Result<ExitCode> {
    setup::browsers()?;
    let daemon = build::release(&["lockkeeperd"])?.remove(0);
    println!("==> lockkeeperd on {LISTEN}");
    cmd::release_signals();
    serve(&daemon)
}

fn serve(daemon: &Path) -> Result<ExitCode> {
    let mut child = Command::new(daemon)
        .args(["--api-listen", LISTEN, "--shutdown-drain-timeout", "10s", "--log-format", "text"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("{} did not start", daemon.display()))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    pass_signals_on(pid)?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let base = loop {
        match lines.next() {
            Some(line) => {
                if let Some(base) = line?.strip_prefix("ready ") {
                    break base.trim().to_owned();
                }
            }
            // The daemon has said why on standard error.
            None => return exit_of(&mut child),
        }
    };
    if let Err(e) = welcome(&base) {
        eprintln!("error: {e:#}");
        kill(pid, Signal::SIGTERM)?;
        exit_of(&mut child)?;
        return Ok(ExitCode::FAILURE);
    }
    exit_of(&mut child)
}

/// Passes every interrupt and termination on to the daemon, which counts them.
///
/// The daemon has a process group of its own, so a Ctrl-C reaches it once and only through here,
/// whether a terminal or a program sent it. The thread ends with this process.
fn pass_signals_on(daemon: Pid) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be received")?;
    std::thread::spawn(move || {
        for number in signals.forever() {
            if let Ok(signal) = Signal::try_from(number) {
                let _ = kill(daemon, signal);
            }
        }
    });
    Ok(())
}

fn exit_of(child: &mut Child) -> Result<ExitCode> {
    let status = child.wait().context("the daemon cannot be waited for")?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("the daemon ended with {status}"),
    }
}

fn welcome(base: &str) -> Result<()> {
    println!("creating a first sandbox ...");
    let body = json!({ "id": "first", "ttl": "24h" }).to_string();
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent
        .post(format!("{base}/v1/sandboxes"))
        .header("content-type", "application/json")
        .send(body)
        .context("the first sandbox was not created")?;
    let text = answer.body_mut().read_to_string()?;
    let sandbox: Value = serde_json::from_str(&text).unwrap_or_default();
    if !answer.status().is_success() {
        let message = sandbox["error"]["message"].as_str().unwrap_or(&text);
        bail!("the first sandbox was not created: {message}");
    }
    let field = |name: &str| sandbox[name].as_str().unwrap_or_default();
    let (id, http, ws) = (field("id"), field("cdp_url"), field("ws_url"));
    println!(
        "
Lockkeeper is up. Your first browser, for 24 hours:

  {http}

Playwright
  const browser = await chromium.connectOverCDP('{http}');

Puppeteer
  const browser = await puppeteer.connect({{ browserWSEndpoint: '{ws}' }});

A new browser for the life of one connection
  ws://{LISTEN}/connect

What happens        curl -N {base}/v1/telemetry/stream?replay=all
Another sandbox     curl -X POST {base}/v1/sandboxes -H 'content-type: application/json' -d '{{}}'
End this one        curl -X DELETE {base}/v1/sandboxes/{id}

Ctrl-C drains for at most 10 s and ends; a second Ctrl-C forces.
"
    );
    Ok(())
}
