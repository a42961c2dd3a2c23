//! What a runner's answers lead to.

use between_run_listener::listener::{GiveUp, Reason, State};
use testkit::runner::{Ask, Runner};

use crate::world::{Session, World, key, setup};

/// How a session's listener ends, and after how many requests, when the runner always answers so.
async fn end_of<F: Future<Output = ()>>(answer: impl Fn(Ask) -> F) -> (GiveUp, u64) {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let key = key("s");
    let play = async {
        loop {
            answer(runner.next().await).await;
        }
    };
    let status = tokio::select! {
        () = play => unreachable!("it plays for ever"),
        status = world.until(&key, State::is_final) => status,
    };
    assert!(session.heard(|heard| heard.cuts.is_empty()), "no stream was ever open");
    world.end().await;
    match status.state {
        State::GaveUp(why) => (why, status.counts.attempts),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_401_403_410_and_204_are_asked_once_and_404_three_times() {
    for (status, reason, times) in [
        (401, Reason::Unauthorized, 1),
        (403, Reason::Forbidden, 1),
        (410, Reason::Gone, 1),
        (204, Reason::StoppedByServer, 1),
        (404, Reason::NotFound, 3),
        (418, Reason::Http(418), 1),
        (304, Reason::Http(304), 1),
    ] {
        let end = end_of(|ask| async move { ask.answer(status, &[]).await }).await;
        assert_eq!(end, (GiveUp::Permanent(reason), times), "{status}");
    }
}

#[tokio::test]
async fn a_200_that_is_no_event_stream_is_asked_once() {
    for line in ["Content-Type: text/html", "X-Nothing: 1", "Content-Type: text/event-streams"] {
        let end = end_of(|ask| async move { ask.answer(200, &[line]).await }).await;
        assert_eq!(end, (GiveUp::Permanent(Reason::ContentType), 1), "{line}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_its_reason_is_shown() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let waiting = |state: &State| matches!(state, State::Waiting { .. });
    let reason = || world.registry.status(&key("s")).and_then(|status| status.reason);

    runner.next().await.answer(503, &["Retry-After: 0"]).await;
    let mut ask = runner.next().await;
    assert_eq!(reason(), Some(Reason::Http(503)));
    ask.send("SSH-2.0-OpenSSH\r\n").await;
    let ask = runner.next().await;
    assert_eq!(reason(), Some(Reason::BadHttp));
    ask.reset();
    drop(runner.next().await);
    let address = runner.address();
    assert_eq!(reason(), Some(Reason::Reset));
    drop(runner);
    world.until(&key("s"), |state| waiting(state) && reason() == Some(Reason::Refused)).await;
    // It is there again, and the listener finds it by itself.
    let runner = Runner::at(address).await;
    runner.next().await.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    world.end().await;
}

#[tokio::test]
async fn a_runner_that_sends_interim_answers_is_understood() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await;
    ask.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    world.end().await;
}
