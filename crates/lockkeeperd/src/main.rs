//! The Lockkeeper node daemon: reads the settings, builds the parts, hands them to the shell.

mod directory;
mod drain;
mod event_log;
mod node;
mod ports;
mod runners;
mod settings;
mod subdomains;

use std::process::ExitCode;

/// What the first argument of the launcher mode is: see `orchestrator::process::launcher`.
const LAUNCH: &str = "__launch";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|first| first == LAUNCH) {
        return orchestrator::process::launcher::main(args.skip(1));
    }
    service::daemon::main(&settings::table(), args, node::run)
}
