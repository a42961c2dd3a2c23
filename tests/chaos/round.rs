//! One round: a daemon, its workers, an ending, and the audit of what is left.

use std::time::Duration;

use lockkeeper_tests::Ended;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::census::Census;
use testkit::daemon::{Daemon, Options, StateDir};

use crate::fault::{Seen, Truth};
use crate::ledger::{Ledger, read_log};
use crate::session::{Held, Outcome, PATIENCE, Worker, compare};

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every sandbox is deleted and the daemon must be as small as before; then SIGTERM.
    Quiet,
    /// The node is drained and taken back; its sessions must not notice. Then as [`Self::Quiet`].
    Undrained,
    /// SIGTERM with open sessions; the drain's deadline ends them.
    Drain,
    /// A second SIGTERM during a drain without a deadline.
    Force,
    /// SIGKILL; the next daemon finds what is left.
    Killed,
}

impl Ending {
    pub(crate) const ALL: [Self; 5] =
        [Self::Quiet, Self::Undrained, Self::Drain, Self::Force, Self::Killed];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Quiet => "all deleted, then SIGTERM",
            Self::Undrained => "drained, undone, all deleted",
            Self::Drain => "SIGTERM, drain deadline",
            Self::Force => "SIGTERM twice",
            Self::Killed => "daemon SIGKILL",
        }
    }

    /// What the sessions must hear that are open then.
    fn truth(self) -> Truth {
        let ours = |detail| Truth::new("context_cancelled", detail, Seen::Close(1001));
        match self {
            Self::Quiet | Self::Undrained => ours("sandbox_deleted"),
            Self::Drain => ours("node_drain"),
            Self::Force => ours("forced_stop"),
            // Nobody is left to report anything; the sandbox is found by the next daemon.
            Self::Killed => {
                Truth { seen: Seen::Dropped, ..Truth::fact("sandbox ends as node_restart") }
            }
        }
    }

    /// Whether the daemon must be as small again as before, because nothing is left in it.
    fn empties(self) -> bool {
        matches!(self, Self::Quiet | Self::Undrained)
    }

    fn drain_timeout(self) -> &'static str {
        match self {
            Self::Quiet | Self::Undrained | Self::Drain => "1s",
            Self::Force | Self::Killed => "10m",
        }
    }
}

/// What a round is made of.
pub(crate) struct Plan<'a> {
    /// Not yet told where to listen or to keep its state.
    pub(crate) options: Options,
    pub(crate) ending: Ending,
    pub(crate) workers: usize,
    pub(crate) sessions: usize,
    pub(crate) real: bool,
    pub(crate) rng: fastrand::Rng,
    pub(crate) go: &'a (dyn Fn() -> bool + Sync),
}

/// What came of a round.
#[derive(Default)]
pub(crate) struct Result {
    pub(crate) outcomes: Vec<Outcome>,
    /// What is wrong with the round as a whole: lost events, left processes, wrong exits.
    pub(crate) wrong: Vec<String>,
}

impl Result {
    fn check(&mut self, what: std::result::Result<(), String>) {
        self.wrong.extend(what.err());
    }
}

/// Runs a round to its end.
///
/// # Errors
/// When it could not be run at all.
pub(crate) fn run(mut plan: Plan<'_>) -> std::result::Result<Result, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let options = plan.options.clone().state(std::sync::Arc::clone(&state));
    let first =
        options.clone().env("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", plan.ending.drain_timeout());
    let mut daemon = first.start()?;
    let ledger = Ledger::follow(&daemon)?;
    let before = Census::of(daemon.pid());
    let mut result = Result::default();

    let held = work(&mut plan, &daemon, &ledger, &mut result);
    daemon.remember();
    let (held, ends) = end(plan.ending, &mut daemon, held, &before, &mut result);

    // The next daemon on the same state shows what was kept, and clears what was left.
    let mut auditor = options.start()?;
    let log = read_log(&auditor)?;
    result.wrong.extend(ledger.audit(&log));
    for (held, seen) in held.iter().zip(&ends) {
        let wrong = audit_held(plan.ending, held, seen, &log).err();
        let truth = plan.ending.truth();
        result.outcomes.push(Outcome { fault: plan.ending.word(), truth, wrong });
    }
    auditor.signal(Signal::SIGTERM);
    let status = auditor.wait_exit(PATIENCE)?;
    if status.code() != Some(0) {
        result.wrong.push(format!("the next daemon ended with {status}:\n{}", auditor.log()));
    }
    result.check(daemon.assert_nothing_left(PATIENCE));
    result.check(auditor.assert_nothing_left(PATIENCE));
    Ok(result)
}

