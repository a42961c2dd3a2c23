use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Fixed;
use crate::publish::Publisher;
use crate::sources::Timing;
use crate::state::{Cause, Fact, Phase};
use crate::testing::{World, ready, until, url};

async fn play(publisher: &Publisher, timing: Timing, script: impl Future<Output = ()>) {
    let mut source = Fixed::new(url(9222, "a"), timing);
    tokio::select! {
        () = source.run(publisher) => panic!("the source ended by itself"),
        () = script => {}
    }
}

fn is_down(publisher: &Publisher) -> bool {
    matches!(publisher.current().phase, Phase::Down { .. })
}

#[tokio::test(start_paused = true)]
async fn a_setting_is_ready_at_once_and_checked_right_after() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    let start = Instant::now();
    play(&publisher, Timing::default(), async {
        assert_eq!(ready(&upstream, 1).await, "a");
        assert_eq!(start.elapsed(), Duration::ZERO);
        let down = until(&upstream, "down", |_| is_down(&publisher)).await;
        assert!(start.elapsed() <= Duration::from_millis(300), "{:?}", start.elapsed());
        assert_eq!(down.last_end.map(|end| end.cause), Some(Cause::UnknownExit));
        world.browser(9222, "a");
        ready(&upstream, 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_every_five_seconds_and_on_hints() {
    let world = World::default();
    world.browser(9222, "a");
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, Timing::default(), async {
        sleep(Duration::from_millis(15_100)).await;
        assert_eq!(world.questions(), 4, "{:?}", world.asked());
        upstream.hint();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(world.questions(), 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn where_the_process_is_watched_only_hints_make_it_ask() {
    let world = World::default();
    world.browser(9222, "a");
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    let timing = Timing { verify_interval: None, ..Timing::default() };
    play(&publisher, timing, async {
        sleep(Duration::from_secs(600)).await;
        assert_eq!(world.questions(), 1);
        // A hint and the notice of the process are two reports of one end.
        world.nothing(9222);
        upstream.hint();
        until(&upstream, "down", |_| is_down(&publisher)).await;
        publisher.apply(Fact::Ended { cause: Cause::Exited { code: 3 } });
        let end = upstream.current().last_end.unwrap();
        assert_eq!((end.generation, end.cause), (1, Cause::Exited { code: 3 }));
        let asked = world.questions();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(world.questions(), asked, "a known end is not asked about");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_instance_is_not_the_one_that_was_set() {
    let world = World::default();
    world.browser(9222, "a");
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    play(&publisher, Timing::default(), async {
        ready(&upstream, 1).await;
        world.browser(9222, "b");
        until(&upstream, "down", |_| is_down(&publisher)).await;
        sleep(Duration::from_secs(60)).await;
        assert!(is_down(&publisher));
    })
    .await;
}
