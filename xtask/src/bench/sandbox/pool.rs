//! Creates that are served from the pool.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options, StateDir};

use super::raw::Raw;
use super::{Figure, Goal, Run, delete};
use crate::bench::stats::quantile;
use crate::{setup, tools};

/// What waits in the pool.
pub(super) const FLAVOUR: &str = "headless-shell";

/// How many wait, and are created in one sample.
const SIZE: usize = 10;

/// Samples of [`SIZE`] creates: 200 creates give a p99 that does not hang on one of them.
const SAMPLES: usize = 20;

/// Rounds of the client's steps, ours and raw in turn.
const ROUNDS: usize = 30;

/// How long the pool may take to be full again.
const FILLED: Duration = Duration::from_secs(60);

/// Creates alone, one after the other and at once; then with a client and its page.
pub(super) fn take(run: &Run, binary: &Path, command: &[String]) -> Result<Vec<Figure>> {
    setup::client_packages()?;
    let daemon = start(binary)?;
    let (mut single, mut parallel) = (Vec::new(), Vec::new());
    for _ in 0..run.pick(SAMPLES, 2) {
        single.extend(run.sample(|| one_by_one(&daemon))?);
        parallel.extend(run.sample(|| at_once(&daemon))?);
    }
    let of = |case: &str, metric, times: &[f64], q, goal| {
        run.figure(case, metric, "ms", quantile(times, q)).with_goal(Goal::AtMost(goal))
    };
    let (one, many) = ("create from the pool", "10 creates from the pool at once");
    Ok(vec![
        of(one, "p50", &single, 0.5, 5.0),
        of(one, "p99", &single, 0.99, 20.0),
        of(many, "p95", &parallel, 0.95, 100.0),
        with_client(run, &daemon, command)?,
    ])
}

/// A daemon whose pool fills.
fn start(binary: &Path) -> Result<Daemon> {
    let state = StateDir::create()?;
    let file = state.path().join("settings.toml");
    std::fs::write(&file, format!("[templates.fast]\nflavour = '{FLAVOUR}'\npool = {SIZE}\n"))?;
    let options = Options::new(binary).arg(format!("--config={}", file.display())).state(state);
    options.env("LOCKKEEPER_MAX_SANDBOXES", "40").start().map_err(|e| anyhow!(e))
}

/// Waits until the pool is full.
fn filled(daemon: &Daemon) -> Result<()> {
    let until = Instant::now() + FILLED;
    loop {
        let node = daemon.call("GET", "/v1/node", None).map_err(|e| anyhow!(e))?;
        let stock = &node.body["pool"]["fast"];
        // One that was deleted still ends for a moment, and would be in the way.
        if stock["idle"] == SIZE && node.body["capacity"]["used"] == SIZE {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the pool is not full: {stock}; {}", node.body);
        thread::sleep(Duration::from_millis(20));
    }
}

/// One create, in milliseconds, and what it made.
fn create(daemon: &Daemon) -> Result<(f64, Value)> {
    let body = json!({ "template": "fast", "ttl": "1m" });
    let from = Instant::now();
    let answer = daemon.call("POST", "/v1/sandboxes", Some(&body)).map_err(|e| anyhow!(e))?;
    let took = from.elapsed().as_secs_f64() * 1e3;
    ensure!(answer.body["warm"] == true, "it was not from the pool: {}", answer.body);
    Ok((took, answer.body))
}

/// As many creates as the pool has, one after the other.
fn one_by_one(daemon: &Daemon) -> Result<Vec<f64>> {
    filled(daemon)?;
    let made = (0..SIZE).map(|_| create(daemon)).collect::<Result<Vec<_>>>()?;
    gone(daemon, made)
}

/// The same, all at the same moment.
fn at_once(daemon: &Daemon) -> Result<Vec<f64>> {
    filled(daemon)?;
    let start = Barrier::new(SIZE);
    let made = thread::scope(|scope| {
        let create = || {
            start.wait();
            create(daemon)
        };
        let threads: Vec<_> = (0..SIZE).map(|_| scope.spawn(create)).collect();
        let ended = threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("a create panicked")));
        ended.map(|made| made.and_then(|made| made)).collect::<Result<Vec<_>>>()
    })?;
    gone(daemon, made)
}

fn gone(daemon: &Daemon, made: Vec<(f64, Value)>) -> Result<Vec<f64>> {
    made.iter().try_for_each(|(_, sandbox)| delete(daemon, sandbox))?;
    Ok(made.into_iter().map(|(took, _)| took).collect())
}

/// Create, Playwright's connect, goto of a local page, delete; against the client's steps alone with
/// a raw browser that runs all the time.
fn with_client(run: &Run, daemon: &Daemon, command: &[String]) -> Result<Figure> {
    let raw = Raw::start(command)?;
    let mut client = Client::start()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round warms both and does not count.
    for round in 0..=run.pick(ROUNDS, 3) {
        let (our, their) = run.sample(|| {
            filled(daemon)?;
            let their = client.drive(raw.url())?;
            let from = Instant::now();
            let (_, sandbox) = create(daemon)?;
            client.drive(sandbox["ws_url"].as_str().context("no ws_url")?)?;
            delete(daemon, &sandbox)?;
            Ok((from.elapsed().as_secs_f64() * 1e3, their))
        })?;
        if round > 0 {
            ours.push(our);
            theirs.push(their);
        }
    }
    raw.end()?;
    let case = "create from the pool, Playwright's connect and goto, delete";
    let figure = run.figure(case, "p50", "ms", 0.0).against_rounds(&ours, &theirs);
    Ok(figure.with_goal(Goal::RatioAtMost(1.15)))
}

/// A Playwright that waits for endpoints.
struct Client {
    child: Child,
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start() -> Result<Self> {
        let mut child = Command::new(tools::node()?)
            .arg("steps.mjs")
            .current_dir(tools::clients_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("piped")?;
        let said = BufReader::new(child.stdout.take().context("piped")?).lines();
        let mut client = Self { child, stdin, said };
        client.hear("ready")?;
        Ok(client)
    }

    /// Connects to this endpoint, opens the page and disconnects; in milliseconds.
    fn drive(&mut self, endpoint: &str) -> Result<f64> {
        let from = Instant::now();
        writeln!(self.stdin, "{endpoint}")?;
        self.hear("done")?;
        Ok(from.elapsed().as_secs_f64() * 1e3)
    }

    fn hear(&mut self, step: &str) -> Result<()> {
        let line = self.said.next().context("Playwright ended; see its message above")??;
        let said: Value = serde_json::from_str(&line)?;
        if said["step"] != step {
            bail!("Playwright was to say {step} and said {line}");
        }
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
