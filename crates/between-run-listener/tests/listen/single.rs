//! One listener a session, whoever asks and however often.

use std::sync::Arc;
use std::time::Duration;

use between_run_listener::listener::{GiveUp, Reason, State};
use between_run_listener::registry::{Ensured, Refusal};
use testkit::runner::{PATIENCE, Runner};

use crate::world::{Manner, Session, World, key, setup, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_wishes_at_once_are_one_task_one_socket_and_one_entry() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let mut wishes = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let registry = Arc::clone(&world.registry);
        let setup = setup(&runner.url("/"), &session);
        wishes.spawn(async move { registry.ensure(&key("s"), setup).await });
    }
    let mut started = 0;
    let mut generations = std::collections::BTreeSet::new();
    while let Some(ensured) = wishes.join_next().await {
        match ensured.expect("no panic") {
            Ensured::Started(generation) => {
                started += 1;
                generations.insert(generation);
            }
            Ensured::Already(generation) => {
                generations.insert(generation);
            }
            Ensured::Refused(why) => panic!("{why}"),
        }
    }
    assert_eq!((started, generations.len()), (1, 1));
    assert_eq!((world.registry.len(), world.registry.tasks()), (1, 1));
    let mut ask = runner.next().await;
    ask.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    assert!(!runner.is_asked_within(Duration::from_millis(50)).await, "a second socket");
    // Nobody holds what the losers brought: the world, the session's test and the one listener do.
    assert_eq!(Arc::strong_count(&session), 2);
    world.end().await;
    assert_eq!(Arc::strong_count(&session), 1);
}

#[tokio::test]
async fn the_same_session_name_in_two_projects_shares_nothing() {
    let world = World::new();
    let key = |project| between_run_listener::SessionKey::new(project, "s").expect("names");
    let runners = [Runner::start().await, Runner::start().await];
    let sessions = [Session::new(), Session::new()];
    for (at, project) in ["a", "b"].into_iter().enumerate() {
        let ensured =
            world.registry.ensure(&key(project), setup(&runners[at].url("/"), &sessions[at])).await;
        assert!(matches!(ensured, Ensured::Started(_)), "{ensured:?}");
    }
    let mut asks = [runners[0].next().await, runners[1].next().await];
    for (ask, text) in asks.iter_mut().zip(["one", "two"]) {
        ask.stream(&format!("data: {text}\n\n")).await;
    }
    sessions[0].has(&["one"]).await;
    sessions[1].has(&["two"]).await;
    assert!(world.registry.cancel(&key("a")).await);
    asks[0].closed().await;
    asks[1].send("data: still\n\n").await;
    sessions[1].has(&["two", "still"]).await;
    world.end().await;
}

#[tokio::test]
async fn a_replaced_listener_is_gone_before_the_next_begins_and_its_end_leaves_the_next() {
    let (world, session) = (World::new(), Session::new());
    let (old, new) = (Runner::start().await, Runner::start().await);
    let first = world.registry.ensure(&key("s"), setup(&old.url("/"), &session)).await;
    let Ensured::Started(first) = first else { panic!("{first:?}") };
    let mut ask = old.next().await;
    ask.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    let second = world.registry.replace(&key("s"), setup(&new.url("/"), &session)).await;
    let Ensured::Started(second) = second else { panic!("{second:?}") };
    assert!(second > first);
    assert_eq!((world.registry.len(), world.registry.tasks()), (1, 1));
    ask.closed().await;
    let mut ask = new.next().await;
    // The old one's generation can end nothing any more.
    assert!(!world.registry.cancel_if(&key("s"), first).await);
    ask.stream("data: b\n\n").await;
    session.has(&["a", "b"]).await;
    assert!(world.registry.cancel_if(&key("s"), second).await);
    assert!(!world.registry.cancel(&key("s")).await, "it is idempotent");
    ask.closed().await;
    world.end().await;
}

#[tokio::test]
async fn a_wish_makes_a_waiting_listener_connect_now() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let slow = between_run_listener::listener::Rules {
        retry_min: Some(Duration::from_secs(30)),
        ..crate::world::rules()
    };
    let setup = || between_run_listener::listener::Setup {
        rules: slow,
        ..setup(&runner.url("/"), &session)
    };
    world.registry.ensure(&key("s"), setup()).await;
    drop(runner.next().await);
    world.until(&key("s"), |state| matches!(state, State::Waiting { .. })).await;
    let ensured = world.registry.ensure(&key("s"), setup()).await;
    assert!(matches!(ensured, Ensured::Already(_)), "{ensured:?}");
    // In far less than the half minute that it would have waited.
    runner.next().await.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    world.end().await;
}

#[tokio::test]
async fn a_panic_is_a_state_that_shows_and_the_next_wish_after_it_starts_another() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    session.manner.send_replace(Manner::Panics);
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream("data: a\n\n").await;
    ask.closed().await;
    let status = world.until(&key("s"), State::is_final).await;
    assert_eq!(status.state, State::GaveUp(GiveUp::Internal));
    session.until(|heard| heard.states.last() == Some(&"gave_up")).await;
    session.manner.send_replace(Manner::Takes);
    let ensured = world.registry.replace(&key("s"), setup(&runner.url("/"), &session)).await;
    assert!(matches!(ensured, Ensured::Started(_)), "{ensured:?}");
    runner.next().await.stream("data: b\n\n").await;
    session.has(&["b"]).await;
    world.end().await;
}

#[tokio::test]
async fn a_listener_that_gave_up_is_not_started_again_by_every_wish() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let setup = || setup(&runner.url("/"), &session);
    world.registry.ensure(&key("s"), setup()).await;
    runner.next().await.answer(401, &[]).await;
    let status = world.until(&key("s"), State::is_final).await;
    assert_eq!(status.state, State::GaveUp(GiveUp::Permanent(Reason::Unauthorized)));
    // Its entry may still be on its way out.
    let ensured = soon(world.registry.ensure(&key("s"), setup())).await;
    assert!(matches!(ensured, Ensured::Refused(Refusal::TooSoon { .. })), "{ensured:?}");
    assert!(!runner.is_asked_within(Duration::from_millis(50)).await);
    assert_eq!(world.registry.snapshot().len(), 1, "how it ended is still to be seen");
    // New settings are tried at once.
    let ensured = world.registry.replace(&key("s"), setup()).await;
    assert!(matches!(ensured, Ensured::Started(_)), "{ensured:?}");
    runner.next().await.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    world.end().await;
}

#[tokio::test]
async fn after_a_drain_began_nothing_is_started_and_what_listens_goes_on() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream("").await;
    world.keeper.begin_drain();
    for ensured in [
        world.registry.ensure(&key("t"), setup(&runner.url("/"), &session)).await,
        world.registry.replace(&key("t"), setup(&runner.url("/"), &session)).await,
    ] {
        assert_eq!(ensured, Ensured::Refused(Refusal::Draining));
    }
    let sessions = vec![(key("u"), setup(&runner.url("/"), &session))];
    assert_eq!(soon(world.registry.start_all(sessions)).await, 0);
    ask.send("data: a\n\n").await;
    session.has(&["a"]).await;
    assert_eq!(world.registry.len(), 1);
    let report = world.registry.shutdown(std::time::Instant::now() + PATIENCE).await;
    assert_eq!((report.joined, report.late), (1, 0));
    ask.closed().await;
    world.end().await;
}
