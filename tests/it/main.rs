//! End-to-end tests. Each starts a real daemon, most of them with real browsers, and checks at the end that
//! nothing is left. The harness is `libtest-mimic`, so that a test which cannot run on a machine is
//! shown as ignored with its cause instead of passing.

mod agents;
mod fault_agents;
mod fault_browser;
mod fault_client;
mod fault_daemon;
mod fault_shutdown;
mod flow_access;
mod flow_addressing;
mod flow_agents;
mod flow_cli;
mod flow_clients;
mod flow_commands;
mod flow_deploy;
mod flow_drain;
mod flow_ending;
mod flow_events;
mod flow_events_server;
mod flow_park;
mod flow_pool;
mod flow_readers;
mod flow_rest;
mod flow_restart;
mod flow_security;
mod flow_templates;

use libtest_mimic::{Arguments, Trial};
use lockkeeper_tests::Outcome;

/// One test: a fact and the function that shows it.
pub(crate) type Fact = (&'static str, fn() -> Outcome);

/// Names functions as facts, so that the name in the report is the name in the code.
#[macro_export]
macro_rules! facts {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const FACTS: &[$crate::Fact] = &[$((stringify!($name), $name)),+];
    };
}

fn main() {
    let arguments = Arguments::from_args();
    let groups: &[(&str, &[Fact])] = &[
        ("fault_agents", fault_agents::FACTS),
        ("fault_browser", fault_browser::FACTS),
        ("fault_client", fault_client::FACTS),
        ("fault_daemon", fault_daemon::FACTS),
        ("fault_shutdown", fault_shutdown::FACTS),
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
        ("flow_park", flow_park::FACTS),
        ("flow_pool", flow_pool::FACTS),
        ("flow_readers", flow_readers::FACTS),
        ("flow_rest", flow_rest::FACTS),
        ("flow_restart", flow_restart::FACTS),
        ("flow_security", flow_security::FACTS),
        ("flow_templates", flow_templates::FACTS),
    ];
    // What a machine may lack; the cause is shown beside the name.
    let conditional: [(&str, Option<&str>, &[Fact]); _] = [
        ("fault_client", needs_root().or_else(needs_ip), fault_client::AS_ROOT),
        ("fault_shutdown", needs_root(), fault_shutdown::AS_ROOT),
        ("flow_agents", agents::needs_validator(), flow_agents::VALIDATED),
        ("flow_events", needs_root(), flow_events::AS_ROOT),
        ("flow_readers", flow_readers::missing(), flow_readers::WITH_PROMETHEUS),
        ("flow_events_server", flow_events_server::missing(), flow_events_server::FACTS),
    ];
    let always = groups.iter().map(|(group, facts)| (*group, None, *facts));
    let trials = always
        .chain(conditional)
        .flat_map(|(group, missing, facts)| {
            facts.iter().map(move |(name, run)| {
                Trial::test(format!("{group}::{name}"), move || run().map_err(Into::into))
                    .with_kind(missing.unwrap_or_default())
                    .with_ignored_flag(missing.is_some())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn needs_root() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("needs root")
}

fn needs_ip() -> Option<&'static str> {
    let found = std::process::Command::new("ip").arg("netns").output();
    (!found.is_ok_and(|output| output.status.success())).then_some("needs ip, of iproute2")
}
