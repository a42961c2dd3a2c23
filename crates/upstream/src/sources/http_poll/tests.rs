use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::HttpPoll;
use crate::publish::Publisher;
use crate::sources::Timing;
use crate::state::{Cause, Fact, Phase};
use crate::testing::{Place, World, ready, until};
use crate::url::UrlError;

fn source() -> HttpPoll {
    HttpPoll::new("localhost", 9222, Timing::default()).unwrap()
}

/// Runs the source while `script` runs.
async fn play(publisher: &Publisher, script: impl Future<Output = ()>) {
    let mut source = source();
    tokio::select! {
        () = source.run(publisher) => panic!("the source ended by itself"),
        () = script => {}
    }
}

#[tokio::test(start_paused = true)]
async fn it_asks_four_times_a_second_until_ready_and_then_each_second() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, async {
        sleep(Duration::from_millis(1100)).await;
        assert_eq!(world.questions(), 5, "{:?}", world.asked());
        world.browser(9222, "a");
        assert_eq!(ready(&upstream, 1).await, "a");
        let before = world.questions();
        sleep(Duration::from_millis(5500)).await;
        assert_eq!(world.questions() - before, 5, "{:?}", world.asked());
    })
    .await;
    assert_eq!(upstream.current().url.unwrap().authority(), "localhost:9222");
}

#[tokio::test(start_paused = true)]
async fn another_id_is_the_next_generation() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, async {
        world.browser(9222, "a");
        ready(&upstream, 1).await;
        world.browser(9222, "b");
        assert_eq!(ready(&upstream, 2).await, "b");
        assert_eq!(upstream.current().last_end, None, "nobody has seen the first one end");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_browser_is_down_without_a_known_cause_and_may_come_back() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, async {
        world.browser(9222, "a");
        ready(&upstream, 1).await;
        for lost in [None, Some(Place::Silent)] {
            match lost {
                None => world.nothing(9222),
                Some(place) => world.set(9222, place),
            }
            let state = until(&upstream, "down", |s| matches!(s.phase, Phase::Down { .. })).await;
            assert_eq!(state.last_end.map(|end| end.cause), Some(Cause::UnknownExit));
            world.browser(9222, "a");
            assert_eq!(ready(&upstream, 1).await, "a");
            assert_eq!(upstream.current().last_end, None);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_finds_the_end_within_half_a_second() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, async {
        world.browser(9222, "a");
        ready(&upstream, 1).await;
        sleep(Duration::from_millis(300)).await;
        world.nothing(9222);
        upstream.hint();
        let start = Instant::now();
        until(&upstream, "down", |s| matches!(s.phase, Phase::Down { .. })).await;
        assert!(start.elapsed() <= Duration::from_millis(500), "{:?}", start.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_browser_within_the_time_of_a_start_is_an_end_and_a_later_one_is_taken() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    let start = Instant::now();
    play(&publisher, async {
        let mut changes = upstream.changes();
        changes.current();
        let state = changes.changed().await;
        assert_eq!(start.elapsed().as_secs(), 60);
        let since = Instant::now().into_std();
        assert_eq!(state.phase, Phase::Down { since, cause: Cause::StartTimeout });
        world.browser(9222, "a");
        assert_eq!(ready(&upstream, 1).await, "a");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_owner_gives_up() {
    let publisher = World::default().publisher();
    publisher.apply(Fact::GaveUp { cause: Cause::UnknownExit });
    source().run(&publisher).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_source_asks_nothing_and_leaves_no_subscriber() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, async { sleep(Duration::from_secs(1)).await }).await;
    assert_eq!(upstream.subscribers(), 0);
    let asked = world.questions();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(world.questions(), asked);
}

#[test]
fn a_place_that_cannot_be_asked_is_refused() {
    assert_eq!(HttpPoll::new("", 1, Timing::default()).err(), Some(UrlError::Malformed));
    assert_eq!(HttpPoll::new("localhost", 0, Timing::default()).err(), Some(UrlError::Port));
}
