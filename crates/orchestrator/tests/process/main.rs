//! The process driver with real processes: real browsers, real signals, real users and groups.
//!
//! The binary plays four parts: the launcher that the driver starts, a daemon that gets killed, a
//! browser that behaves badly, and the tests. A test that needs a right this host does not give is
//! reported as ignored, with the cause.

#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though not in the harness that clippy knows"
)]

mod basic;
mod daemon;
mod fake;
mod faults;
mod limits;
mod procs;
mod runners;
mod starts;
mod stress;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use world::{Host, Need, World};

/// What a test comes to, if it does not panic.
pub(crate) enum Outcome {
    Passed,
    /// This host cannot run it, which only the test itself could find out.
    Skipped(&'static str),
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|arg| arg.to_str()) {
        Some("__launch") => return orchestrator::process::launcher::main(args.into_iter().skip(1)),
        Some("__daemon") => return daemon::main(&args[1..]),
        Some(runners::WORD) => return runners::main(&args[1..]),
        Some(_) | None => {}
    }
    if fake::is_browser(&args) {
        return fake::main();
    }
    let mut options = Arguments::from_args();
    // The tests look at the whole machine: one at a time tells whose a leak is.
    options.test_threads.get_or_insert(1);
    let host = Host::look();
    let mut trials = Vec::new();
    let all = [
        basic::tests(),
        starts::tests(),
        faults::tests(),
        limits::tests(),
        runners::tests(),
        daemon::tests(),
        stress::tests(),
    ];
    for tests in all {
        for (name, need, test) in tests {
            let number = u32::try_from(trials.len()).unwrap_or_default();
            let trial = Trial::ignorable_test(name, move || run(number, test));
            // Known before it runs, so that no runner takes it for passed.
            trials.push(match host.lacks(need) {
                Some(cause) => trial.with_kind(format!("SKIPPED: {cause}")).with_ignored_flag(true),
                None => trial,
            });
        }
    }
    libtest_mimic::run(&options, trials).exit_code()
}

/// A test: gets a world of its own.
pub(crate) type Test = fn(&mut World) -> Outcome;

/// Tests with what they need.
pub(crate) type Tests = Vec<(&'static str, Need, Test)>;

fn run(number: u32, test: Test) -> Result<Completion, Failed> {
    let mut world = World::new(number);
    match test(&mut world) {
        Outcome::Passed => {
            world.assert_clean();
            Ok(Completion::Completed)
        }
        Outcome::Skipped(cause) => {
            eprintln!("SKIPPED: {cause}");
            Ok(Completion::ignored_with(cause))
        }
    }
}
