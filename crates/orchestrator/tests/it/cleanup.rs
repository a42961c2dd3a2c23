//! Cleanups that fail, panic or hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lockkeeper_api::SandboxState;
use testkit::fake_driver::{Act, Point};
use tokio::time::Instant;

use crate::world::{World, secs};

/// Fails the first `times` cleanups.
async fn failing(times: u32) -> World {
    let world = World::open().await;
    let left = Arc::new(AtomicU32::new(times));
    world.driver.script(move |at| {
        let take = |left: u32| left.checked_sub(1);
        let fails = at.point == Point::StopCleanup
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if fails { Act::Fail("the directory is busy".to_owned()) } else { Act::Go }
    });
    world
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_fails_is_tried_again_while_the_record_stays() {
    let world = failing(3).await;
    world.create("a").await.unwrap();
    let snapshot = world.delete("a").await;
    // No process is alive, and that is what the delete waited for.
    assert_eq!(world.driver.counts().processes, 0);
    assert_eq!(snapshot.state().word(), SandboxState::Stopping);
    assert_eq!(world.create("a").await.unwrap_err().kind(), "exists");
    let info = world.node.info();
    assert_eq!(info.capacity.used, 1, "its place was given away before it was cleaned up");
    world.reaches("a", SandboxState::Stopped).await;
    assert_eq!(world.driver.counts().stops, 4);
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_never_succeeds_is_given_up_and_reported() {
    let world = failing(u32::MAX).await;
    world.create("a").await.unwrap();
    let asked = Instant::now();
    world.delete("a").await;
    tokio::time::sleep(secs(300)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Stopped));
    assert_eq!(world.driver.counts().stops, 10);
    assert_eq!(world.driver.counts().processes, 0);
    assert!(asked.elapsed() > secs(60), "it was not tried for long enough");
    let view = world.node.get("a").unwrap();
    let urls = orchestrator::urls::UrlBuilder::of_request("h").urls(None, "a");
    assert_eq!(view.view(urls, "n").cleanup_errors, ["the directory is busy"]);
    assert_eq!(world.node.info().capacity.used, 0);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_in_stop_is_asked_again() {
    let world = World::open().await;
    let first = Arc::new(AtomicU32::new(0));
    world.driver.script(move |at| {
        let panics = at.point == Point::StopBegin && first.fetch_add(1, Ordering::Relaxed) == 0;
        if panics { Act::Panic } else { Act::Go }
    });
    world.create("a").await.unwrap();
    world.delete("a").await;
    assert_eq!(world.driver.counts().processes, 0, "the panic left the browser alive");
    world.reaches("a", SandboxState::Stopped).await;
    world.nothing_left().await;
}
