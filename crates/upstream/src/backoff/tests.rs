use super::Backoff;
use std::time::Duration;

/// The random number that means no jitter.
const MIDDLE: u32 = u32::MAX / 2;

fn close_to(wait: Duration, expected: u64) -> bool {
    wait.abs_diff(Duration::from_millis(expected)) < Duration::from_micros(10)
}

#[test]
fn waits_double_to_two_seconds_and_stay_there() {
    let mut backoff = Backoff::new();
    for expected in [250, 500, 1000, 2000, 2000, 2000] {
        let wait = backoff.failed(MIDDLE);
        assert!(close_to(wait, expected), "{wait:?} is not {expected} ms");
    }
    for _ in 0..100_000 {
        backoff.failed(MIDDLE);
    }
    assert!(close_to(backoff.failed(MIDDLE), 2000));
}

#[test]
fn jitter_stays_within_a_fifth_either_way() {
    assert!(close_to(Backoff::new().failed(0), 200));
    assert!(close_to(Backoff::new().failed(u32::MAX), 300));
}

#[test]
fn one_success_starts_again_from_the_shortest_wait() {
    let mut backoff = Backoff::new();
    for _ in 0..5 {
        backoff.failed(MIDDLE);
    }
    backoff.succeeded();
    assert!(close_to(backoff.failed(MIDDLE), 250));
}
