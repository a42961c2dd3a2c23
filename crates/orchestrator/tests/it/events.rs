//! What the log says of a life.

use orchestrator::driver::{LifecycleId, ReclaimReport};
use orchestrator::{Config, ForceReason, OperatorDrain};
use serde_json::{Value, json};
use testkit::fake_driver::{Act, Point};
use upstream::Cause;

use crate::world::{World, config, flagged, named, request, secs, settle};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_in_its_order_with_its_facts() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "ttl": "1h"}"#)).await.unwrap();
    let lifecycle = world.lifecycle("a");
    let session = world.node.live("a").unwrap().sessions.enter_owned().unwrap();
    tokio::time::sleep(secs(10)).await;
    let delete = world.deleting("a");
    settle().await;
    drop(session);
    delete.await.unwrap().unwrap();
    let events = world.events().await;
    let wanted = [
        "sandbox_created",
        "browser_started",
        "sandbox_ready",
        "sandbox_stopping",
        "browser_exited",
        "sandbox_stopped",
    ];
    assert_eq!(types(&events), wanted);
    for event in &events {
        assert_eq!(event["sandbox"], "a", "{event}");
        assert_eq!(event["data"]["lifecycle_id"], lifecycle.as_str(), "{event}");
    }
    let [created, started, ready, stopping, exited, stopped] =
        std::array::from_fn(|n| &events[n]["data"]);
    let same = |data: &Value, wanted: Value| {
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&data[field], value, "{field} in {data}");
        }
    };
    same(created, json!({ "driver": "process", "warm": false, "queue_ms": 0.0, "ttl_ms": 3.6e6 }));
    same(started, json!({ "generation": 1, "start_ms": 100.0, "adopted": false }));
    same(ready, json!({ "create_ms": 100.0, "generation": 1 }));
    same(stopping, json!({ "stop_reason": "request", "stop_detail": "test" }));
    same(
        exited,
        json!({ "generation": 1, "expected": true, "exit": {"kind": "exited", "code": 0} }),
    );
    same(
        stopped,
        json!({ "stop_reason": "request", "stop_detail": "test", "lifetime_ms": 10_000.0,
            "cleanup_errors": 0, "sessions_cut": 1, "exit": {"kind": "exited", "code": 0} }),
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_as_exit_start_and_restart() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let _session = world.node.live("a").unwrap().sessions.enter_owned().unwrap();
    world.driver.end_browser(&world.lifecycle("a"), Cause::Signalled { signal: 9 }).await;
    settle().await;
    let events = world.events().await;
    assert_eq!(types(&events[3..]), ["browser_exited", "browser_started", "browser_restarted"]);
    let (exited, restarted) = (&events[3]["data"], &events[5]["data"]);
    assert_eq!(exited["exit"], json!({ "kind": "signalled", "signal": 9 }));
    assert_eq!((&exited["expected"], &exited["sessions"]), (&json!(false), &json!(1)));
    assert_eq!(restarted["generation"], 2);
    assert_eq!(restarted["previous_generation"], 1);
    assert_eq!(restarted["requested_by"], "supervisor");
    assert_eq!(restarted["sessions_cut"], 1);
    assert_eq!(restarted["down_ms"], 100.0);
    assert!(world.has_metric(r#"lockkeeper_browser_exits_total{cause="signalled"} 1"#));
}

#[tokio::test(start_paused = true)]
async fn a_queued_create_is_told_when_it_gets_its_slot() {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    let first = world.creating(named("first"));
    settle().await;
    let second = world.creating(named("second"));
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let created = world.events_of("sandbox_created").await;
    assert_eq!(created.len(), 2);
    assert_eq!(created[0]["data"]["queue_ms"], 0.0);
    assert_eq!(created[1]["data"]["queue_ms"], 100.0);
}

#[tokio::test(start_paused = true)]
async fn each_refusal_is_told_with_its_word() {
    let world = World::with(Config { max_sandboxes: 2, start_slots: 1, ..config() }).await;
    world.driver.script(|at| match at.point {
        Point::StartSpawned if at.has("--bad") => Act::Fail("no".to_owned()),
        Point::StartSpawned if at.has("--slow") => Act::Hang,
        _ => Act::Go,
    });
    world.node.create(request(r#"{"flavour": "netscape"}"#)).await.unwrap_err();
    world.node.create(flagged("a", "--bad")).await.unwrap_err();
    settle().await;
    let slow = world.creating(flagged("b", "--slow"));
    settle().await;
    world.node.create(request(r#"{"queue_timeout": "0"}"#)).await.unwrap_err();
    world.create("c").await.unwrap_err();
    let (queued, _) = (world.creating(named("d")), settle().await);
    world.create("e").await.unwrap_err();
    world.node.begin_server_drain(None);
    world.create("f").await.unwrap_err();
    world.delete("b").await;
    slow.await.unwrap().unwrap_err();
    queued.await.unwrap().unwrap();
    let refused = world.events_of("sandbox_create_refused").await;
    let words: Vec<_> = refused.iter().map(|e| e["data"]["detail"].as_str().unwrap()).collect();
    let wanted = ["bad_request", "driver_error", "busy", "busy", "no_capacity", "draining"];
    assert_eq!(words, wanted);
    assert_eq!(refused[3]["data"]["queue_ms"], 30_000.0);
    assert_eq!(refused[3]["sandbox"], "c");
    let ends = world.events_of("sandbox_stopped").await;
    let ends: Vec<_> = ends
        .iter()
        .map(|e| (e["sandbox"].as_str().unwrap(), e["data"]["stop_reason"].as_str().unwrap()))
        .collect();
    assert_eq!(ends, [("a", "start_failed"), ("c", "start_cancelled"), ("b", "request")]);
}

#[tokio::test(start_paused = true)]
async fn everything_that_a_shutdown_ends_has_one_end_event_hung_or_not() {
    let world = World::open().await;
    for id in ["a", "b", "c"] {
        world.create(id).await.unwrap();
    }
    world.driver.script(|at| match at.point {
        Point::StartSpawned => Act::Hang,
        _ => Act::Go,
    });
    let starting = world.creating(named("d"));
    world.reaches("d", lockkeeper_api::SandboxState::Starting).await;
    let hung = world.lifecycle("b");
    world.driver.script(move |at| match at.point {
        Point::StopCleanup if *at.lifecycle == hung => Act::Hang,
        _ => Act::Go,
    });
    let report = world.node.force_stop(ForceReason::NodeDrain, secs(30), |_| ()).await;
    assert_eq!(report.stuck.len(), 1);
    starting.await.unwrap().unwrap_err();
    world.node.close().await;
    let mut ends: Vec<_> = world
        .events_of("sandbox_stopped")
        .await
        .iter()
        .map(|event| {
            assert_eq!(event["data"]["stop_reason"], "node_drain");
            let errors = event["data"]["cleanup_errors"].as_u64().unwrap();
            (event["sandbox"].as_str().unwrap().to_owned(), errors)
        })
        .collect();
    ends.sort();
    let wanted = [("a", 0), ("b", 1), ("c", 0), ("d", 0)].map(|(id, n)| (id.to_owned(), n));
    assert_eq!(ends, wanted);
    assert!(world.has_metric(r#"lockkeeper_sandbox_stops_total{stop_reason="node_drain"} 4"#));
}

#[tokio::test(start_paused = true)]
async fn an_operators_drain_is_told_from_its_start_to_its_end() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let order = OperatorDrain { deadline: Some(secs(30)), ..OperatorDrain::default() };
    world.node.drain(order).unwrap();
    world.node.drain(order).unwrap();
    tokio::time::sleep(secs(40)).await;
    let events = world.events().await;
    let drain: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"].as_str().unwrap().starts_with("drain_"))
        .map(|event| &event["data"])
        .collect();
    assert_eq!(drain.len(), 3, "{drain:?}");
    assert_eq!((&drain[0]["trigger"], &drain[0]["live"]), (&json!("api"), &json!(1)));
    assert_eq!(drain[0]["deadline_ms"], 30_000.0);
    assert_eq!(
        (&drain[1]["cause"], &drain[1]["elapsed_ms"]),
        (&json!("deadline"), &json!(30_000.0))
    );
    assert_eq!((&drain[2]["outcome"], &drain[2]["stopped"]), (&json!("forced"), &json!(1)));
    let statuses = world.events_of("node_status").await;
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0]["data"], json!({ "from": "healthy", "to": "draining" }));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_daemon_left_has_its_end_event() {
    let world = World::open().await;
    let ended = vec![LifecycleId::new("lcone"), LifecycleId::new("lctwo")];
    world.driver.set_reclaim(Ok(ReclaimReport { ended, killed: 7 }));
    world.node.reclaim().await.unwrap();
    let events = world.events_of("sandbox_stopped").await;
    let lifecycles: Vec<_> = events.iter().map(|event| &event["data"]["lifecycle_id"]).collect();
    assert_eq!(lifecycles, ["lcone", "lctwo"]);
    assert!(events.iter().all(|event| event["data"]["stop_reason"] == "node_restart"));
}

#[tokio::test(start_paused = true)]
async fn the_gauge_of_states_follows_every_sandbox() {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    let first = world.creating(named("a"));
    settle().await;
    let second = world.creating(named("b"));
    settle().await;
    assert!(world.has_metric(r#"lockkeeper_sandboxes{state="starting"} 1"#));
    assert!(world.has_metric(r#"lockkeeper_sandboxes{state="requested"} 1"#));
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(world.has_metric(r#"lockkeeper_sandboxes{state="running"} 2"#));
    world.delete("a").await;
    assert!(world.has_metric(r#"lockkeeper_sandboxes{state="running"} 1"#));
    assert!(world.has_metric(r#"lockkeeper_sandboxes{state="stopping"} 0"#));
    assert!(world.has_metric(r#"lockkeeper_sandbox_create_seconds_count{warm="false"} 2"#));
}
