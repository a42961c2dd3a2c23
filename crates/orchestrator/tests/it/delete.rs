//! Deleting: idempotent, total, pinned.

use lockkeeper_api::{DeleteWait, SandboxState};
use orchestrator::{Config, DeleteOptions};
use testkit::fake_driver::{Act, Hold, Point};

use crate::world::{World, by, config, named, settle};

#[tokio::test(start_paused = true)]
async fn a_hundred_deletes_at_once_all_succeed_and_stop_once() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let all: Vec<_> = (0..100).map(|_| world.deleting("a")).collect();
    for delete in all {
        let snapshot = delete.await.unwrap().unwrap();
        assert_eq!(snapshot.state().word(), SandboxState::Stopped);
    }
    assert_eq!(world.driver.counts().stops, 1);
    world.delete("a").await;
    assert_eq!(world.stop_reason("a"), Some("request"));
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_not_found() {
    let world = World::open().await;
    assert_eq!(world.node.delete("nobody", by("x")).await.unwrap_err().kind(), "unknown");
}

#[tokio::test(start_paused = true)]
async fn deleting_a_starting_sandbox_cancels_its_start() {
    for point in Point::START {
        let world = World::open().await;
        world.driver.script(move |at| if at.point == point { Act::Hang } else { Act::Go });
        let create = world.creating(named("a"));
        world.reaches("a", SandboxState::Starting).await;
        settle().await;
        world.delete("a").await;
        assert_eq!(create.await.unwrap().unwrap_err().kind(), "deleted", "{point:?}");
        assert_eq!(world.stop_reason("a"), Some("request"));
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_a_queued_sandbox_starts_nothing() {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StartSpawned => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let first = world.creating(named("first"));
    hold.reached(1).await;
    let queued = world.creating(named("queued"));
    world.reaches("queued", SandboxState::Requested).await;
    world.delete("queued").await;
    assert_eq!(queued.await.unwrap().unwrap_err().kind(), "deleted");
    hold.release();
    first.await.unwrap().unwrap();
    assert_eq!(world.driver.counts().starts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_delete_leaves_a_newer_incarnation_and_its_sessions_alone() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let older = world.lifecycle("a");
    world.delete("a").await;
    world.create("a").await.unwrap();
    let newer = world.lifecycle("a");
    let live = world.node.live("a").unwrap();
    let session = live.sessions.enter_owned().unwrap();
    let pinned = |lifecycle| DeleteOptions { lifecycle: Some(lifecycle), ..by("pinned") };
    let refused = world.node.delete("a", pinned(older)).await.unwrap_err();
    assert_eq!(refused.kind(), "mismatch");
    assert_eq!(
        (world.lifecycle("a"), world.state("a")),
        (newer.clone(), Some(SandboxState::Running))
    );
    assert_eq!((*live.stop.borrow(), live.sessions.is_draining()), (None, false));
    assert_eq!(live.upstream.current().generation, 1);
    drop(session);
    world.node.delete("a", pinned(newer)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delete_waits_for_as_much_as_it_is_told_to() {
    let world = World::open().await;
    let cleanup = Hold::new();
    let held = cleanup.clone();
    world.driver.script(move |at| match at.point {
        Point::StopCleanup => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    world.create("a").await.unwrap();
    let accepted = DeleteOptions { wait: DeleteWait::Accepted, ..by("x") };
    let snapshot = world.node.delete("a", accepted).await.unwrap();
    assert_eq!(snapshot.state().word(), SandboxState::Stopping);
    let cleaned = world.deleting("a");
    cleanup.reached(1).await;
    settle().await;
    assert!(!cleaned.is_finished());
    cleanup.release();
    assert_eq!(cleaned.await.unwrap().unwrap().state().word(), SandboxState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_caller_leaves_goes_on() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let delete = world.deleting("a");
    settle().await;
    delete.abort();
    world.reaches("a", SandboxState::Stopped).await;
    world.nothing_left().await;
}
