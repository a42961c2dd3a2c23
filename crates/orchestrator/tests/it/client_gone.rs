//! A client that leaves while its create is under way.

use lockkeeper_api::{CreateRequest, SandboxState};
use orchestrator::Config;
use testkit::fake_driver::{Act, Hold, Point};

use crate::world::{World, config, flagged, named, settle};

async fn held_at(point: Point) -> (World, Hold) {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point == point {
        true => Act::Hold(held.clone()),
        false => Act::Go,
    });
    (world, hold)
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_knows_of_is_undone_at_every_point() {
    for point in Point::START {
        let (world, hold) = held_at(point).await;
        let create = world.creating(CreateRequest::default());
        hold.reached(1).await;
        create.abort();
        world.nothing_left().await;
        hold.release();
        world.create("next").await.unwrap();
        assert_eq!(world.driver.counts().processes, 1, "{point:?}");
        world.delete("next").await;
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_knows_of_leaves_the_queue_and_its_place() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let first = world.creating(named("first"));
    hold.reached(1).await;
    let waiter = world.creating(CreateRequest::default());
    settle().await;
    let third = world.creating(named("third"));
    settle().await;
    assert_eq!(world.node.info().slots.queued, 2);
    waiter.abort();
    settle().await;
    let info = world.node.info();
    assert_eq!((info.slots.queued, info.capacity.used), (1, 2));
    hold.release();
    first.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    assert_eq!(world.driver.counts().starts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_with_the_clients_own_id_goes_on() {
    for point in Point::START {
        let (world, hold) = held_at(point).await;
        let create = world.creating(named("mine"));
        hold.reached(1).await;
        create.abort();
        settle().await;
        assert_eq!(world.state("mine"), Some(SandboxState::Starting), "{point:?}");
        hold.release();
        world.reaches("mine", SandboxState::Running).await;
        world.delete("mine").await;
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queued_create_with_the_clients_own_id_goes_on() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let first = world.creating(flagged("first", "--x"));
    hold.reached(1).await;
    let queued = world.creating(named("mine"));
    world.reaches("mine", SandboxState::Requested).await;
    queued.abort();
    hold.release();
    first.await.unwrap().unwrap();
    world.reaches("mine", SandboxState::Running).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_client_that_left() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let create = world.creating(CreateRequest::default());
    hold.reached(1).await;
    world.node.begin_server_drain(None);
    create.abort();
    world.node.wait_admitted().await;
    world.node.begin_factory_drain();
    world.node.wait_starts().await;
    world.node.wait_live_empty().await;
    world.node.wait_cleanup().await;
    world.nothing_left().await;
}

fn attempt(name: &str) -> CreateRequest {
    CreateRequest { request_id: Some(name.to_owned()), ..CreateRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_create_gets_the_first_outcome() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let first = world.creating(attempt("try-1"));
    hold.reached(1).await;
    let during = world.creating(attempt("try-1"));
    settle().await;
    world.node.begin_server_drain(None);
    hold.release();
    let first = first.await.unwrap().unwrap();
    let during = during.await.unwrap().unwrap();
    let after = world.node.create(attempt("try-1")).await.unwrap();
    let made = first.record().lifecycle.clone();
    assert_eq!((&during.record().lifecycle, &after.record().lifecycle), (&made, &made));
    assert_eq!(world.driver.counts().starts, 1);
    world.delete(first.record().id.as_str()).await;
    let ended = world.node.create(attempt("try-1")).await.unwrap();
    assert_eq!(ended.state().word(), SandboxState::Stopped);
    assert_eq!(world.node.create(attempt("try-2")).await.unwrap_err().kind(), "door");
}

#[tokio::test(start_paused = true)]
async fn a_start_goes_on_while_any_of_its_clients_waits() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let first = world.creating(attempt("try-1"));
    hold.reached(1).await;
    let repeat = world.creating(attempt("try-1"));
    settle().await;
    first.abort();
    settle().await;
    assert_eq!(world.node.drain_counts().starting, 1);
    hold.release();
    repeat.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_everybody_left_starts_anew() {
    let (world, hold) = held_at(Point::StartSpawned).await;
    let first = world.creating(attempt("try-1"));
    hold.reached(1).await;
    first.abort();
    world.nothing_left().await;
    hold.release();
    world.node.create(attempt("try-1")).await.unwrap();
    assert_eq!(world.driver.counts().starts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_failed_create_gets_its_failure() {
    let world = World::open().await;
    world.driver.script(|at| match at.point {
        Point::StartSpawned => Act::Fail("no".to_owned()),
        _ => Act::Go,
    });
    let first = world.node.create(attempt("try-1")).await.unwrap_err();
    world.driver.script(|_| Act::Go);
    assert_eq!(world.node.create(attempt("try-1")).await.unwrap_err(), first);
    assert_eq!(world.driver.counts().starts, 1);
}
