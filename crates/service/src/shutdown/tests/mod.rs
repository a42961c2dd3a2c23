mod events;
mod plan;

use std::time::Duration;

use super::beats::progress_pause;
use super::closers::closer_bound;
use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_names_of_the_steps_are_public_and_in_order() {
    let names: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
    assert_eq!(
        names,
        [
            "announce",
            "server_gate",
            "wait_admitted",
            "factory_gate",
            "wait_starts",
            "pool",
            "wait_live",
            "wait_cleanup",
            "force_stop",
            "closers"
        ]
    );
    let numbers: Vec<_> = Step::ALL.iter().map(|step| step.number()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn the_budget_adds_up_what_can_happen() {
    let settings = ShutdownSettings { drain: Some(secs(60)), ..ShutdownSettings::default() };
    assert_eq!(settings.budget().total(), Some(secs(15 + 60 + 30 + 30 + 5)));
    let loopback = ShutdownSettings { only_loopback: true, ..settings.clone() };
    assert_eq!(loopback.budget().total(), Some(secs(60 + 30 + 30 + 5)));
    let forced = ShutdownSettings { force_at_once: true, ..settings };
    assert_eq!(forced.budget().total(), Some(secs(30 + 30 + 5)));
}

#[test]
fn an_unbounded_budget_says_so() {
    let budget = ShutdownSettings::default().budget();
    assert_eq!(budget.total(), None);
    assert_eq!(
        budget.to_string(),
        "unbounded (announce 15 s, drain until all have ended, force 30 s, close 30 s, spare 5 s)"
    );
}

#[test]
fn a_drain_speaks_up_less_and_less_often() {
    assert_eq!(progress_pause(secs(0)), secs(5));
    assert_eq!(progress_pause(secs(59)), secs(5));
    assert_eq!(progress_pause(secs(60)), secs(60));
    assert_eq!(progress_pause(secs(3599)), secs(60));
    assert_eq!(progress_pause(secs(3600)), secs(900));
}

#[test]
fn a_closer_keeps_its_bound_the_shared_time_and_at_least_a_share_of_the_spare_time() {
    let share = Duration::from_millis(500);
    assert_eq!(closer_bound(secs(5), secs(30), share), secs(5), "its own bound");
    assert_eq!(closer_bound(secs(5), secs(2), share), secs(2), "what is left");
    assert_eq!(closer_bound(secs(5), secs(0), share), share, "nothing is left");
    assert_eq!(closer_bound(Duration::from_millis(10), secs(0), share), Duration::from_millis(10));
}

#[test]
fn a_fault_is_kept_once_for_each_step_of_each_id() {
    let faults = Faults::new();
    faults.add("a", "stop", "first");
    faults.clone().add("a", "stop", "second");
    faults.add("a", "folders", "third");
    faults.add("b", "stop", "fourth");
    let texts: Vec<_> = faults.list().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["a: stop: first", "a: folders: third", "b: stop: fourth"]);
}

#[test]
fn a_failure_comes_before_something_left_behind() {
    use crate::ExitStatus;
    assert_eq!(ExitStatus::decide(false, false).code(), 0);
    assert_eq!(ExitStatus::decide(false, true).code(), 75);
    assert_eq!(ExitStatus::decide(true, false).code(), 70);
    assert_eq!(ExitStatus::decide(true, true).code(), 70);
}

#[test]
fn a_console_that_cannot_be_flushed_is_no_failure_and_a_full_disk_is() {
    use rustix::io::Errno;
    for errno in [Errno::INVAL, Errno::NOTTY, Errno::BADF] {
        assert!(console_flushed(Err(errno.into())).is_ok(), "{errno}");
    }
    assert!(console_flushed(Err(Errno::NOSPC.into())).is_err());
    assert!(console_flushed(Ok(())).is_ok());
}
