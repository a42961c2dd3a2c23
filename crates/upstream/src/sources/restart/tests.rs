use std::time::Duration;

use tokio::time::Instant;

use super::{End, Panicked, Progress, Restarts, guarded};
use crate::sources::{HttpPoll, Timing};
use crate::state::Phase;
use crate::testing::{Place, World, ready};

#[tokio::test]
async fn a_panic_is_caught_with_its_message() {
    assert_eq!(guarded(async { 7 }).await, Ok(7));
    let panicked = guarded(async { panic!("the {} message", 1) }).await;
    assert_eq!(panicked, Err::<(), _>(Panicked("the 1 message".into())));
    let panicked = guarded(async { std::panic::panic_any(7) }).await;
    assert_eq!(panicked, Err::<(), _>(Panicked("panic without a message".into())));
}

/// The wait before the next run, in milliseconds.
async fn wait(restarts: &mut Restarts, progress: &Progress) -> u128 {
    let publisher = World::default().publisher();
    let start = Instant::now();
    let outcome = Ok(End::Failed("test"));
    assert!(restarts.again(&publisher, "test", progress, outcome).await);
    assert_eq!(publisher.upstream().counts().source_restarts, 1);
    start.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_and_longer_until_something_works() {
    let (mut restarts, progress) = (Restarts::default(), Progress::default());
    for expected in [250, 500, 1000, 2000, 2000] {
        let wait = wait(&mut restarts, &progress).await;
        assert!(wait.abs_diff(expected) <= expected / 5 + 2, "{wait} is not about {expected}");
    }
    progress.made();
    assert!(wait(&mut restarts, &progress).await <= 302);
    assert!(wait(&mut restarts, &progress).await >= 400, "one success is good for one reset");
}

#[tokio::test]
async fn a_source_whose_owner_gave_up_is_not_run_again() {
    let publisher = World::default().publisher();
    let mut restarts = Restarts::default();
    let over = restarts.again(&publisher, "test", &Progress::default(), Ok(End::Gone)).await;
    assert!(!over);
    assert_eq!(publisher.upstream().counts().source_restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_source_is_run_again_and_the_state_stays() {
    let world = World::default();
    let publisher = world.publisher();
    let upstream = publisher.upstream();
    world.browser(9222, "a");
    let mut source = HttpPoll::new("127.0.0.1", 9222, Timing::default()).unwrap();
    let script = async {
        ready(&upstream, 1).await;
        world.set(9222, Place::Panics);
        let mut changes = upstream.changes();
        changes.current();
        let start = Instant::now();
        while upstream.counts().source_restarts < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", upstream.counts());
        }
        assert_eq!(upstream.current().phase, Phase::Ready);
        world.browser(9222, "b");
        assert_eq!(ready(&upstream, 2).await, "b");
    };
    tokio::select! {
        () = source.run(&publisher) => panic!("it ran out"),
        () = script => {}
    }
}
