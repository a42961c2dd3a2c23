//! The sidecar as a real process beside a real browser that the test starts. Where no browser is
//! installed, or no client, the tests that need it show as ignored.

mod browser;
mod clients;
mod ends;
mod serves;

use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use lockkeeper_tests::Outcome;
use testkit::daemon::Options;

/// Longer than anything here takes, so that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The same for a client, which starts a runtime of its own.
pub(crate) const CLIENT: Duration = Duration::from_secs(60);

type Fact = (&'static str, fn() -> Outcome);

/// Names functions as facts, so that the name in the report is the name in the code.
macro_rules! facts {
    ($($module:ident::$name:ident),+ $(,)?) => {
        &[$((stringify!($name), $module::$name)),+]
    };
}

const WITH_A_BROWSER: &[Fact] = facts![
    serves::json_is_rewritten_and_any_path_is_the_browser,
    serves::a_token_is_needed_and_shown_nowhere,
    serves::every_source_reaches_the_browser,
    serves::a_page_has_a_socket_of_its_own,
    serves::a_client_is_held_until_the_browser_comes,
    serves::a_line_that_a_page_printed_changes_nothing_and_is_counted,
    ends::a_restarted_browser_closes_its_sessions_with_1012_and_the_address_stays,
    ends::a_restart_is_seen_at_a_place_and_in_a_port_file,
    ends::a_browser_that_never_comes_back_is_unreachable,
    ends::sessions_leave_nothing_behind,
    ends::sigterm_closes_every_session_with_1001_and_exits_with_0,
    ends::a_quiet_drain_closes_what_is_never_quiet_at_its_deadline,
    ends::a_draining_sidecar_refuses_new_sockets_at_once,
    ends::a_second_signal_forces_the_end,
    ends::force_stop_ends_sessions_without_a_drain,
];

const WITH_CLIENTS: &[Fact] = facts![
    clients::playwright_drives_the_browser_in_every_form_of_address,
    clients::playwright_drives_the_browser_over_https_and_wss,
    clients::puppeteer_drives_the_browser_by_its_port_alone,
];

const ALONE: &[Fact] = facts![
    serves::without_a_browser_it_is_healthy_and_not_ready,
    serves::admin_routes_can_have_a_port_of_their_own,
    serves::the_token_guards_the_browser_and_the_events,
    serves::a_file_of_lines_has_every_event_of_the_process,
    ends::a_client_that_is_held_hears_of_the_drain_at_once,
    ends::the_unit_starts_the_sidecar_and_hears_of_its_start_and_end,
    ends::a_port_that_is_taken_is_named_and_nothing_starts,
    ends::every_mistake_in_the_settings_is_named_and_nothing_starts,
];

fn main() {
    let arguments = Arguments::from_args();
    let trial = |(name, run): &Fact| {
        let run = *run;
        Trial::test(*name, move || run().map_err(Into::into))
    };
    let missing = !browser::is_installed();
    let with = WITH_A_BROWSER.iter().map(|fact| trial(fact).with_ignored_flag(missing));
    let missing = missing || !lockkeeper_tests::clients().join("node_modules/.bin/node").exists();
    let clients = WITH_CLIENTS.iter().map(|fact| trial(fact).with_ignored_flag(missing));
    let trials = with.chain(clients).chain(ALONE.iter().map(trial)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// A sidecar on a free port.
pub(crate) fn sidecar() -> Options {
    // A browser may take long to start beside other tests.
    Options::new(env!("CARGO_BIN_EXE_devtools-proxyd")).env("LOCKKEEPER_HOLD_MAX", "30s")
}
