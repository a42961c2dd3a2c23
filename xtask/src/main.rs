//! Automation for the workspace: `cargo xtask --help`.

mod bench;
mod build;
mod chaos;
mod checks;
mod cmd;
mod conformance;
mod demo;
mod fuzz;
mod progress;
mod setup;
mod tidy;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation for the workspace.", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests and the demo need: Chromium, and the pinned client packages
    Setup,
    /// Builds the release binaries
    Build,
    /// Sets up, builds, starts the daemon with a first sandbox, and prints how to use it
    Up,
    /// A tour that checks itself: a browser, a client, a crash, a drain, and the events of it all
    Demo,
    /// Measures, against a baseline in the same run
    Bench(bench::Arguments),
    /// Injects faults from a seed into real daemons and compares what they report with what was done
    ///
    /// --seed N --sessions N --minutes M --profile quick|full
    Chaos {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compares a protocol through the sidecar with the same without it, case by case
    Conformance(conformance::Arguments),
    /// Searches for inputs that break a parser (needs a nightly compiler)
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// One target: a folder of fuzz/corpus
        target: Option<String>,
    },
    /// Tries every order of the steps in which threads can race (loom)
    Model,
    /// Sets up, builds, and runs every test; arguments go to the test runner
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs everything a change has to pass
    Ci,
    /// Checks the rules that a program can check
    Tidy,
}

fn main() -> ExitCode {
    let outcome = cmd::catch_signals().and_then(|()| run(Arguments::parse().task));
    match outcome {
        Ok(code) => code,
        Err(_) if cmd::interrupted() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup::all()?,
        Task::Build => drop(build::release(build::BINARIES)?),
        Task::Up => return up::run(),
        Task::Demo => return demo::run(),
        Task::Bench(arguments) => bench::run(&arguments)?,
        Task::Chaos { arguments } => chaos::run(&arguments)?,
        Task::Conformance(arguments) => conformance::run(&arguments)?,
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref())?,
        Task::Model => checks::model()?,
        Task::Test { arguments } => checks::test(&arguments)?,
        Task::Ci => checks::ci()?,
        Task::Tidy => tidy::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
