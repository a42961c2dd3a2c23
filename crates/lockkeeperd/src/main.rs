//! The Lockkeeper node daemon: reads the settings, builds the parts, hands them to the shell.

mod directory;
mod drain;
mod event_log;
mod node;
mod ports;
mod refused;
mod settings;
mod subdomains;

use std::process::ExitCode;

use service::ExitStatus;
use service::settings::shared::{self, ProcessEnvironment};
use service::settings::{Invocation, load};

/// What the first argument of the launcher mode is: see `orchestrator::process::launcher`.
const LAUNCH: &str = "__launch";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|first| first == LAUNCH) {
        return orchestrator::process::launcher::main(args.skip(1));
    }
    let values = match load(&settings::table(), args, &ProcessEnvironment) {
        Ok(Invocation::Run(values)) => values,
        Ok(Invocation::Print(text)) => {
            service::say(text);
            return ExitCode::SUCCESS;
        }
        Err(mistakes) => return refuse(&mistakes, mistakes.exit_status()),
    };
    if let Err(error) = shared::set_up_logs(&values) {
        return refuse(&error, ExitStatus::Settings);
    }
    let outcome = service::run(async {
        match node::run(&values).await {
            Ok(status) => status,
            Err(refused) => {
                refuse(&refused, refused.exit_status());
                refused.exit_status()
            }
        }
    });
    outcome.into()
}

/// One line for a person, whatever the log's format and filter are.
fn refuse(why: &dyn std::fmt::Display, status: ExitStatus) -> ExitCode {
    eprintln!("error: {why}");
    status.into()
}
