//! Ends: who is told what, in which order.

use lockkeeper_api::SandboxState;
use orchestrator::LookupError;
use orchestrator::driver::{DriverEvent, GoneWhy};
use telemetry::words::ContextDetail;
use testkit::fake_driver::{Act, Hold, Point};
use tokio::time::Instant;
use upstream::{Cause, Phase};

use crate::world::{World, eventually, request, secs, settle};

const KILLED: Cause = Cause::Signalled { signal: 9 };

#[tokio::test(start_paused = true)]
async fn sessions_are_told_and_gone_before_the_browser_is_touched() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let session = live.sessions.enter_owned().unwrap();
    let delete = world.deleting("a");
    settle().await;
    assert_eq!(*live.stop.borrow(), Some(ContextDetail::SandboxDeleted));
    assert!(live.sessions.is_draining());
    assert!(live.upstream.current().is_ready(), "the browser was stopped under its session");
    assert_eq!(world.driver.counts().stops, 0);
    assert_eq!(world.node.live("a").unwrap_err().to_string(), "the sandbox `a` has ended: request");
    drop(session);
    delete.await.unwrap().unwrap();
    assert_eq!(world.driver.counts().stops, 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_leave_holds_the_stop_for_four_seconds() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let _session = world.node.live("a").unwrap().sessions.enter_owned().unwrap();
    let asked = Instant::now();
    world.delete("a").await;
    assert_eq!(asked.elapsed(), secs(4));
    assert_eq!(world.driver.counts().processes, 0);
}

#[tokio::test(start_paused = true)]
async fn each_end_by_us_has_its_word_for_the_sessions() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "ttl", "ttl": "2s"}"#)).await.unwrap();
    world.node.create(request(r#"{"id": "idle", "idle": "2s"}"#)).await.unwrap();
    let ttl = world.node.live("ttl").unwrap();
    let idle = world.node.live("idle").unwrap();
    world.reaches("ttl", SandboxState::Stopped).await;
    world.reaches("idle", SandboxState::Stopped).await;
    assert_eq!(*ttl.stop.borrow(), Some(ContextDetail::TtlExpired));
    assert_eq!(*idle.stop.borrow(), Some(ContextDetail::SandboxDeleted));
    assert_eq!(world.stop_reason("idle"), Some("idle"));
}

#[tokio::test(start_paused = true)]
async fn an_open_session_keeps_a_sandbox_from_being_idle() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "idle": "8s", "ttl": "1h"}"#)).await.unwrap();
    let session = world.node.live("a").unwrap().sessions.enter_owned().unwrap();
    tokio::time::sleep(secs(600)).await;
    let left = Instant::now();
    drop(session);
    eventually("it has ended", || match world.node.list(&Default::default()).sandboxes.len() {
        0 => Ok(()),
        n => Err(n.to_string()),
    })
    .await;
    let unused = left.elapsed();
    assert!(unused >= secs(8) && unused < secs(10), "ended after {unused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_session_counts_as_use_too() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "idle": "8s", "ttl": "1h"}"#)).await.unwrap();
    tokio::time::sleep(secs(7)).await;
    drop(world.node.live("a").unwrap().sessions.enter_owned().unwrap());
    tokio::time::sleep(secs(7)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    tokio::time::sleep(secs(4)).await;
    assert_eq!(world.stop_reason("a"), Some("idle"));
}

#[tokio::test(start_paused = true)]
async fn what_a_runner_says_counts_as_use_too() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "idle": "8s", "ttl": "1h"}"#)).await.unwrap();
    for _ in 0..20 {
        tokio::time::sleep(secs(7)).await;
        world.node.runner_active("a");
        world.node.runner_active("unknown");
    }
    tokio::time::sleep(secs(7)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    tokio::time::sleep(secs(4)).await;
    assert_eq!(world.stop_reason("a"), Some("idle"));
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_relaunched_behind_the_same_handle() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let session = live.sessions.enter_owned().unwrap();
    world.driver.end_browser(&world.lifecycle("a"), KILLED).await;
    eventually("the second generation", || {
        let state = live.upstream.current();
        (state.generation == 2 && state.is_ready()).then_some(()).ok_or(format!("{state:?}"))
    })
    .await;
    let end = live.upstream.current().end_of(1).unwrap();
    assert_eq!(end.cause, KILLED);
    assert_eq!((*live.stop.borrow(), live.sessions.is_draining()), (None, false));
    let snapshot = world.node.get("a").unwrap();
    assert_eq!(snapshot.state().word(), SandboxState::Running);
    let browser = &snapshot.record().browser;
    assert_eq!((browser.generation, browser.crashes), (2, 1));
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_nobody_relaunches_ends_its_sandbox_without_a_word_of_ours() {
    let cases = [
        (r#"{"id": "a", "on_crash": "stop"}"#, KILLED, "browser_crashed"),
        (r#"{"id": "a"}"#, Cause::Exited { code: 0 }, "browser_closed"),
        (r#"{"id": "a", "on_crash": "stop"}"#, Cause::OomKilled, "oom"),
    ];
    for (body, cause, reason) in cases {
        let world = World::open().await;
        world.node.create(request(body)).await.unwrap();
        let live = world.node.live("a").unwrap();
        let session = live.sessions.enter_owned().unwrap();
        world.driver.end_browser(&world.lifecycle("a"), cause).await;
        world.reaches("a", SandboxState::Stopping).await;
        assert_eq!(live.upstream.current().phase, Phase::Gone { cause }, "{reason}");
        assert_eq!(*live.stop.borrow(), None, "{reason}: a crash was told as a delete");
        assert!(live.sessions.is_draining());
        drop(session);
        world.reaches("a", SandboxState::Stopped).await;
        assert_eq!(world.stop_reason("a"), Some(reason));
        let LookupError::Stopped { at, .. } = world.node.live("a").unwrap_err() else {
            panic!("a tombstone is not found")
        };
        assert!(at.is_some());
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_keeps_crashing_is_given_up() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let lifecycle = world.lifecycle("a");
    for _ in 0..5 {
        world.driver.end_browser(&lifecycle, KILLED).await;
    }
    world.reaches("a", SandboxState::Stopped).await;
    assert_eq!(world.stop_reason("a"), Some("browser_gave_up"));
    let snapshot = world.node.get("a").unwrap();
    assert_eq!(snapshot.record().browser.crashes, 5);
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_reason_stays_when_others_follow() {
    let world = World::open().await;
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StopBegin => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    world.node.create(request(r#"{"id": "a", "ttl": "2s"}"#)).await.unwrap();
    let lifecycle = world.lifecycle("a");
    hold.reached(1).await;
    let gone = DriverEvent::Gone { cause: KILLED, why: GoneWhy::Crashed };
    world.driver.report(&lifecycle, gone).await;
    let delete = world.deleting("a");
    settle().await;
    hold.release();
    delete.await.unwrap().unwrap();
    assert_eq!(world.stop_reason("a"), Some("ttl"));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_stops_reporting_has_lost_the_browser() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.driver.lose(&world.lifecycle("a"));
    world.reaches("a", SandboxState::Stopped).await;
    assert_eq!(world.stop_reason("a"), Some("browser_crashed"));
    let detail = world.node.get("a").unwrap().state().stop().unwrap().detail.clone();
    assert_eq!(detail, "the driver stopped reporting on the browser");
}
