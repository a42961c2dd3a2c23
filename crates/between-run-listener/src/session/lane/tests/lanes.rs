//! Two streams, posted runs, and a restart.

use super::*;

#[test]
fn what_the_user_says_is_logged_once_before_the_run() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    assert_eq!(bench.told(), ["+RUN_STARTED(input)", "+RUN_FINISHED(input)"]);
    let input: Value = serde_json::from_slice(&bench.log[0].data).unwrap();
    assert_eq!(input["input"]["messages"][0]["id"], "m");
    assert_eq!((&input["input"]["tools"], &input["input"]["context"]), (&json!([]), &json!([])));
    bench.take(RUN, &started("a")).take(RUN, &finished("a"));
    bench.end(1);
    bench.post(2, "b", "m").unwrap();
    assert_eq!(bench.log.len(), 4, "the message is known: {:?}", bench.told());
}

#[test]
fn a_second_run_of_a_client_is_refused_while_one_is_open() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    assert_eq!(bench.post(2, "b", "n").unwrap_err().kind(), "run_active");
    assert_eq!(bench.post(2, "a", "n").unwrap_err().kind(), "run_exists");
    bench.take(RUN, &started("a"));
    assert_eq!(bench.post(2, "b", "n").unwrap_err().kind(), "run_active");
    bench.take(RUN, &finished("a"));
    assert_eq!(bench.post(2, "a", "n").unwrap_err().kind(), "run_exists");
    let other = json!({ "threadId": "u", "runId": "b", "messages": [] });
    let other = Posted::read(other.as_object().unwrap()).unwrap();
    let refused = bench.lane.post(2, other, &mut bench.log).unwrap_err();
    assert_eq!(refused.kind(), "thread_mismatch");
    // The run is over, although the runner has not ended its answer.
    bench.post(2, "b", "n").unwrap();
    bench.end(1);
    bench.take(Source::Run(2), &started("b"));
}

#[test]
fn a_run_of_the_runner_holds_a_posted_one_up_without_refusing_it() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("own"));
    bench.post(1, "a", "m").unwrap();
    assert_eq!(bench.offer(RUN, &started("a")), Taken::Wait);
    bench.take(LISTEN, &finished("own")).take(RUN, &started("a"));
    let expected = [
        "RUN_STARTED",
        "RUN_FINISHED",
        "+RUN_STARTED(input)",
        "+RUN_FINISHED(input)",
        "RUN_STARTED",
    ];
    assert_eq!(bench.told(), expected);
}

#[test]
fn two_streams_never_mix_and_free_events_go_into_the_open_run() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(RUN, &started("a"));
    assert_eq!(bench.offer(LISTEN, &started("own")), Taken::Wait);
    assert_eq!(bench.offer(LISTEN, &text("START", "x")), Taken::Wait);
    bench.take(LISTEN, &custom());
    assert_eq!(bench.log.last().unwrap().envelope.run_id.as_deref(), Some("a"));
    bench.take(RUN, &finished("a")).take(LISTEN, &started("own"));
}

#[test]
fn one_run_on_both_streams_is_logged_once() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(LISTEN, &started("a"));
    bench.take(RUN, &started("a")).take(LISTEN, &text("START", "m"));
    bench.take(RUN, &text("START", "m")).take(RUN, &text("END", "m"));
    bench.take(RUN, &finished("a")).take(LISTEN, &finished("a"));
    let events: Vec<_> = bench.told().into_iter().filter(|told| !told.starts_with('+')).collect();
    assert_eq!(events, ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_FINISHED"]);
    assert_eq!(bench.lane.counts().duplicates, 3);
}

#[test]
fn what_the_listener_brings_of_a_run_that_was_torn_is_kept_as_rejected() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(RUN, &started("a"));
    bench.end(1);
    bench.take(LISTEN, &started("a")).take(LISTEN, &custom()).take(LISTEN, &finished("a"));
    let tail = &bench.told()[3..];
    assert_eq!(tail, ["+RUNNER_TRUNCATED", "!run_closed", "!run_closed", "!run_closed"]);
}

