//! What a runner's bytes become.

use std::time::Duration;

use between_run_listener::feed::FeedError;
use between_run_listener::listener::{Reason, Rules, Setup, State};
use between_run_listener::sse::Limits;
use testkit::runner::{Ask, Runner};

use crate::world::{Manner, Session, World, key, rules, setup};

#[tokio::test]
async fn events_arrive_and_a_reconnect_goes_on_behind_the_last_one() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/events"), &session)).await;
    let mut ask = runner.next().await;
    assert_eq!(ask.path(), "/events");
    assert_eq!(ask.field("accept"), Some("text/event-stream"));
    assert_eq!(ask.field("accept-encoding"), Some("identity"));
    assert_eq!(ask.field("cache-control"), Some("no-store"));
    assert_eq!(ask.field("last-event-id"), None);
    ask.stream("id: 1\ndata: a\n\n: beat\n\nid: 2\ndata: b\n\nid: 3\ndata: never").await;
    session.has(&["a", "b"]).await;
    drop(ask);
    let mut ask = runner.next().await;
    assert_eq!(ask.field("last-event-id"), Some("2"));
    ask.stream("data: c\n\n").await;
    session.has(&["a", "b", "c"]).await;
    session.heard(|heard| {
        assert_eq!(heard.comments, 1);
        assert_eq!(heard.ids[2].as_deref(), Some("2"), "an id persists over a reconnect");
        assert_eq!(heard.cuts.len(), 1);
        assert_eq!(heard.cuts[0].1, Reason::Ended);
        assert_eq!(heard.cuts[0].0.number, 1);
        assert_eq!(
            heard.states,
            [
                "connecting",
                "streaming",
                "streaming",
                "waiting",
                "connecting",
                "streaming",
                "streaming"
            ],
        );
    });
    world.end().await;
}

#[tokio::test]
async fn a_stream_means_the_same_in_chunks_and_with_any_line_end() {
    let world = World::new();
    for (at, stream) in [
        "data:a\n\ndata: b\ndata:c\n\n",
        "data:a\r\rdata: b\rdata:c\r\r",
        "\u{feff}data:a\r\n\r\nevent:x\r\ndata: b\r\ndata:c\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let (runner, session) = (Runner::start().await, Session::new());
        let key = key(&format!("s{at}"));
        world.registry.ensure(&key, setup(&runner.url("/"), &session)).await;
        let mut ask = runner.next().await;
        ask.send("HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream;x\r\n").await;
        ask.send("transfer-encoding: chunked\r\n\r\n").await;
        for byte in stream.bytes() {
            ask.send([b"1\r\n", &[byte][..], b"\r\n"].concat()).await;
        }
        session.has(&["a", "b\nc"]).await;
        // The end of the chunks ends the stream although the connection stays open.
        ask.send("0\r\n\r\n").await;
        session.until(|heard| heard.cuts.len() == 1).await;
        ask.closed().await;
    }
    world.end().await;
}

/// Cuts the stream behind `cut` bytes, and goes on as a runner does that keeps its events.
async fn play(runner: &Runner, events: &[&str], cut: usize) -> Ask {
    let whole = events.concat();
    let mut ask = runner.next().await;
    ask.stream(&whole[..cut]).await;
    drop(ask);
    let mut ask = runner.next().await;
    let seen: usize = ask.field("last-event-id").map_or(0, |id| id.parse().expect("our id"));
    ask.stream(&events[seen..].concat()).await;
    ask
}

#[tokio::test]
async fn a_feed_cut_between_a_data_line_and_its_blank_line_damages_no_later_event() {
    let world = World::new();
    let events =
        ["id: 1\ndata: one\n\n", "id:2\r\ndata: \u{1f600}\r\n\r\n", "id: 3\ndata: three\n\n"];
    let mut tests = tokio::task::JoinSet::new();
    let whole = events.concat();
    for cut in (0..=whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        let registry = std::sync::Arc::clone(&world.registry);
        tests.spawn(async move {
            let (runner, session) = (Runner::start().await, Session::new());
            let key = key(&format!("s{cut}"));
            registry.ensure(&key, setup(&runner.url("/"), &session)).await;
            let mut ask = play(&runner, &events, cut).await;
            session.has(&["one", "\u{1f600}", "three"]).await;
            assert!(registry.cancel(&key).await);
            ask.closed().await;
            session.has(&["one", "\u{1f600}", "three"]).await;
        });
    }
    while let Some(result) = tests.join_next().await {
        result.expect("a test for each cut");
    }
    world.end().await;
}

