//! Force stop: everything ends inside a budget, and what does not is named.

use std::sync::{Arc, Mutex};

use lockkeeper_api::{CreateRequest, SandboxState};
use orchestrator::{Config, ForceReason};
use telemetry::words::ContextDetail;
use testkit::fake_driver::{Act, Hold, Point};
use tokio::time::Instant;

use crate::world::{World, config, named, secs, settle};

#[tokio::test(start_paused = true)]
async fn a_force_stop_cleans_everything_up() {
    let world = World::open().await;
    for id in ["a", "b", "c"] {
        world.create(id).await.unwrap();
    }
    let live = world.node.live("a").unwrap();
    let report = world.node.force_stop(ForceReason::NodeDrain, secs(30), |_| ()).await;
    assert_eq!((report.ended, report.killed), (3, 0));
    assert!(report.stuck.is_empty() && report.errors.is_empty(), "{report:?}");
    assert_eq!(*live.stop.borrow(), Some(ContextDetail::NodeDrain));
    assert_eq!(world.stop_reason("c"), Some("node_drain"));
    world.nothing_left().await;
    assert_eq!(world.create("late").await.unwrap_err().kind(), "door");
}

#[tokio::test(start_paused = true)]
async fn fifty_hung_cleanups_are_killed_named_and_left_within_the_budget() {
    let config = Config { max_sandboxes: 50, start_slots: 50, ..config() };
    let world = World::with(config).await;
    let all: Vec<_> = (0..50).map(|n| world.creating(named(&format!("s{n}")))).collect();
    for create in all {
        create.await.unwrap().unwrap();
    }
    world.driver.script(|at| if at.point == Point::StopBegin { Act::Hang } else { Act::Go });
    let asked = Instant::now();
    let report = world.node.force_stop(ForceReason::ForceStop, secs(30), |_| ()).await;
    assert!(asked.elapsed() <= secs(31), "{:?}", asked.elapsed());
    assert_eq!((report.ended, report.killed, report.stuck.len()), (0, 50, 50));
    assert_eq!(report.stuck[7].step.to_string(), "stopping the browser");
    assert_eq!(world.driver.counts().processes, 0, "a process outlived the budget");
    tokio::time::timeout(secs(5), world.node.close()).await.expect("close hangs");
    assert_eq!(world.driver.counts().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn one_hung_cleanup_does_not_hold_up_the_others() {
    let world = World::open().await;
    for id in ["a", "b", "c"] {
        world.create(id).await.unwrap();
    }
    let hung = world.lifecycle("b");
    let it = hung.clone();
    world.driver.script(move |at| match at.point {
        Point::StopCleanup if *at.lifecycle == it => Act::Hang,
        _ => Act::Go,
    });
    let report = world.node.force_stop(ForceReason::NodeDrain, secs(9), |_| ()).await;
    assert_eq!((report.ended, report.stuck.len()), (2, 1));
    assert_eq!((report.stuck[0].sandbox.as_str(), &report.stuck[0].lifecycle), ("b", &hung));
    assert_eq!(world.state("a"), Some(SandboxState::Stopped));
    assert_eq!(world.driver.instances(), [hung]);
}

#[tokio::test(start_paused = true)]
async fn starts_held_in_every_step_are_cancelled_and_told_so() {
    let world = World::with(Config { start_slots: 3, ..config() }).await;
    world.driver.script(|at| {
        let here = format!("--{:?}", at.point);
        if at.has(&here) { Act::Hang } else { Act::Go }
    });
    let mut starts: Vec<_> = Point::START
        .into_iter()
        .map(|point| {
            let flags = Some(vec![format!("--{point:?}")]);
            world.creating(CreateRequest { flags, ..CreateRequest::default() })
        })
        .collect();
    settle().await;
    starts.push(world.creating(named("queued")));
    world.reaches("queued", SandboxState::Requested).await;
    let asked = Instant::now();
    let report = world.node.force_stop(ForceReason::ForceStop, secs(30), |_| ()).await;
    assert!(asked.elapsed() < secs(5) && report.stuck.is_empty(), "{report:?}");
    for start in starts {
        assert_eq!(start.await.unwrap().unwrap_err().kind(), "force_stopped");
    }
    assert_eq!(world.stop_reason("queued"), Some("force_stop"));
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn starts_that_ignore_their_cancel_do_not_survive() {
    let world = World::open().await;
    world.driver.script(|at| match at.point {
        Point::Cancel | Point::StartSpawned | Point::StopBegin => Act::Hang,
        _ => Act::Go,
    });
    let start = world.creating(named("a"));
    world.reaches("a", SandboxState::Starting).await;
    settle().await;
    let report = world.node.force_stop(ForceReason::ForceStop, secs(30), |_| ()).await;
    assert_eq!((report.killed, report.stuck.len()), (1, 1));
    assert_eq!(start.await.unwrap().unwrap_err().kind(), "force_stopped");
    assert_eq!(world.driver.counts().processes, 0);
    world.node.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_is_heard_of_as_it_happens_and_named_once() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.create("b").await.unwrap();
    let bad = world.lifecycle("a");
    let it = bad.clone();
    world.driver.script(move |at| match at.point {
        Point::StopCleanup if *at.lifecycle == it => Act::Fail("busy".to_owned()),
        _ => Act::Go,
    });
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let told = move |error: orchestrator::ForceError| sink.lock().unwrap().push(error.lifecycle);
    // Even if nobody waits for the end.
    let cut = world.node.force_stop(ForceReason::NodeDrain, secs(30), told);
    assert!(tokio::time::timeout(secs(5), cut).await.is_err());
    let told: Vec<_> = heard.lock().unwrap().clone();
    assert!(told.len() > 1 && told.iter().all(|lifecycle| *lifecycle == bad), "{told:?}");
    let report = world.node.force_stop(ForceReason::NodeDrain, secs(6), |_| ()).await;
    assert_eq!(report.errors.len(), 1, "{report:?}");
    assert_eq!((report.errors[0].sandbox.as_str(), report.stuck.len()), ("a", 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_began_before_the_force_keeps_its_reason() {
    let world = World::open().await;
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StopBegin => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    world.create("a").await.unwrap();
    let delete = world.deleting("a");
    hold.reached(1).await;
    let force = world.node.force_stop(ForceReason::ForceStop, secs(30), |_| ());
    tokio::pin!(force);
    assert!(tokio::time::timeout(secs(1), &mut force).await.is_err());
    hold.release();
    let report = force.await;
    assert!(report.stuck.is_empty(), "{report:?}");
    delete.await.unwrap().unwrap();
    assert_eq!((world.stop_reason("a"), world.driver.counts().stops), (Some("request"), 1));
}
