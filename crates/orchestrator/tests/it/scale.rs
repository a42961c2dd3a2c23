//! A thousand sandboxes on one node: figures, with bounds that a loaded machine keeps too.

use std::time::{Duration, Instant};

use lockkeeper_api::CreateRequest;
use orchestrator::driver::LifecycleId;
use orchestrator::{Config, ForceReason};
use testkit::fake_driver::FakeDriver;

use crate::world::{World, config, secs};

async fn thousand() -> (World, Vec<LifecycleId>) {
    let config = Config { max_sandboxes: 1000, start_slots: 1000, ..config() };
    let world = World::on(FakeDriver::with_start_time(Duration::ZERO), config).await;
    let began = Instant::now();
    let all: Vec<_> = (0..1000).map(|_| world.creating(CreateRequest::default())).collect();
    let mut lifecycles = Vec::new();
    for create in all {
        lifecycles.push(create.await.unwrap().unwrap().record().lifecycle.clone());
    }
    println!("1000 creates on a driver that takes no time: {:?}", began.elapsed());
    (world, lifecycles)
}

/// Two cores of a busy machine, an unoptimised build.
const BOUND: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_ends_end_a_drain_soon_after_the_last() {
    let (world, _) = thousand().await;
    world.node.begin_server_drain(None);
    world.node.wait_admitted().await;
    world.node.begin_factory_drain();
    world.node.wait_starts().await;
    let began = Instant::now();
    let ids: Vec<_> = world.node.blockers().into_iter().map(|blocker| blocker.id).collect();
    let deletes: Vec<_> = ids.iter().map(|id| world.deleting(id)).collect();
    world.node.wait_live_empty().await;
    world.node.wait_cleanup().await;
    let took = began.elapsed();
    println!("1000 deletes and the end of the drain: {took:?}");
    for delete in deletes {
        delete.await.unwrap().unwrap();
    }
    assert!(took < BOUND, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sandboxes_are_stopped_by_force_at_once() {
    let (world, _) = thousand().await;
    let began = Instant::now();
    let report = world.node.force_stop(ForceReason::ForceStop, secs(30), |_| ()).await;
    let took = began.elapsed();
    println!("1000 sandboxes stopped by force: {took:?}");
    assert!(report.stuck.is_empty(), "{:?}", report.stuck.len());
    assert!(took < BOUND, "it took {took:?}");
}
