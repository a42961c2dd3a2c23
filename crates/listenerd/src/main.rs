#![doc = include_str!("../README.md")]

mod drain;
mod gateway;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    service::daemon::main(&settings::table(), std::env::args_os().skip(1), gateway::run)
}
