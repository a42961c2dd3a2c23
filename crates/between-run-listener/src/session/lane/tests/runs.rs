//! One stream.

use super::*;

#[test]
fn an_event_outside_of_a_run_gets_a_run_of_its_own_that_quiet_ends() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &custom()).take(LISTEN, &custom());
    assert_eq!(bench.lane.deadline(false), Some(bench.now + Duration::from_secs(2)));
    bench.pass(Duration::from_millis(1999), false);
    // A heartbeat is no event.
    bench.lane.take(LISTEN, &Item::Comment { len: 2 }, bench.now, &mut bench.log);
    assert_eq!(bench.log.len(), 3);
    bench.pass(Duration::from_millis(1), false);
    let expected = ["+RUN_STARTED(between)", "CUSTOM", "CUSTOM", "+RUN_FINISHED(between)"];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.lane.status().agent(), Agent::New);
}

#[test]
fn quiet_does_not_end_a_run_with_something_open() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &text("START", "m"));
    bench.pass(Duration::from_secs(60), false);
    assert_eq!(bench.log.len(), 2);
    bench.take(LISTEN, &started("r"));
    let expected = [
        "+RUN_STARTED(between)",
        "TEXT_MESSAGE_START",
        "+TEXT_MESSAGE_END(close)",
        "+RUN_FINISHED(between)",
        "RUN_STARTED",
    ];
    assert_eq!(bench.told(), expected);
}

#[test]
fn what_cannot_stand_first_opens_no_run() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &finished("r")).take(LISTEN, &text("END", "m")).take(LISTEN, "nonsense");
    assert_eq!(bench.told(), ["!no_run", "!not_open", "!not_json"]);
}

#[test]
fn an_error_outside_of_a_run_gets_a_run_and_ends_it() {
    let mut bench = Bench::new();
    bench.take(LISTEN, r#"{"type":"RUN_ERROR","message":"no"}"#);
    assert_eq!(bench.told(), ["+RUN_STARTED(between)", "RUN_ERROR"]);
    assert!(bench.lane.open_run().is_none());
}

#[test]
fn what_a_run_leaves_open_is_closed_before_its_end() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("r")).take(LISTEN, &text("START", "m")).take(LISTEN, &finished(""));
    let expected =
        ["RUN_STARTED", "TEXT_MESSAGE_START", "+TEXT_MESSAGE_END(close)", "RUN_FINISHED"];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.lane.status().agent(), Agent::Idle);
    assert!(bench.lane.take_finished() && !bench.lane.take_finished());
}

#[test]
fn a_second_run_on_one_stream_tears_the_first() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("a")).take(LISTEN, &started("a")).take(LISTEN, &started("b"));
    let expected = ["RUN_STARTED", "!run_started_twice", "+RUNNER_TRUNCATED", "RUN_STARTED"];
    assert_eq!(bench.told(), expected);
}

#[test]
fn a_runner_that_says_nothing_for_too_long_is_idle() {
    let mut bench = Bench::new();
    bench.post(1, "r", "m").unwrap();
    bench.take(RUN, &started("r"));
    let comment = Item::Comment { len: 0 };
    bench.now += Duration::from_secs(899);
    bench.lane.take(RUN, &comment, bench.now, &mut bench.log);
    assert_eq!(bench.pass(Duration::from_secs(899), false), None);
    assert_eq!(bench.pass(Duration::from_secs(1), false), Some(1));
    assert_eq!(bench.told().last().unwrap(), "+RUNNER_IDLE");
}

#[test]
fn a_lost_event_is_told() {
    let mut bench = Bench::new();
    let oversize = Item::Oversize { cap: sse::Cap::Line, limit: 5, seen: 9 };
    bench.lane.take(LISTEN, &oversize, bench.now, &mut bench.log);
    assert_eq!(bench.log[0].envelope.kind, Kind::Loss);
    assert_eq!(&bench.log[0].data[..], br#"{"cap":"line","limit":5,"seen":9}"#);
}

#[test]
fn a_run_that_was_closed_before_is_counted_and_not_logged_again() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.take(LISTEN, &started("r")).take(LISTEN, &custom()).take(LISTEN, &finished("r"));
    }
    assert_eq!(bench.told(), ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]);
    assert_eq!(bench.lane.counts().duplicates, 3);
}

#[test]
fn a_session_that_is_deleted_ends_its_run() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("r"));
    bench.lane.close(&mut bench.log);
    assert_eq!(bench.told(), ["RUN_STARTED", "+SESSION_CLOSED"]);
}

#[test]
fn a_listener_that_comes_back_goes_on_with_its_run_and_one_that_gives_up_tears_it() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("r"));
    bench.lane.listen_cut(1, &mut bench.log);
    bench.take(LISTEN, &custom());
    bench.lane.listen_gone(1, &mut bench.log);
    assert_eq!(bench.told(), ["RUN_STARTED", "CUSTOM", "+RUNNER_TRUNCATED"]);
}
