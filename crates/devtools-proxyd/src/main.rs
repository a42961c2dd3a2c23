#![doc = include_str!("../README.md")]

mod browser;
mod directory;
mod drain;
mod history;
mod settings;
mod sidecar;
mod values;

use std::process::ExitCode;

use service::ExitStatus;
use service::settings::shared::{self, ProcessEnvironment};
use service::settings::{Invocation, load};

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
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
        match Box::pin(sidecar::run(&values)).await {
            Ok(status) => status,
            Err(refused) => {
                refuse(&refused.text, refused.status);
                refused.status
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
