//! The node's status against what is admitted.

use lockkeeper_api::NodeStatus;
use orchestrator::Config;
use tokio::task::JoinSet;

use crate::world::{World, config, named};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_draining_has_returned_no_create_gets_in() {
    let config = Config { max_sandboxes: 100_000, start_slots: 100_000, ..config() };
    let world = World::with(config).await;
    for round in 0..50 {
        let mut creates = JoinSet::new();
        for n in 0..8 {
            let node = world.node.clone();
            creates.spawn(async move {
                let id = format!("r{round}-{n}");
                let made = node.create(named(&id)).await.is_ok();
                (id, made)
            });
        }
        tokio::task::yield_now().await;
        world.node.set_status(NodeStatus::Draining).unwrap();
        let admitted = world.node.list(&Default::default()).sandboxes.len();
        assert!(world.create("late").await.is_err());
        while let Some(done) = creates.join_next().await {
            done.unwrap();
        }
        let now = world.node.list(&Default::default()).sandboxes.len();
        assert_eq!(now, admitted, "a create got in after the node was draining");
        world.node.set_status(NodeStatus::Healthy).unwrap();
        assert!(world.node.accepting());
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_status_again_keeps_its_time() {
    let world = World::open().await;
    world.node.set_status(NodeStatus::Standby).unwrap();
    let first = world.node.info().changed_at_ms;
    std::thread::sleep(std::time::Duration::from_millis(3));
    world.node.set_status(NodeStatus::Standby).unwrap();
    assert_eq!(world.node.info().changed_at_ms, first);
    assert_eq!(world.create("a").await.unwrap_err().kind(), "door");
    world.node.set_status(NodeStatus::Healthy).unwrap();
    assert_ne!(world.node.info().changed_at_ms, first);
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_refuses_creates_until_it_passes() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.node.report_fitness(Err("the disk is full".to_owned()));
    assert_eq!(world.node.status(), NodeStatus::Unhealthy);
    let refused = world.create("b").await.unwrap_err();
    assert!(refused.to_string().contains("the disk is full"), "{refused}");
    assert!(world.node.live("a").is_ok(), "an unfit node stopped serving what it has");
    world.node.report_fitness(Ok(()));
    world.create("b").await.unwrap();
}