#[test]
fn a_posted_run_without_an_answer_is_begun_and_ended() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    let why = Failure { code: "RUNNER_UNAVAILABLE".into(), message: "refused".into() };
    assert_eq!(bench.lane.run_ended(1, &why, bench.now, &mut bench.log), Taken::Done);
    let expected =
        ["+RUN_STARTED(input)", "+RUN_FINISHED(input)", "+RUN_STARTED(run)", "+RUNNER_UNAVAILABLE"];
    assert_eq!(bench.told(), expected);
    let error = bench.lane.status().last_error().unwrap();
    assert_eq!(error.code.as_deref(), Some("RUNNER_UNAVAILABLE"));
    bench.post(2, "b", "m").unwrap();
}

#[test]
fn a_posted_run_whose_runner_leaves_out_its_start_gets_one() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(RUN, &custom());
    assert_eq!(bench.told()[2..], ["+RUN_STARTED(run)", "CUSTOM"]);
    assert_eq!(bench.lane.status().agent(), Agent::Working);
    assert_eq!(bench.lane.open_run(), Some(("a", Began::Client)));
}

#[test]
fn a_run_between_runs_gives_way_at_once() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &custom());
    bench.post(1, "a", "m").unwrap();
    assert_eq!(bench.told()[2], "+RUN_FINISHED(between)");
    bench.take(LISTEN, &custom()).take(RUN, &started("a"));
    let tail = &bench.told()[5..];
    assert_eq!(tail, ["+RUN_STARTED(between)", "CUSTOM", "+RUN_FINISHED(between)", "RUN_STARTED"]);
}

#[test]
fn a_silent_run_loses_the_lane_to_one_that_waits() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(RUN, &started("a"));
    bench.pass(Duration::from_secs(599), true);
    assert_eq!(bench.offer(LISTEN, &started("own")), Taken::Wait);
    bench.pass(Duration::from_secs(1), true);
    bench.take(LISTEN, &started("own")).take(RUN, &custom());
    assert_eq!(bench.told()[3..], ["+LANE_LOST", "RUN_STARTED", "!lane_lost"]);
}

fn restarted(bench: &Bench) -> Bench {
    let mut after = Bench::new();
    for (at, draft) in bench.log.iter().enumerate() {
        let (envelope, data) = (draft.envelope.clone(), draft.data.clone());
        after.lane.replay(&Stored { offset: at as u64 + 1, envelope, data }, after.now);
    }
    after.lane.replayed(after.now, &mut after.log);
    after
}

#[test]
fn a_restart_knows_what_the_log_knows() {
    let mut bench = Bench::new();
    bench.post(1, "a", "m").unwrap();
    bench.take(RUN, &started("a")).take(RUN, &finished("a"));
    let mut after = restarted(&bench);
    assert_eq!(after.lane.status().agent(), Agent::Idle);
    assert_eq!(after.lane.thread(), Some("t"));
    assert_eq!(after.post(1, "a", "m").unwrap_err().kind(), "run_exists");
    after.post(1, "b", "m").unwrap();
    assert!(after.log.is_empty(), "the message is known: {:?}", after.told());
}

#[test]
fn a_run_that_was_open_at_a_restart_is_adopted_by_the_stream_that_goes_on_with_it() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("r")).take(LISTEN, &text("START", "m"));
    let mut after = restarted(&bench);
    assert_eq!(after.lane.status().agent(), Agent::Working);
    after.take(LISTEN, &text("CONTENT", "m")).take(LISTEN, &finished("r"));
    let expected = ["TEXT_MESSAGE_CONTENT", "+TEXT_MESSAGE_END(close)", "RUN_FINISHED"];
    assert_eq!(after.told(), expected);
}

#[test]
fn a_run_that_nobody_adopts_is_ended_after_a_minute() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &started("r"));
    let mut after = restarted(&bench);
    after.pass(Duration::from_millis(59_999), false);
    assert!(after.log.is_empty());
    after.pass(Duration::from_millis(1), false);
    assert_eq!(after.told(), ["+GATEWAY_RESTARTED"]);
}

#[test]
fn a_run_between_runs_ends_at_a_restart() {
    let mut bench = Bench::new();
    bench.take(LISTEN, &custom());
    assert_eq!(restarted(&bench).told(), ["+RUN_FINISHED(between)"]);
}
