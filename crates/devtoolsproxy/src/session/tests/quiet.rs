//! A drain that ends each session at its first quiet moment.

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
