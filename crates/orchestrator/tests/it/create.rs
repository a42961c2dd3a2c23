//! Creating: admission, queue, start, failure.

use lockkeeper_api::{CreateRequest, SandboxState};
use orchestrator::driver::{LifecycleId, ReclaimError};
use orchestrator::{Config, CreateError, LookupError};
use testkit::fake_driver::{Act, FakeDriver, Hold, Point};
use tokio::time::Instant;
use upstream::{Cause, Phase};

use crate::world::{World, by, config, eventually, flagged, named, request, secs, settle};

#[tokio::test(start_paused = true)]
async fn a_created_sandbox_is_ready_and_found() {
    let world = World::open().await;
    let snapshot = world.node.create(request(r#"{"labels": {"team": "a"}}"#)).await.unwrap();
    let id = snapshot.record().id.clone();
    assert_eq!(snapshot.state().word(), SandboxState::Running);
    let live = world.node.live(id.as_str()).unwrap();
    let state = live.upstream.current();
    assert_eq!((state.generation, state.phase), (1, Phase::Ready));
    assert_eq!(&*live.sandbox_id, id.as_str());
    assert_eq!(*live.stop.borrow(), None);
    assert!(live.sessions.enter_owned().is_ok());
    assert_eq!(snapshot.record().browser.product.as_deref(), Some("FakeChrome/156.0"));
    world.delete(id.as_str()).await;
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_before_what_was_left_has_been_cleared() {
    let driver = std::sync::Arc::new(FakeDriver::new());
    let telemetry = telemetry::Telemetry::disconnected();
    let node = orchestrator::Orchestrator::new(config(), driver.shared(), telemetry);
    let refused = node.create(named("early")).await.unwrap_err();
    assert!(refused.to_string().contains("still starting"), "{refused}");
    assert!(node.readiness().is_err());

    driver.set_reclaim(Err(ReclaimError("the records cannot be read".to_owned())));
    node.reclaim().await.unwrap_err();
    let refused = node.create(named("early")).await.unwrap_err();
    assert!(refused.to_string().contains("the records cannot be read"), "{refused}");
    assert_eq!(driver.counts().starts, 0, "something was started before the leftovers were known");

    driver.set_reclaim(Ok(Default::default()));
    node.reclaim().await.unwrap();
    node.create(named("now")).await.unwrap();
    assert_eq!(node.readiness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_refused_in_every_state_and_starts_nothing() {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    let (start, stop) = (Hold::new(), Hold::new());
    let (held, stopping) = (start.clone(), stop.clone());
    world.driver.script(move |at| match at.point {
        Point::StartSpawned => Act::Hold(held.clone()),
        Point::StopCleanup => Act::Hold(stopping.clone()),
        _ => Act::Go,
    });
    let refused = async |id: &str, state: &str| {
        let starts = world.driver.counts().starts;
        let error = world.create(id).await.unwrap_err();
        assert_eq!(error.kind(), "exists");
        assert!(error.to_string().contains(state), "{error}");
        assert_eq!(world.driver.counts().starts, starts);
    };
    let first = world.creating(named("a"));
    start.reached(1).await;
    let second = world.creating(named("b"));
    world.reaches("b", SandboxState::Requested).await;
    refused("a", "starting").await;
    refused("b", "requested").await;
    start.release();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    refused("a", "running").await;
    let deleting = world.deleting("a");
    stop.reached(1).await;
    refused("a", "stopping").await;
    stop.release();
    deleting.await.unwrap().unwrap();
    world.create("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_hundred_creates_at_once_never_exceed_the_capacity() {
    let config = Config { max_sandboxes: 50, start_slots: 8, queue_len: 200, ..config() };
    let world = World::with(config).await;
    let all: Vec<_> = (0..200).map(|_| world.creating(CreateRequest::default())).collect();
    let (mut made, mut full) = (0, 0);
    for create in all {
        match create.await.unwrap() {
            Ok(_) => made += 1,
            Err(CreateError::Admit(orchestrator::registry::AdmitRefusal::Full { .. })) => full += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((made, full), (50, 150));
    assert_eq!(world.driver.counts().most_processes, 50);
    let info = world.node.info();
    assert_eq!((info.capacity.used, info.sandboxes[&SandboxState::Running]), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn starting_ones_are_counted_and_limited_by_slots() {
    let world = World::with(Config { start_slots: 3, ..config() }).await;
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StartSpawned => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let all: Vec<_> = (0..8).map(|_| world.creating(CreateRequest::default())).collect();
    hold.reached(3).await;
    settle().await;
    let info = world.node.info();
    assert_eq!((info.slots.used, info.slots.queued, info.capacity.used), (3, 5, 8));
    assert_eq!(info.sandboxes[&SandboxState::Starting], 3);
    assert_eq!(world.driver.counts().processes, 3);
    hold.release();
    for create in all {
        create.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_waits_too_long_for_a_slot_is_told_busy() {
    let world = World::with(Config { start_slots: 1, ..config() }).await;
    world.driver.script(|at| match at.point {
        Point::StartSpawned if at.has("--slow") => Act::Hang,
        _ => Act::Go,
    });
    let slow = world.creating(flagged("slow", "--slow"));
    settle().await;
    let asked = Instant::now();
    let refused = world.create("b").await.unwrap_err();
    assert_eq!(refused.kind(), "busy");
    assert_eq!(asked.elapsed(), secs(30));
    let refused = world.node.create(request(r#"{"queue_timeout": "0"}"#)).await.unwrap_err();
    assert_eq!((refused.kind(), asked.elapsed()), ("busy", secs(30)));
    let late = slow.await.unwrap().unwrap_err();
    assert_eq!(late, CreateError::Timeout(secs(60)));
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_at_any_step_leaves_nothing_and_says_why() {
    for point in Point::START {
        let world = World::open().await;
        world.driver.script(move |at| match at.point == point {
            true => Act::Fail("no such thing".to_owned()),
            false => Act::Go,
        });
        let error = world.create("a").await.unwrap_err();
        assert_eq!(error.kind(), "start_failed", "{point:?}: {error}");
        assert!(error.to_string().contains("no such thing"), "{point:?}: {error}");
        world.nothing_left().await;
        assert_eq!(world.stop_reason("a"), Some("start_failed"));
        world.driver.script(|_| Act::Go);
        world.create("a").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_in_any_step_of_a_start_leaves_nothing() {
    for point in Point::START {
        let world = World::open().await;
        world.driver.script(move |at| if at.point == point { Act::Panic } else { Act::Go });
        let error = world.create("a").await.unwrap_err();
        assert_eq!(error, CreateError::StartFailed("the driver panicked".to_owned()), "{point:?}");
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_ignores_its_cancel_is_stopped_from_outside() {
    for point in Point::START {
        let world = World::open().await;
        world.driver.script(move |at| match at.point {
            Point::Cancel => Act::Hang,
            here if here == point => Act::Hang,
            _ => Act::Go,
        });
        let create = world.creating(named("a"));
        settle().await;
        tokio::time::sleep(secs(1)).await;
        world.delete("a").await;
        assert_eq!(create.await.unwrap().unwrap_err().kind(), "deleted");
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_dies_at_any_point_of_its_start_is_never_live() {
    for point in Point::START {
        for on_crash in ["relaunch", "stop"] {
            let world = World::open().await;
            world.driver.script(move |at| match at.point == point {
                true => Act::EndBrowser(Cause::Signalled { signal: 9 }),
                false => Act::Go,
            });
            let body = format!(r#"{{"id": "a", "on_crash": "{on_crash}"}}"#);
            let what = format!("{point:?} {on_crash}");
            match world.node.create(request(&body)).await {
                // It was relaunched before it was published, or was not there yet.
                Ok(snapshot) => {
                    let generation = snapshot.record().browser.generation;
                    let live = world.node.live("a").unwrap().upstream.current();
                    assert_eq!((live.generation, live.is_ready()), (generation, true), "{what}");
                    assert!(point == Point::StartPrepared || generation == 2, "{what}");
                    world.delete("a").await;
                }
                Err(error) => {
                    assert_eq!(error.kind(), "start_failed", "{what}: {error}");
                    let found = world.node.live("a").unwrap_err();
                    assert!(matches!(found, LookupError::Stopped { .. }), "{what}: {found}");
                }
            }
            world.node.begin_server_drain(None);
            world.node.wait_live_empty().await;
            world.node.wait_cleanup().await;
            world.nothing_left().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_admitted_create_succeeds_although_a_drain_begins() {
    // (a) in the queue, (b) right before the spawn, (c) spawned and not ready.
    for point in [Point::StartPrepared, Point::StartSpawned] {
        let world = World::with(Config { start_slots: 1, ..config() }).await;
        let hold = Hold::new();
        let held = hold.clone();
        world.driver.script(move |at| match at.point == point {
            true => Act::Hold(held.clone()),
            false => Act::Go,
        });
        let started = world.creating(named("started"));
        hold.reached(1).await;
        let queued = world.creating(named("queued"));
        world.reaches("queued", SandboxState::Requested).await;

        world.node.begin_server_drain(None);
        let late = world.create("late").await.unwrap_err();
        assert_eq!(late.kind(), "door");
        let admitted = world.node.wait_admitted();
        tokio::pin!(admitted);
        assert!(tokio::time::timeout(secs(1), &mut admitted).await.is_err(), "did not wait");

        hold.release();
        started.await.unwrap().unwrap();
        queued.await.unwrap().unwrap();
        admitted.await;
        world.node.begin_factory_drain();
        world.node.wait_starts().await;
        let live = world.node.wait_live_empty();
        tokio::pin!(live);
        assert!(tokio::time::timeout(secs(1), &mut live).await.is_err(), "did not wait");
        world.delete("started").await;
        world.delete("queued").await;
        live.await;
        world.node.wait_cleanup().await;
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn time_to_live_counts_from_ready_not_from_the_request() {
    let world = World::on(FakeDriver::with_start_time(secs(5)), config()).await;
    world.node.create(request(r#"{"id": "a", "ttl": "2s"}"#)).await.unwrap();
    let ready = Instant::now();
    tokio::time::sleep(secs(2) - std::time::Duration::from_millis(1)).await;
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    world.reaches("a", SandboxState::Stopped).await;
    assert!(ready.elapsed() < secs(3));
    assert_eq!(world.stop_reason("a"), Some("ttl"));
}

#[tokio::test(start_paused = true)]
async fn a_late_report_about_an_older_incarnation_changes_nothing() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let older: LifecycleId = world.lifecycle("a");
    world.delete("a").await;
    world.create("a").await.unwrap();
    assert_ne!(world.lifecycle("a"), older);
    world.driver.end_browser(&older, Cause::Signalled { signal: 9 }).await;
    settle().await;
    let stale = orchestrator::DeleteOptions { lifecycle: Some(older), ..by("stale") };
    assert_eq!(world.node.delete("a", stale).await.unwrap_err().kind(), "mismatch");
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    eventually("one browser", || {
        let alive = world.driver.counts().processes;
        (alive == 1).then_some(()).ok_or(alive.to_string())
    })
    .await;
}
