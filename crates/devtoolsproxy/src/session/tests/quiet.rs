//! Drains and times to live that end each session at its first quiet moment.

use super::*;

const ASKED: &str = r#"{"id":1,"method":"Page.navigate"}"#;
const ANSWERED: &str = r#"{"id":1,"result":{}}"#;

fn in_a_minute() -> Option<Clock> {
    Some(Clock::now() + 60 * SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_outstanding_is_answered_before_its_session_is_closed() {
    let stage = Stage::new();
    let mut idle = stage.session(true);
    let mut bench = stage.session(true);
    bench.settle().await;
    stage.edge.stop_when_quiet(in_a_minute());
    bench.asks(ASKED).await;
    bench.is_asked(ASKED).await;
    assert_eq!(idle.told().await, (1001, 250 * MS));
    tokio::time::sleep_until(bench.began + 10 * SECOND).await;
    bench.answers(ANSWERED).await;
    assert_eq!(bench.told().await, (1001, 10 * SECOND + 250 * MS));
    // One that comes later is stopped in the same way.
    let mut late = stage.session(true);
    assert_eq!(late.told().await, (1001, 250 * MS));
    for bench in [idle, bench, late] {
        bench.ended().await;
    }
    for end in stage.ends().await {
        let words = [&end["reason"], &end["detail"], &end["quiet_end"]];
        assert_eq!(words, ["context_cancelled", "node_drain", "quiet"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_never_quiet_is_closed_at_the_deadline_and_says_so() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    let mut forced = stage.session(true);
    stage.edge.stop_when_quiet(in_a_minute());
    // A later deadline changes nothing.
    stage.edge.stop_when_quiet(None);
    for bench in [&mut bench, &mut forced] {
        bench.settle().await;
        bench.asks(ASKED).await;
        bench.is_asked(ASKED).await;
    }
    // At its deadline the drain also stops by force; whichever comes first, the words are the same.
    tokio::time::sleep_until(bench.began + 60 * SECOND - MS).await;
    forced.stop.send_replace(Some(ContextDetail::NodeDrain));
    assert_eq!(forced.told().await, (1001, 60 * SECOND - MS));
    assert_eq!(bench.told().await, (1001, 60 * SECOND));
    bench.ended().await;
    forced.ended().await;
    for end in stage.ends().await {
        assert_eq!([&end["detail"], &end["quiet_end"]], ["node_drain", "deadline"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_before_the_quiet_moment_keeps_its_own_reason() {
    let stage = Stage::new();
    let mut closed = stage.session(true);
    let deleted = stage.session(true);
    let mut crashed = stage.session(true);
    closed.settle().await;
    stage.edge.stop_when_quiet(in_a_minute());
    closed.settle().await;
    closed.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    deleted.stop.send_replace(Some(ContextDetail::SandboxDeleted));
    crashed.dies(Some(KILLED));
    crashed.settle().await;
    crashed.ready(2);
    for bench in [closed, deleted, crashed] {
        bench.ended().await;
    }
    let ends = stage.ends().await;
    let details: Vec<_> = ends.iter().map(|end| end["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["client_closed", "sandbox_deleted", "browser_crashed"]);
    assert!(ends.iter().all(|end| end.get("quiet_end").is_none()), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_its_time_a_session_gets_its_answer_within_the_grace() {
    let stage = Stage::with_ttl_grace(10 * SECOND);
    let (mut idle, mut busy, mut late) =
        (stage.session(true), stage.session(true), stage.session(true));
    for bench in [&mut busy, &mut late] {
        bench.settle().await;
        bench.asks(ASKED).await;
        bench.is_asked(ASKED).await;
    }
    for bench in [&idle, &busy, &late] {
        bench.stop.send_replace(Some(ContextDetail::TtlExpired));
    }
    for bench in [&mut busy, &mut late] {
        // What was asked before the end was known is not watched; this is.
        bench.settle().await;
        bench.asks(ASKED).await;
        bench.is_asked(ASKED).await;
    }
    assert_eq!(idle.told().await, (1001, 250 * MS));
    tokio::time::sleep_until(busy.began + 3 * SECOND).await;
    busy.answers(ANSWERED).await;
    assert_eq!(busy.told().await, (1001, 3 * SECOND + 250 * MS));
    assert_eq!(late.told().await, (1001, 10 * SECOND));
    for bench in [idle, busy, late] {
        bench.ended().await;
    }
    let ends = stage.ends().await;
    let words: Vec<_> = ends.iter().map(|end| [&end["detail"], &end["quiet_end"]]).collect();
    assert_eq!(words[..2], [["ttl_expired", "quiet"], ["ttl_expired", "quiet"]]);
    assert_eq!(words[2], ["ttl_expired", "deadline"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_ends_everything_does_not_wait_for_the_grace_of_a_time_to_live() {
    let stage = Stage::with_ttl_grace(60 * SECOND);
    let mut busy = stage.session(true);
    busy.settle().await;
    busy.stop.send_replace(Some(ContextDetail::TtlExpired));
    busy.settle().await;
    busy.asks(ASKED).await;
    busy.is_asked(ASKED).await;
    tokio::time::sleep_until(busy.began + 5 * SECOND).await;
    stage.edge.stop_all(ContextDetail::ForcedStop);
    assert_eq!(busy.told().await, (1001, 5 * SECOND));
    busy.ended().await;
    let end = stage.ends().await.remove(0);
    assert_eq!([&end["detail"], &end["quiet_end"]], ["ttl_expired", "deadline"]);
}
