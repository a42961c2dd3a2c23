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
