//! End-to-end tests. Each starts a real daemon, most of them with real browsers, and checks at the end that
//! nothing is left, neither of the daemon nor in the test process itself. The harness is `libtest-mimic`, so that a test which cannot run on a machine is
//! shown as ignored with its cause instead of passing.

mod agents;
mod counted;
mod fault_agents;
mod fault_appends;
mod fault_browser;
mod fault_client;
mod fault_daemon;
mod fault_gateway;
mod fault_limits;
mod fault_shutdown;
mod fault_snapshots;
mod flow_access;
mod flow_addressing;
mod flow_agents;
mod flow_bucket;
mod flow_cli;
mod flow_clients;
mod flow_commands;
mod flow_deploy;
mod flow_drain;
mod flow_ending;
mod flow_events;
mod flow_events_server;
mod flow_folds;
mod flow_grpc;
mod flow_histories;
mod flow_park;
mod flow_pool;
mod flow_readers;
mod flow_rest;
mod flow_restart;
mod flow_runner;
mod flow_security;
mod flow_snapshots;
mod flow_templates;
mod flow_tls;
mod flow_tokens;
mod flow_traces;
mod flow_words;
mod login;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use lockkeeper_tests::{NatsServer, Outcome, S3Server};

/// One test: a fact and the function that shows it.
pub(crate) type Fact = (&'static str, fn() -> Outcome);

/// Names functions as facts, so that the name in the report is the name in the code.
#[macro_export]
macro_rules! facts {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const FACTS: &[$crate::Fact] = &[$((stringify!($name), $name)),+];
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let groups: &[(&str, &[Fact])] = &[
        ("fault_agents", fault_agents::FACTS),
        ("fault_appends", fault_appends::FACTS),
        ("fault_browser", fault_browser::FACTS),
        ("fault_client", fault_client::FACTS),
        ("fault_daemon", fault_daemon::FACTS),
        ("fault_gateway", fault_gateway::FACTS),
        ("fault_limits", fault_limits::FACTS),
        ("fault_shutdown", fault_shutdown::FACTS),
        ("fault_snapshots", fault_snapshots::FACTS),
        ("flow_access", flow_access::FACTS),
        ("flow_addressing", flow_addressing::FACTS),
        ("flow_agents", flow_agents::FACTS),
        ("flow_cli", flow_cli::FACTS),
        ("flow_clients", flow_clients::FACTS),
        ("flow_commands", flow_commands::FACTS),
        ("flow_deploy", flow_deploy::FACTS),
        ("flow_drain", flow_drain::FACTS),
        ("flow_ending", flow_ending::FACTS),
        ("flow_events", flow_events::FACTS),
        ("flow_folds", flow_folds::FACTS),
        ("flow_grpc", flow_grpc::FACTS),
        ("flow_park", flow_park::FACTS),
        ("flow_pool", flow_pool::FACTS),
        ("flow_readers", flow_readers::FACTS),
        ("flow_rest", flow_rest::FACTS),
        ("flow_restart", flow_restart::FACTS),
        ("flow_runner", flow_runner::FACTS),
        ("flow_snapshots", flow_snapshots::FACTS),
        ("flow_security", flow_security::FACTS),
        ("flow_templates", flow_templates::FACTS),
        ("flow_tls", flow_tls::FACTS),
        ("flow_tokens", flow_tokens::FACTS),
        ("flow_traces", flow_traces::FACTS),
        ("flow_words", flow_words::FACTS),
    ];
    // What a machine may lack; the cause is shown beside the name.
    let conditional: [(&str, Option<&str>, &[Fact]); _] = [
        ("fault_client", needs_root().or_else(needs_ip), fault_client::AS_ROOT),
        ("fault_gateway", needs_root(), fault_gateway::AS_ROOT),
        ("fault_limits", needs_root(), fault_limits::AS_ROOT),
        ("fault_shutdown", needs_root(), fault_shutdown::AS_ROOT),
        ("fault_snapshots", needs_root(), fault_snapshots::AS_ROOT),
        ("flow_agents", agents::needs_validator(), flow_agents::VALIDATED),
        ("flow_histories", agents::needs_validator(), flow_histories::FACTS),
        ("flow_bucket", S3Server::missing(), flow_bucket::FACTS),
        ("flow_events", needs_root(), flow_events::AS_ROOT),
        ("flow_readers", flow_readers::missing(), flow_readers::WITH_PROMETHEUS),
        ("flow_events_server", NatsServer::missing(), flow_events_server::FACTS),
    ];
    let always = groups.iter().map(|(group, facts)| (*group, None, *facts));
    let alone = counted::one_at_a_time(&arguments);
    let trials = always
        .chain(conditional)
        .flat_map(|(group, missing, facts)| {
            facts.iter().map(move |(name, run)| {
                counted::trial(format!("{group}::{name}"), *run, alone)
                    .with_kind(missing.unwrap_or_default())
                    .with_ignored_flag(missing.is_some())
            })
        })
        .collect();
    match counted::run(arguments, trials) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(left) => {
            eprintln!("error: {left}");
            ExitCode::FAILURE
        }
    }
}

fn needs_root() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("needs root")
}

fn needs_ip() -> Option<&'static str> {
    let found = std::process::Command::new("ip").arg("netns").output();
    (!found.is_ok_and(|output| output.status.success())).then_some("needs ip, of iproute2")
}
