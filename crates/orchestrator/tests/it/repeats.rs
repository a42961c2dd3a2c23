//! The same request id gets the first outcome.

use std::sync::Arc;
use std::time::Duration;

use lockkeeper_api::{RestartRequest, SandboxState};
use orchestrator::snapshots::{Retention, SnapshotStore};
use orchestrator::{Config, PauseError, PauseOptions};
use testkit::fake_driver::{Act, Hold, Point};

use crate::world::{World, config, secs, settle};

fn named(request: &str) -> PauseOptions {
    PauseOptions { request: Some(request.to_owned()), ..PauseOptions::default() }
}

async fn world() -> World {
    let objects = Arc::new(object_store::memory::InMemory::new());
    let store = SnapshotStore::on(objects, "n1", Retention::default());
    World::with(Config { snapshots: Some(store), max_ttl: Duration::ZERO, ..config() }).await
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_operation_gets_the_first_outcome_and_does_nothing() {
    let world = world().await;
    world.create("a").await.unwrap();
    let paused = world.node.pause("a", named("p1")).await.unwrap();
    let resumed = world.node.resume("a", named("r1")).await.unwrap();
    // It runs by now, and a pause with a word of its own would park it again.
    let again = world.node.pause("a", named("p1")).await.unwrap();
    assert_eq!(again.record().lifecycle, paused.record().lifecycle);
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    let again = world.node.resume("a", named("r1")).await.unwrap();
    assert_eq!(again.record().lifecycle, resumed.record().lifecycle);
    let saved = world.node.checkpoint("a", named("c1")).await.unwrap();
    let again = world.node.checkpoint("a", named("c1")).await.unwrap();
    assert_eq!(again.snapshot, saved.snapshot);
    assert_eq!(world.node.snapshots(None, 10).await.unwrap().snapshots.len(), 1);
    let restart =
        || RestartRequest { request_id: Some("b1".to_owned()), ..RestartRequest::default() };
    let first = world.node.restart_browser("a", restart()).await.unwrap();
    let again = world.node.restart_browser("a", restart()).await.unwrap();
    assert_eq!(first.record().browser.generation, 2);
    assert_eq!(again.record().browser.generation, 2);
    let starts = world.driver.counts().starts;
    assert_eq!(starts, 3, "a create, a resume and a checkpoint");
    // Another word, and the same one of another sandbox, are attempts of their own.
    world.node.checkpoint("a", named("c2")).await.unwrap();
    world.create("b").await.unwrap();
    world.node.checkpoint("b", named("c1")).await.unwrap();
    assert_eq!(world.node.snapshots(None, 10).await.unwrap().snapshots.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_remembered_for_ten_minutes() {
    let world = world().await;
    world.node.create(crate::world::request(r#"{"id": "a", "ttl": "2h"}"#)).await.unwrap();
    world.node.checkpoint("a", named("c")).await.unwrap();
    tokio::time::sleep(secs(9 * 60)).await;
    world.node.checkpoint("a", named("c")).await.unwrap();
    assert_eq!(world.node.snapshots(None, 10).await.unwrap().snapshots.len(), 1);
    tokio::time::sleep(secs(2 * 60)).await;
    world.node.checkpoint("a", named("c")).await.unwrap();
    assert_eq!(world.node.snapshots(None, 10).await.unwrap().snapshots.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_refusal_is_a_first_attempt_and_one_of_a_failure_is_not() {
    let world = world().await;
    world.create("a").await.unwrap();
    world.driver.set_free_disk(0);
    assert!(matches!(world.node.pause("a", named("p")).await, Err(PauseError::NoRoom(_))));
    world.driver.set_free_disk(u64::MAX);
    world.driver.script(|at| match at.point {
        Point::SaveEnd => Act::Fail("disk full".to_owned()),
        _ => Act::Go,
    });
    let first = world.node.pause("a", named("p")).await;
    assert!(matches!(first, Err(PauseError::Gone { .. } | PauseError::NotSaved(_))), "{first:?}");
    world.driver.script(|_| Act::Go);
    let again = world.node.pause("a", named("p")).await;
    assert_eq!(again.map(drop), first.map(drop), "it has failed, and the client is told again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_comes_back_for_the_outcome() {
    let world = world().await;
    world.create("a").await.unwrap();
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::ExportEnd => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let mut left = Box::pin(world.node.checkpoint("a", named("c")));
    assert!(futures_util::poll!(&mut left).is_pending());
    hold.reached(1).await;
    drop(left);
    let mut back = Box::pin(world.node.checkpoint("a", named("c")));
    settle().await;
    assert!(futures_util::poll!(&mut back).is_pending(), "it waits for the first one");
    hold.release();
    back.await.unwrap();
    assert_eq!(world.node.snapshots(None, 10).await.unwrap().snapshots.len(), 1);
    assert_eq!(world.driver.counts().starts, 2);
}