/// Lets the workers run, and returns the sessions that they leave open.
fn work(plan: &mut Plan<'_>, daemon: &Daemon, ledger: &Ledger, result: &mut Result) -> Vec<Held> {
    let (share, rest) = (plan.sessions / plan.workers, plan.sessions % plan.workers);
    let (go, real) = (plan.go, plan.real);
    let rngs: Vec<_> = (0..plan.workers).map(|_| plan.rng.fork()).collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = rngs
            .into_iter()
            .enumerate()
            .map(|(number, rng)| {
                scope.spawn(move || {
                    let name = format!("w{number}");
                    let mut worker = Worker::new(daemon, ledger, rng, name, real);
                    let outcomes = worker.run(share + usize::from(number < rest), &|| go());
                    (outcomes, worker.hold())
                })
            })
            .collect();
        let mut held = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok((outcomes, last)) => {
                    result.outcomes.extend(outcomes);
                    match last {
                        Ok(last) => held.push(last),
                        Err(e) => result.wrong.push(format!("a last session: {e}")),
                    }
                }
                Err(_) => result.wrong.push("a worker panicked".to_owned()),
            }
        }
        held
    })
}

/// Ends the daemon; returns what the held sessions saw.
fn end(
    ending: Ending,
    daemon: &mut Daemon,
    mut held: Vec<Held>,
    before: &Census,
    result: &mut Result,
) -> (Vec<Held>, Vec<std::result::Result<Ended, String>>) {
    let signals: &[Signal] = match ending {
        Ending::Quiet | Ending::Undrained => &[],
        Ending::Drain => &[Signal::SIGTERM],
        Ending::Force => &[Signal::SIGTERM, Signal::SIGTERM],
        Ending::Killed => &[Signal::SIGKILL],
    };
    if ending == Ending::Undrained {
        result.check(drain_and_undo(daemon, &mut held));
    }
    if ending.empties() {
        for held in &held {
            let path = format!("/v1/sandboxes/{}", held.sandbox);
            result.check(daemon.call("DELETE", &path, None).map(drop));
        }
    }
    for (nth, signal) in signals.iter().enumerate() {
        if nth > 0 {
            // Signals less than a second apart count as one.
            std::thread::sleep(Duration::from_millis(1_200));
        }
        daemon.signal(*signal);
    }
    let ends: Vec<_> = held.iter_mut().map(|held| held.cdp.wait_end(PATIENCE)).collect();
    if ending.empties() {
        result.check(before.wait_until_back(PATIENCE));
        daemon.signal(Signal::SIGTERM);
    }
    let want = match ending {
        Ending::Quiet | Ending::Undrained | Ending::Drain | Ending::Force => Some(0),
        Ending::Killed => None,
    };
    match daemon.wait_exit(PATIENCE) {
        Ok(status) if status.code() == want => {}
        Ok(status) => result.wrong.push(format!(
            "after {:?} the daemon ended with {status}; the end of its log:\n{}",
            ending.word(),
            tail(&daemon.log())
        )),
        Err(e) => result.wrong.push(e),
    }
    (held, ends)
}

/// While the node drains nothing new is taken; afterwards it is again, and what was open has gone on.
fn drain_and_undo(daemon: &Daemon, held: &mut [Held]) -> std::result::Result<(), String> {
    let create = || daemon.call("POST", "/v1/sandboxes", Some(&json!({ "id": "late" })));
    let told = daemon.call("POST", "/v1/node/drain", Some(&json!({ "deadline": "10m" })))?;
    let refused = create()?;
    if !(200..300).contains(&told.status) || refused.status != 503 {
        return Err(format!("a drain was answered {told:?}, and a create then {refused:?}"));
    }
    for held in held {
        held.cdp.command("Browser.getVersion", &json!({}))?;
    }
    let undone = daemon.call("PUT", "/v1/node/status", Some(&json!({ "status": "healthy" })))?;
    let taken = create()?;
    if undone.status != 200 || !(200..300).contains(&taken.status) {
        return Err(format!("the end of a drain was answered {undone:?}, and a create {taken:?}"));
    }
    daemon.call("DELETE", "/v1/sandboxes/late", None).map(drop)
}

fn audit_held(
    ending: Ending,
    held: &Held,
    seen: &std::result::Result<Ended, String>,
    log: &[Value],
) -> std::result::Result<(), String> {
    let seen = seen.as_ref().map_err(Clone::clone)?;
    let of = |kind: &str| {
        let (kind, sandbox) = (kind.to_owned(), held.sandbox.clone());
        log.iter().filter(move |e| e["type"] == *kind && e["sandbox"] == *sandbox)
    };
    if ending == Ending::Killed {
        if *seen != Ended::Dropped {
            return Err(format!("the client of a killed daemon saw {seen:?}"));
        }
        let stopped: Vec<_> = of("sandbox_stopped").collect();
        return match stopped[..] {
            [one] if one["data"]["stop_reason"] == "node_restart" => Ok(()),
            _ => Err(format!("the sandbox of a killed daemon ended as {stopped:?}")),
        };
    }
    let told = of("cdp_disconnect").nth(held.nth);
    let told = told.ok_or_else(|| format!("the end of {} is not in the log", held.sandbox))?;
    compare(ending.truth(), told, Some(seen))
}

/// The end of a log, for a person.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
