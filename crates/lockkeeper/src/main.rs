#![doc = include_str!("../README.md")]

mod args;
mod client;
mod doctor;
mod events;
mod failure;
mod nodes;
mod output;
mod progress;
mod sandboxes;
mod show;
mod snapshots;
mod sse;
mod trust;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::client::Node;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes, and print to standard output.
            let _ = error.print();
            let mistake = error.use_stderr();
            return ExitCode::from(if mistake { failure::USAGE } else { 0 });
        }
    };
    let json = cli.connection.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_closed_pipe() {
                failure.tell(json);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let mut output = Output::new(cli.connection.json);
    let waits = std::io::stderr().is_terminal();
    let connection = &cli.connection;
    let connect = || Node::new(&connection.url, connection.token()?, &connection.trust());
    match cli.command {
        Command::Create(create) => sandboxes::create(&connect()?, &mut output, *create, waits),
        Command::Ls(list) => sandboxes::list(&connect()?, &mut output, &list),
        Command::Get { id, full } => sandboxes::get(&connect()?, &mut output, &id, full),
        Command::Rm(remove) => sandboxes::remove(&connect()?, &mut output, &remove, waits),
        Command::Pause(pause) => sandboxes::pause(&connect()?, &mut output, &pause, waits),
        Command::Resume(resume) => sandboxes::resume(&connect()?, &mut output, &resume, waits),
        Command::Checkpoint(one) => snapshots::save(&connect()?, &mut output, &one, waits),
        Command::Snapshots(what) => snapshots::run(&connect()?, &mut output, what.command),
        Command::Events(events) => events::follow(&connect()?, &mut output, &events),
        Command::Info => nodes::info(&connect()?, &mut output),
        Command::Drain(drain) => nodes::drain(&connect()?, &mut output, &drain, waits),
        Command::Undrain => nodes::undrain(&connect()?, &mut output),
        Command::Doctor(doctor) => doctor::run(&connect()?, &mut output, &doctor, waits),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lockkeeper", &mut script);
            output.raw(&script)
        }
    }
}
