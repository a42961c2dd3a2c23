//! `bench relay`: what a relayed message costs, against a blind copy of the bytes and the proxies
//! that Debian offers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Bench;
use super::figure::{Figure, Goal};
use super::run::Run;
use crate::{progress, setup};

/// This bench.
pub(super) const BENCH: Bench = Bench {
    name: "relay",
    about: "wsproxy, HAProxy and nginx on one core, against a blind copy with buffers of 64 KiB",
    take,
};

/// Payload bytes, connections, and the most processor time a message may cost, as a ratio.
const CASES: [(usize, usize, f64); 4] =
    [(128, 64, 1.0), (4096, 64, 1.0), (1 << 20, 1, 0.55), (1 << 20, 64, 0.55)];

/// Counted rounds: what the goals are stated for.
const ROUNDS: usize = 15;
/// Of one proxy in one round.
const WINDOW_MILLIS: usize = 600;
/// Open at once, for the memory of an idle one.
const IDLE_SESSIONS: usize = 2000;
/// Bytes of the message that each of them has carried.
const IDLE_MESSAGE: usize = 1 << 20;

/// What all others are compared with.
const BASELINE: &str = "copy";

/// One proxy in one round, as the load generator says it.
#[derive(Deserialize)]
struct Round {
    messages: f64,
    elapsed_us: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Deserialize)]
struct Idle {
    bytes_a_session: f64,
}

#[derive(Deserialize)]
struct Ending {
    close_p50: f64,
    close_p99: f64,
    event_p50: f64,
    event_p99: f64,
}

/// What is read off a round.
type Reading = fn(&Round) -> f64;
const METRICS: [(&str, &str, Reading); 4] = [
    ("CPU per message", "us", |round| round.cpu_us / round.messages),
    ("rate", "messages/s", |round| round.messages / round.elapsed_us * 1e6),
    ("p50", "us", |round| round.p50_us),
    ("p99", "us", |round| round.p99_us),
];

fn take(run: &Run) -> Result<Vec<Figure>> {
    let program = run.bench_binary("wsproxy", "relay_load")?;
    let mut peers = vec!["relay".to_owned(), BASELINE.to_owned()];
    peers.extend(setup::proxies()?.iter().map(|(name, path)| format!("{name}={}", path.display())));
    let mut figures = Vec::new();
    for (size, connections, goal) in CASES {
        progress::note(&format!("{} x {connections}", bytes(size)));
        let mut load = Load::start(&program, size, &peers)?;
        load_case(run, &mut load, (size, connections, goal), &mut figures)?;
    }
    let mut load = Load::start(&program, IDLE_MESSAGE, &peers)?;
    let sessions = run.pick(IDLE_SESSIONS, 100);
    let mut held = |name: &str| -> Result<f64> {
        let idle: Idle = load.ask(&format!("idle {name} {sessions}"))?;
        Ok(idle.bytes_a_session / 1024.0)
    };
    let baseline = held(BASELINE)?;
    for name in names(&peers).filter(|name| *name != BASELINE) {
        let case = format!("{name}, {sessions} idle after 1 MiB");
        let figure = run.figure(case, "memory per session", "KiB", held(name)?).against(baseline);
        figures.push(if name == "relay" { figure.with_goal(Goal::AtMost(3.0)) } else { figure });
    }
    endings(run, &mut figures)?;
    Ok(figures)
}

/// From the last fact about a browser's end to the client's Close, and to the event.
fn endings(run: &Run, figures: &mut Vec<Figure>) -> Result<()> {
    let kills = run.pick("200", "20");
    let said = run.sample(|| run.cargo_bench("devtoolsproxy", "ending", &[kills]))?;
    let said = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let ending: Ending = serde_json::from_str(said)
        .with_context(|| format!("the bench of endings said {said:?}"))?;
    let case = |to: &str| format!("{kills} kills, both facts known to {to}");
    figures.extend([
        run.figure(case("the Close"), "p50", "ms", ending.close_p50),
        run.figure(case("the Close"), "p99", "ms", ending.close_p99).with_goal(Goal::AtMost(5.0)),
        run.figure(case("the event"), "p50", "ms", ending.event_p50),
        run.figure(case("the event"), "p99", "ms", ending.event_p99).with_goal(Goal::AtMost(10.0)),
    ]);
    Ok(())
}

/// The names that stand before the paths.
fn names(peers: &[String]) -> impl Iterator<Item = &str> {
    peers.iter().map(|peer| peer.split_once('=').map_or(peer.as_str(), |(name, _)| name))
}

/// Rounds of all proxies, in turn; which goes first changes from round to round.
fn load_case(
    run: &Run,
    load: &mut Load,
    (size, connections, goal): (usize, usize, f64),
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let mut names: Vec<String> = names(&load.peers).map(str::to_owned).collect();
    let millis = run.pick(WINDOW_MILLIS, 200);
    let mut round = |names: &[String]| -> Result<BTreeMap<String, Round>> {
        names
            .iter()
            .map(|name| {
                Ok((name.clone(), load.ask(&format!("round {name} {connections} {millis}"))?))
            })
            .collect()
    };
    // The first round only warms up.
    round(&names)?;
    let mut rounds = Vec::new();
    for _ in 0..run.pick(ROUNDS, 3) {
        names.rotate_left(1);
        rounds.push(run.sample(|| round(&names))?);
    }
    names.sort_by_key(|name| name != "relay");
    for name in names.iter().filter(|name| *name != BASELINE) {
        for (metric, unit, reading) in METRICS {
            let of =
                |who: &str| rounds.iter().map(|round| reading(&round[who])).collect::<Vec<_>>();
            let case = format!("{name}, {} x {connections}", bytes(size));
            let figure =
                run.figure(case, metric, unit, 0.0).against_rounds(&of(name), &of(BASELINE));
            let has_goal = name == "relay" && metric == METRICS[0].0;
            figures.push(if has_goal { figure.with_goal(Goal::RatioAtMost(goal)) } else { figure });
        }
    }
    Ok(())
}

fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// The load generator, with the proxies it has started. All of them end with this value.
struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    peers: Vec<String>,
    /// Where the proxies' configurations are.
    _folder: tempfile::TempDir,
}

impl Load {
    fn start(program: &Path, size: usize, peers: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-relay-").tempdir()?;
        let mut child = Command::new(program)
            .args(["drive", &size.to_string()])
            .args(peers)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} did not start", program.display()))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("piped")?);
        let mut load = Self { child, stdin, stdout, peers: peers.to_vec(), _folder: folder };
        match load.line()?.as_str() {
            "ready" => Ok(load),
            other => bail!("the load generator said {other:?} and not that it is ready"),
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let stdin = self.stdin.as_mut().context("piped")?;
        writeln!(stdin, "{what}").context("the load generator has ended, see above")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("asked {what:?}, it said {line:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the load generator has ended; its own message is above");
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It ends with its input; one that is stuck would keep us for ever.
        drop(self.stdin.take());
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