#[tokio::test]
async fn a_frozen_runner_whose_kernel_still_acknowledges_is_left_within_the_idle_timeout() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let rules = Rules { idle: Some(Duration::from_millis(300)), ..rules() };
    let setup = Setup { rules, ..setup(&runner.url("/"), &session) };
    world.registry.ensure(&key("s"), setup).await;
    let mut ask = runner.next().await;
    ask.stream("id: 9\ndata: a\n\n").await;
    session.has(&["a"]).await;
    // It says nothing more, and its connection stays.
    ask.closed().await;
    session.until(|heard| heard.cuts.len() == 1).await;
    assert_eq!(session.heard(|heard| heard.cuts[0].1), Reason::Idle);
    // It thaws: the stream goes on behind what was logged.
    let again = runner.next().await;
    assert_eq!(again.field("last-event-id"), Some("9"));
    world.end().await;
}

#[tokio::test]
async fn a_session_that_takes_nothing_stops_the_reading_and_not_the_listener() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    session.manner.send_replace(Manner::Holds);
    let rules = Rules { idle: Some(Duration::from_millis(200)), ..rules() };
    let setup = Setup { rules, ..setup(&runner.url("/"), &session) };
    world.registry.ensure(&key("s"), setup).await;
    let mut ask = runner.next().await;
    ask.stream("").await;
    let event = format!("data: {}\n\n", "x".repeat(1000));
    let block = event.repeat(1000);
    let mut sent = 0;
    // Until both kernels' buffers are full.
    while tokio::time::timeout(Duration::from_millis(500), ask.send(&block)).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "100 MB were read, and nobody took them");
    }
    let status = world.registry.status(&key("s")).expect("a listener");
    assert!(matches!(status.state, State::Streaming { .. }), "{status:?}");
    assert_eq!(session.heard(|heard| heard.batches), 1);
    session.manner.send_replace(Manner::Takes);
    session.until(|heard| heard.events.len() >= sent * 1000).await;
    world.end().await;
}

#[tokio::test]
async fn a_stalled_log_ends_the_connection_and_a_closed_session_the_listener() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    session.manner.send_replace(Manner::Fails(FeedError::Stalled));
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    runner.next().await.stream("data: a\n\n").await;
    session.until(|heard| heard.cuts.len() == 1).await;
    assert_eq!(session.heard(|heard| heard.cuts[0].1), Reason::LogStalled);
    session.manner.send_replace(Manner::Fails(FeedError::Closed));
    runner.next().await.stream("data: a\n\n").await;
    let status = world.until(&key("s"), State::is_final).await;
    assert_eq!(status.reason, Some(Reason::SessionClosed));
    world.end().await;
}

#[tokio::test]
async fn an_event_past_the_limit_is_one_loss_and_the_next_is_right() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let limits = Limits { max_line: 64 << 10, max_event: 64 << 10 };
    let setup = Setup { limits, ..setup(&runner.url("/"), &session) };
    world.registry.ensure(&key("s"), setup).await;
    let mut ask = runner.next().await;
    ask.stream(&format!("id: 5\ndata: {}\n\ndata: next\n\n", "x".repeat(4 << 20))).await;
    session.has(&["next"]).await;
    session.heard(|heard| {
        assert_eq!(heard.losses, 1);
        assert_eq!(heard.last_event_id.as_deref(), Some("5"), "it is not asked for again");
    });
    world.end().await;
}

#[tokio::test]
async fn a_heartbeat_is_no_use_of_a_session_and_an_event_is() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream(": beat\n").await;
    session.until(|heard| heard.comments == 1).await;
    let status = world.until(&key("s"), |state| matches!(state, State::Streaming { .. })).await;
    assert_eq!(status.last_event, None);
    ask.send("data: a\n\n").await;
    world.until(&key("s"), |state| matches!(state, State::Streaming { progress: true, .. })).await;
    assert!(world.registry.status(&key("s")).expect("a listener").last_event.is_some());
    world.end().await;
}

#[tokio::test]
async fn an_id_goes_back_as_the_bytes_it_came_in_and_one_that_no_header_can_carry_does_not() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let long = "x".repeat(5000);
    let mut sent = None;
    for (id, goes) in
        [("\u{2026}", true), ("", false), ("a\u{1}b", false), (&long, false), ("z", true)]
    {
        let mut ask = runner.next().await;
        assert_eq!(ask.field("last-event-id"), sent);
        ask.stream(&format!("id: {id}\ndata: {id}\n\n")).await;
        session.until(|heard| heard.events.last().is_some_and(|event| event == id)).await;
        sent = goes.then_some(id);
    }
    assert_eq!(runner.next().await.field("last-event-id"), Some("z"));
    world.end().await;
}
