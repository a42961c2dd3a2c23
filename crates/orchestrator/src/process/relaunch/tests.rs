use super::*;

const WINDOW: Duration = Duration::from_secs(60);
const SEGV: Cause = Cause::Signalled { signal: 11 };
const CLOSED: Cause = Cause::Exited { code: 0 };

fn policy(crash_max: u32) -> Policy {
    Policy::new(OnExit::Relaunch, OnExit::Stop, crash_max, WINDOW)
}

#[test]
fn the_first_relaunch_is_immediate_and_later_ones_wait_twice_as_long_up_to_five_seconds() {
    let mut policy = policy(100);
    let now = Instant::now();
    let delays: Vec<u128> = (0..8)
        .map(|_| match policy.handle_end(now, SEGV, 0.5) {
            Decision::Relaunch(delay) => delay.as_millis(),
            Decision::Gone(why) => panic!("gone: {why:?}"),
        })
        .collect();
    assert_eq!(delays, [0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
}

#[test]
fn jitter_stays_within_a_fifth() {
    for (chance, millis) in [(0.0, 200), (1.0, 300), (7.0, 300), (-1.0, 200)] {
        assert_eq!(delay(2, chance), Duration::from_millis(millis));
        assert_eq!(delay(1, chance), Duration::ZERO);
    }
}

#[test]
fn the_limit_ends_it_and_names_the_causes_oldest_first() {
    let mut policy = policy(3);
    let now = Instant::now();
    let other = Cause::Exited { code: 21 };
    assert!(matches!(policy.handle_end(now, SEGV, 0.5), Decision::Relaunch(_)));
    assert!(matches!(policy.handle_end(now, other, 0.5), Decision::Relaunch(_)));
    assert_eq!(
        policy.handle_end(now, SEGV, 0.5),
        Decision::Gone(GoneWhy::GaveUp(vec![SEGV, other, SEGV]))
    );
}

#[test]
fn crashes_outside_the_window_are_forgotten() {
    let mut policy = policy(2);
    let start = Instant::now();
    for i in 0..20 {
        let now = start + (WINDOW + Duration::from_secs(1)) * i;
        assert_eq!(policy.handle_end(now, SEGV, 0.5), Decision::Relaunch(Duration::ZERO));
    }
}

#[test]
fn a_close_is_no_crash() {
    let now = Instant::now();
    assert_eq!(policy(5).handle_end(now, CLOSED, 0.5), Decision::Gone(GoneWhy::Closed));
    let mut relaunching = Policy::new(OnExit::Stop, OnExit::Relaunch, 1, WINDOW);
    for _ in 0..10 {
        assert!(matches!(relaunching.handle_end(now, CLOSED, 0.5), Decision::Relaunch(_)));
    }
    assert_eq!(relaunching.handle_end(now, SEGV, 0.5), Decision::Gone(GoneWhy::Crashed));
}

#[test]
fn closes_in_a_row_slow_down() {
    let mut policy = Policy::new(OnExit::Stop, OnExit::Relaunch, 1, WINDOW);
    let now = Instant::now();
    let last = (0..200).map(|_| policy.handle_end(now, CLOSED, 0.5)).last();
    assert_eq!(last, Some(Decision::Relaunch(LONGEST_DELAY)));
    assert!(policy.ends.len() <= REMEMBERED);
}

#[test]
fn a_browser_killed_for_its_memory_is_not_started_again() {
    let mut policy = policy(5);
    let decision = policy.handle_end(Instant::now(), Cause::OomKilled, 0.5);
    assert_eq!(decision, Decision::Gone(GoneWhy::Crashed));
}

#[test]
fn a_start_that_times_out_counts_as_a_crash() {
    let mut policy = policy(1);
    assert_eq!(
        policy.handle_end(Instant::now(), Cause::StartTimeout, 0.5),
        Decision::Gone(GoneWhy::GaveUp(vec![Cause::StartTimeout]))
    );
}
