//! Scenes: faults of what stands around the daemon, each with daemons of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use lockkeeper_tests::NatsServer;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::Daemon;

use crate::fault::Truth;
use crate::round;
use crate::session::{Outcome, PATIENCE};

mod disk;
mod memory;
mod runner;
mod server;
mod sidecar;

/// One scene.
pub(crate) struct Scene {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What the machine lacks for it.
    pub(crate) missing: fn() -> Option<&'static str>,
    /// Plays it. An error means that it could not go on.
    pub(crate) play: fn(&mut Stage<'_>) -> Result<(), String>,
}

/// All of them.
pub(crate) const ALL: &[Scene] = &[
    Scene { name: "sidecar", missing: || None, play: sidecar::a_rotated_log_cuts_nobody },
    Scene {
        name: "runners",
        missing: runner::missing,
        play: runner::runners_that_fail_lose_no_event,
    },
    Scene {
        name: "event server",
        missing: NatsServer::missing,
        play: server::a_restarted_event_server_loses_nothing_acknowledged,
    },
    Scene {
        name: "full disk",
        missing: needs_root,
        play: disk::a_full_disk_loses_nothing_acknowledged,
    },
    Scene {
        name: "Chromium's memory",
        missing: memory::missing,
        play: memory::a_greedy_page_ends_as_out_of_memory,
    },
];

/// What a scene is given, and where it says what it saw.
pub(crate) struct Stage<'a> {
    /// The program that stands in for a browser.
    pub(crate) scripted: &'a Path,
    pub(crate) rng: fastrand::Rng,
    pub(crate) result: round::Result,
}

impl Stage<'_> {
    /// Says what came of one fault.
    pub(crate) fn tell(&mut self, fault: &'static str, truth: Truth, came: Result<(), String>) {
        self.result.outcomes.push(Outcome { fault, truth, wrong: came.err() });
    }

    /// Ends a daemon in order and looks for what it left.
    pub(crate) fn end(&mut self, mut daemon: Daemon) -> Result<(), String> {
        daemon.remember();
        daemon.signal(Signal::SIGTERM);
        let status = daemon.wait_exit(PATIENCE)?;
        if status.code() != Some(0) {
            let log = daemon.log();
            self.result.wrong.push(format!("a daemon ended with {status}:\n{log}"));
        }
        self.result.wrong.extend(daemon.assert_nothing_left(PATIENCE).err());
        Ok(())
    }
}

/// Plays one.
pub(crate) fn play(scene: &Scene, scripted: &Path, rng: fastrand::Rng) -> round::Result {
    let mut stage = Stage { scripted, rng, result: round::Result::default() };
    if let Err(e) = (scene.play)(&mut stage) {
        stage.result.wrong.push(format!("scene {}: {e}", scene.name));
    }
    stage.result
}

fn needs_root() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("needs root")
}

/// Waits until it holds; an error is the last that was seen.
fn wait_until(
    what: &str,
    mut holds: impl FnMut() -> Result<Option<Value>, String>,
) -> Result<Value, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = holds()? {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(format!("not in time: {what}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Events that were posted, by the number in them, with the offset each was acknowledged with.
#[derive(Default)]
struct Acknowledged(Vec<(u64, u64)>);

impl Acknowledged {
    /// Posts one; `false` if it was refused.
    fn post(&mut self, daemon: &Daemon, number: u64, bytes: usize) -> Result<bool, String> {
        let event = json!({
            "type": "test_event", "category": "system",
            "data": { "number": number, "filler": "x".repeat(bytes) },
        });
        let answer = daemon.call("POST", "/v1/telemetry/events", Some(&event))?;
        match (answer.status, answer.body["offset"].as_u64()) {
            (200..=299, Some(offset)) => self.0.push((number, offset)),
            (503, _) => return Ok(false),
            _ => return Err(format!("an event was answered {answer:?}")),
        }
        Ok(true)
    }

    /// Each must be in the log once, where it was acknowledged.
    fn audit(&self, log: &[Value]) -> Result<(), String> {
        for (number, offset) in &self.0 {
            let of_it = |e: &&Value| e["type"] == "test_event" && e["data"]["number"] == *number;
            let found: Vec<_> = log.iter().filter(of_it).map(|e| e["offset"].clone()).collect();
            if found != [json!(offset)] {
                return Err(format!(
                    "event {number} of offset {offset} is in the log at {found:?}"
                ));
            }
        }
        Ok(())
    }
}
