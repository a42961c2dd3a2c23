//! Draining: what it waits for, and who holds it up.

use std::time::Duration;

use lockkeeper_api::{NodeStatus, SandboxState};
use orchestrator::{ForceReason, OperatorDrain};
use telemetry::words::ContextDetail;
use testkit::fake_driver::{Act, Hold, Point};
use tokio::time::Instant;

use crate::world::{World, named, request, secs, settle};

#[tokio::test(start_paused = true)]
async fn the_end_of_the_last_sandbox_ends_the_wait() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "ttl": "5s"}"#)).await.unwrap();
    world.node.create(request(r#"{"id": "b", "ttl": "9s"}"#)).await.unwrap();
    let ready = Instant::now();
    world.node.begin_server_drain(None);
    world.node.wait_admitted().await;
    world.node.begin_factory_drain();
    world.node.wait_starts().await;
    world.node.wait_live_empty().await;
    world.node.wait_cleanup().await;
    let waited = ready.elapsed();
    assert!(waited >= secs(9) && waited < secs(9) + Duration::from_millis(50), "{waited:?}");
    assert_eq!(world.node.drain_totals().stopped, 2);
    assert_eq!(world.stop_reason("b"), Some("ttl"));
}

#[tokio::test(start_paused = true)]
async fn blockers_are_named_with_their_sessions_and_their_end() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "older", "ttl": "1h"}"#)).await.unwrap();
    tokio::time::sleep(secs(10)).await;
    world.node.create(request(r#"{"id": "newer", "ttl": "60s"}"#)).await.unwrap();
    let _session = world.node.live("newer").unwrap().sessions.enter_owned().unwrap();
    let blockers = world.node.blockers();
    let names: Vec<_> = blockers.iter().map(|blocker| blocker.id.as_str()).collect();
    assert_eq!(names, ["older", "newer"]);
    assert_eq!(blockers[0].state, SandboxState::Running);
    assert!(blockers[0].age >= secs(10) && blockers[1].age < secs(1));
    assert_eq!((blockers[0].sessions, blockers[1].sessions), (0, 1));
    assert!(blockers[0].expires_in.unwrap() > blockers[1].expires_in.unwrap());
    let counts = world.node.drain_counts();
    assert_eq!((counts.live, counts.starting, counts.sessions), (2, 0, 1));
    assert!(world.node.last_ends_by().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_drain_can_end_each_sandbox_when_its_last_session_is_gone() {
    let world = World::open().await;
    for id in ["unused", "used", "held"] {
        world.create(id).await.unwrap();
    }
    let session = world.node.live("used").unwrap().sessions.enter_owned().unwrap();
    let held = world.node.live("held").unwrap();
    let _stays = held.sessions.enter_owned().unwrap();
    world.node.begin_server_drain(None);
    let unused = world.node.end_unused();
    tokio::pin!(unused);
    assert!(tokio::time::timeout(secs(5), &mut unused).await.is_err());
    assert_eq!(world.stop_reason("unused"), Some("node_drain"));
    assert_eq!(world.stop_reason("used"), None);
    assert!(world.node.live("used").unwrap().sessions.enter_owned().is_err(), "no session gets in");
    drop(session);
    assert!(tokio::time::timeout(secs(5), &mut unused).await.is_err());
    assert_eq!(world.stop_reason("used"), Some("node_drain"));
    // What is left is told why when the drain is forced, although its gate is closed already.
    assert_eq!(*held.stop.borrow(), None);
    world.node.force_stop(ForceReason::NodeDrain, secs(30), |_| {}).await;
    assert_eq!(*held.stop.borrow(), Some(ContextDetail::NodeDrain));
    let ends = world.events_of("sandbox_stopped").await;
    let cut: Vec<_> = ends.iter().map(|end| end["data"]["sessions_cut"].clone()).collect();
    assert_eq!(cut, [0, 0, 1], "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_not_over_while_anything_is_being_cleaned_up() {
    let world = World::open().await;
    let cleanup = Hold::new();
    let held = cleanup.clone();
    world.driver.script(move |at| match at.point {
        Point::StopCleanup => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    world.create("a").await.unwrap();
    let delete = world.deleting("a");
    cleanup.reached(1).await;
    world.node.begin_server_drain(None);
    world.node.wait_live_empty().await;
    let cleaned = world.node.wait_cleanup();
    tokio::pin!(cleaned);
    assert!(tokio::time::timeout(secs(5), &mut cleaned).await.is_err());
    assert_eq!(world.node.blockers()[0].step.to_string(), "stopping the browser");
    cleanup.release();
    cleaned.await;
    delete.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_lives_is_served_and_may_be_deleted_while_the_node_drains() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.node.begin_server_drain(Some(secs(60)));
    assert_eq!(world.create("b").await.unwrap_err().kind(), "door");
    let live = world.node.live("a").unwrap();
    assert!(live.sessions.enter_owned().is_ok());
    world.driver.end_browser(&world.lifecycle("a"), upstream::Cause::Signalled { signal: 9 }).await;
    settle().await;
    assert_eq!(live.upstream.current().generation, 2, "a drain kept a crash from being relaunched");
    world.delete("a").await;
    world.node.wait_live_empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_operators_drain_is_undone_by_a_status() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.node.drain(OperatorDrain::default()).unwrap();
    assert_eq!(world.node.status(), NodeStatus::Draining);
    assert!(world.node.readiness().is_err());
    assert_eq!(world.create("b").await.unwrap_err().kind(), "door");
    tokio::time::sleep(secs(600)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    world.node.set_status(NodeStatus::Healthy).unwrap();
    world.create("b").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_operators_deadline_stops_what_is_left_with_its_reason() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let order = OperatorDrain { deadline: Some(secs(30)), ..OperatorDrain::default() };
    world.node.drain(order).unwrap();
    tokio::time::sleep(secs(29)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    world.reaches("a", SandboxState::Stopped).await;
    assert_eq!(world.stop_reason("a"), Some("node_drain"));
    assert_eq!(*live.stop.borrow(), Some(ContextDetail::NodeDrain));
    world.node.set_status(NodeStatus::Healthy).unwrap();
    world.create("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_undone_drain_forgets_its_deadline() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let order = OperatorDrain { deadline: Some(secs(30)), ..OperatorDrain::default() };
    world.node.drain(order).unwrap();
    world.node.set_status(NodeStatus::Healthy).unwrap();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
}

#[tokio::test(start_paused = true)]
async fn an_operators_force_ends_starts_and_sandboxes_at_once() {
    let world = World::open().await;
    world.driver.script(|at| match at.point {
        Point::StartSpawned if at.has("--slow") => Act::Hang,
        _ => Act::Go,
    });
    world.create("a").await.unwrap();
    let slow = world.creating(crate::world::flagged("slow", "--slow"));
    world.reaches("slow", SandboxState::Starting).await;
    world.node.drain(OperatorDrain { force: true, ..OperatorDrain::default() }).unwrap();
    assert_eq!(slow.await.unwrap().unwrap_err().kind(), "force_stopped");
    world.nothing_left().await;
    assert_eq!(world.stop_reason("a"), Some("node_drain"));
}

#[tokio::test(start_paused = true)]
async fn an_announced_drain_lets_creates_in_until_its_time() {
    let world = World::open().await;
    world.node.drain(OperatorDrain { announce: secs(15), ..OperatorDrain::default() }).unwrap();
    assert_eq!(world.node.status(), NodeStatus::Draining);
    assert!(world.node.readiness().is_err(), "load balancers must see it first");
    world.create("early").await.unwrap();
    tokio::time::sleep(secs(16)).await;
    assert_eq!(world.node.create(named("late")).await.unwrap_err().kind(), "door");
}

#[tokio::test(start_paused = true)]
async fn a_shutdowns_announcement_lets_creates_in_until_the_gate_closes() {
    let world = World::open().await;
    world.node.begin_announce();
    assert_eq!(world.node.status(), NodeStatus::Draining);
    assert!(world.node.set_status(NodeStatus::Healthy).is_err());
    world.create("early").await.unwrap();
    world.node.begin_server_drain(None);
    assert_eq!(world.create("late").await.unwrap_err().kind(), "door");
    assert!(world.node.drain(OperatorDrain::default()).is_err());
    assert_eq!(world.node.info().phase, "server_gate");
}
