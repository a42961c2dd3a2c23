#![doc = include_str!("../README.md")]

mod browser;
mod directory;
mod drain;
mod history;
mod settings;
mod sidecar;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    service::daemon::main(&settings::table(), std::env::args_os().skip(1), sidecar::run)
}
