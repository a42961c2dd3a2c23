//! Pausing and resuming: what is kept, what is refused, what a failure leaves.

use std::sync::Arc;

use lockkeeper_api::{NodeStatus, SandboxState};
use orchestrator::driver::{ProfileId, ReclaimReport};
use orchestrator::{
    Config, ForceReason, LookupError, OperationRefused, PauseError, PauseOptions, ResumeError,
    RoomRefused, Snapshot,
};
use telemetry::words::ContextDetail;
use testkit::fake_driver::{Act, FakeDriver, Hold, Point};
use tokio::task::JoinHandle;

use crate::world::{World, config, eventually, flagged, request, secs, settle};

impl World {
    async fn pause(&self, id: &str) -> Result<Snapshot, PauseError> {
        self.node.pause(id, PauseOptions::default()).await
    }

    async fn resume(&self, id: &str) -> Result<Snapshot, ResumeError> {
        self.node.resume(id, PauseOptions::default()).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    fn pausing(&self, id: &str) -> JoinHandle<Result<Snapshot, PauseError>> {
        let (node, id) = (self.node.clone(), id.to_owned());
        tokio::spawn(async move { node.pause(&id, PauseOptions::default()).await })
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    fn resuming(&self, id: &str) -> JoinHandle<Result<Snapshot, ResumeError>> {
        let (node, id) = (self.node.clone(), id.to_owned());
        tokio::spawn(async move { node.resume(&id, PauseOptions::default()).await })
    }

    /// Waits until nothing of a parked sandbox takes a place any more.
    async fn parked(&self, id: &str) {
        self.reaches(id, SandboxState::Paused).await;
        eventually("only a profile is left", || {
            let (used, counts) = (self.node.info().capacity.used, self.driver.counts());
            let left = (used, counts.processes, counts.directories);
            (left == (0, 0, 0)).then_some(()).ok_or(format!("{left:?}"))
        })
        .await;
    }
}

/// A node with records in a folder that outlives it.
fn on_disk(folder: &tempfile::TempDir) -> Config {
    Config { records: Some(folder.path().join("records")), ..config() }
}

#[tokio::test(start_paused = true)]
async fn a_paused_sandbox_keeps_its_profile_and_no_place_and_comes_back_as_another_incarnation() {
    let world = World::open().await;
    let before = world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let session = live.sessions.enter_owned().unwrap();
    let pausing = world.pausing("a");
    settle().await;
    assert_eq!(*live.stop.borrow(), Some(ContextDetail::SandboxPaused), "its sessions hear why");
    drop(session);
    let paused = pausing.await.unwrap().unwrap();
    assert_eq!(paused.state().word(), SandboxState::Paused);
    world.parked("a").await;
    assert_eq!(world.driver.counts().profiles, 1);
    assert!(matches!(world.node.live("a"), Err(LookupError::Paused { .. })));
    tokio::time::sleep(secs(3600)).await;
    let after = world.resume("a").await.unwrap();
    assert_eq!(after.state().word(), SandboxState::Running);
    assert_ne!(after.record().lifecycle, before.record().lifecycle);
    assert_eq!(after.record().execution, before.record().execution);
    assert!(!world.node.live("a").unwrap().sessions.is_draining());
    world.delete("a").await;
    world.nothing_left().await;
    assert_eq!(world.driver.counts().profiles, 0, "its profile went with it");
    let events = world.events().await;
    let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(kinds.contains(&"sandbox_paused") && kinds.contains(&"sandbox_resumed"), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_pause_leaves_sandbox_and_sessions_as_they_were() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let _session = live.sessions.enter_owned().unwrap();
    world.driver.set_free_disk(1 << 20);
    assert!(matches!(world.pause("a").await, Err(PauseError::NoRoom(RoomRefused::DiskLow { .. }))));
    world.driver.set_free_disk(u64::MAX);
    world.driver.script(|at| match at.point {
        Point::Room => Act::Fail("read-only file system".to_owned()),
        _ => Act::Go,
    });
    assert!(matches!(world.pause("a").await, Err(PauseError::NoRoom(RoomRefused::Unwritable(_)))));
    let lifecycle = Some(world.lifecycle("a"));
    let other = PauseOptions { lifecycle, ..PauseOptions::default() };
    world.create("b").await.unwrap();
    assert!(matches!(
        world.node.pause("b", other).await,
        Err(PauseError::Refused(OperationRefused::Mismatch { .. }))
    ));
    assert!(matches!(
        world.pause("c").await,
        Err(PauseError::Refused(OperationRefused::Unknown(_)))
    ));
    let now = world.node.live("a").unwrap();
    assert_eq!(now.lifecycle_id, live.lifecycle_id);
    assert!(!now.sessions.is_draining() && live.stop.borrow().is_none());
    assert_eq!(world.driver.counts().starts, 2, "nothing was started again");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_fails_at_any_step_is_never_paused_and_the_sandbox_runs_again() {
    for point in Point::SAVE {
        for act in [Act::Fail("disk full".to_owned()), Act::Panic] {
            let folder = tempfile::tempdir().unwrap();
            let world = World::with(on_disk(&folder)).await;
            let before = world.create("a").await.unwrap();
            let (first, act) = (before.record().lifecycle.clone(), act.clone());
            let once = std::sync::atomic::AtomicBool::new(true);
            world.driver.script(move |at| {
                let hit = at.point == point
                    && *at.lifecycle == first
                    && once.swap(false, std::sync::atomic::Ordering::Relaxed);
                if hit { act.clone() } else { Act::Go }
            });
            let error = world.pause("a").await.unwrap_err();
            assert!(matches!(error, PauseError::NotSaved(_)), "{point:?}: {error}");
            let after = world.node.get("a").unwrap();
            assert_eq!(after.state().word(), SandboxState::Running, "{point:?}");
            assert_ne!(after.record().lifecycle, before.record().lifecycle);
            assert!(after.record().ready.is_some() && after.record().park.is_none());
            assert_eq!(world.events_of("sandbox_paused").await, Vec::<serde_json::Value>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_cannot_be_started_again_after_a_failed_pause_says_so() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.driver.script(|at| match at.point {
        Point::CloseBegin | Point::StartSpawned => Act::Fail("no".to_owned()),
        _ => Act::Go,
    });
    let error = world.pause("a").await.unwrap_err();
    assert!(matches!(error, PauseError::Gone { .. }), "{error}");
    world.nothing_left().await;
    assert_eq!(world.stop_reason("a"), Some("pause_failed"));
    assert_eq!(world.driver.counts().profiles, 0);
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_leaves_the_sandbox_paused_with_its_profile() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.pause("a").await.unwrap();
    world.parked("a").await;
    for point in Point::START {
        for act in [Act::Fail("no".to_owned()), Act::Hang, Act::Panic] {
            world.driver.script(move |at| if at.point == point { act.clone() } else { Act::Go });
            let error = world.resume("a").await.unwrap_err();
            assert!(
                matches!(error, ResumeError::StartFailed(_) | ResumeError::Timeout(_)),
                "{point:?}: {error}"
            );
            world.parked("a").await;
            assert_eq!(world.driver.counts().profiles, 1);
        }
    }
    world.driver.script(|_| Act::Go);
    world.resume("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn however_many_connect_a_paused_sandbox_is_resumed_once() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    world.pause("a").await.unwrap();
    world.parked("a").await;
    let starts = world.driver.counts().starts;
    let joined: Vec<_> = (0..20).map(|_| world.resuming("a")).collect();
    let targets: Vec<_> = (0..50).map(|_| world.node.wake("a").unwrap().lifecycle_id).collect();
    for resume in joined {
        resume.await.unwrap().unwrap();
    }
    assert_eq!(world.driver.counts().starts, starts + 1);
    assert!(targets.iter().all(|id| *id == world.lifecycle("a")), "they wait for the same one");
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_wakes_nobody_and_leaves_them_paused() {
    let world = World::open().await;
    for id in ["a", "b"] {
        world.create(id).await.unwrap();
        world.pause(id).await.unwrap();
    }
    world.node.set_status(NodeStatus::Draining).unwrap();
    assert!(matches!(world.node.wake("a"), Err(LookupError::NotWoken { .. })));
    assert!(matches!(world.resume("a").await, Err(ResumeError::Door(_))));
    world.node.set_status(NodeStatus::Healthy).unwrap();
    world.node.begin_server_drain(None);
    assert!(matches!(world.node.wake("b"), Err(LookupError::NotWoken { .. })));
    world.node.wait_live_empty().await;
    world.node.wait_cleanup().await;
    assert_eq!(world.state("a"), Some(SandboxState::Paused));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_does_not_resume_by_itself_waits_for_a_call() {
    let world = World::open().await;
    world.node.create(request(r#"{"id": "a", "auto_resume": false}"#)).await.unwrap();
    world.pause("a").await.unwrap();
    assert!(matches!(world.node.wake("a"), Err(LookupError::Paused { .. })));
    world.resume("a").await.unwrap();
    assert!(world.node.wake("a").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_whose_time_is_over_is_paused_if_it_asked_for_that() {
    let world = World::open().await;
    let body = r#"{"id": "ttl", "ttl": "10s", "on_expire": "pause"}"#;
    world.node.create(request(body)).await.unwrap();
    let body = r#"{"id": "idle", "idle": "10s", "on_expire": "pause"}"#;
    world.node.create(request(body)).await.unwrap();
    world.parked("ttl").await;
    world.parked("idle").await;
    let resumed = world.resume("ttl").await.unwrap();
    assert_eq!(resumed.record().ttl, secs(10), "its time to live begins anew");
    // It cannot be parked: its time is over all the same.
    world.driver.set_free_disk(0);
    world.reaches("ttl", SandboxState::Stopped).await;
    assert_eq!(world.stop_reason("ttl"), Some("ttl"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_parks_those_that_asked_for_it_and_waits_for_the_others() {
    let world = World::open().await;
    let body = r#"{"id": "a", "ttl": "1h", "on_drain": "pause"}"#;
    world.node.create(request(body)).await.unwrap();
    world.node.create(request(r#"{"id": "b", "ttl": "5s"}"#)).await.unwrap();
    let saving = Hold::new();
    let held = saving.clone();
    world.driver.script(move |at| match at.point {
        Point::SaveEnd => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    world.node.begin_server_drain(None);
    saving.reached(1).await;
    world.reaches("b", SandboxState::Stopped).await;
    assert_eq!(world.node.drain_counts().saves, 1);
    let wait = world.node.clone();
    let mut live = Box::pin(async move { wait.wait_live_empty().await });
    settle().await;
    assert!(futures_util::poll!(&mut live).is_pending(), "the save is waited for");
    saving.release();
    live.await;
    world.node.wait_cleanup().await;
    assert_eq!(world.state("a"), Some(SandboxState::Paused));
}

#[tokio::test(start_paused = true)]
async fn a_delete_ends_a_sandbox_in_the_middle_of_a_pause_or_a_resume() {
    for point in Point::SAVE.into_iter().chain(Point::START) {
        let world = World::open().await;
        world.create("a").await.unwrap();
        let resuming = Point::START.contains(&point);
        if resuming {
            world.pause("a").await.unwrap();
        }
        let hold = Hold::new();
        let held = hold.clone();
        world.driver.script(
            move |at| {
                if at.point == point { Act::Hold(held.clone()) } else { Act::Go }
            },
        );
        let resume = resuming.then(|| world.resuming("a"));
        let pause = (!resuming).then(|| world.pausing("a"));
        hold.reached(1).await;
        let delete = world.deleting("a");
        settle().await;
        hold.release();
        delete.await.unwrap().unwrap();
        world.nothing_left().await;
        assert_eq!(world.stop_reason("a"), Some("request"), "{point:?}");
        assert_eq!(world.driver.counts().profiles, 0, "{point:?}");
        if let Some(resume) = resume {
            assert!(matches!(resume.await.unwrap(), Err(ResumeError::Ended { .. })));
        }
        if let Some(pause) = pause {
            assert!(matches!(pause.await.unwrap(), Err(PauseError::Gone { .. })));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_forced_stop_in_the_middle_of_a_save_leaves_it_to_be_finished() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(on_disk(&folder)).await;
    world.create("a").await.unwrap();
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::SaveEnd => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let pause = world.pausing("a");
    hold.reached(1).await;
    let report = world.node.force_stop(ForceReason::ForceStop, secs(6), |_| {}).await;
    assert_eq!(pause.await.unwrap().map(drop), Err(PauseError::ForceStopped));
    assert_eq!(report.stuck.len(), 1, "the save has not ended: {report:?}");
    // The next daemon on the same folder finishes it.
    let next = FakeDriver::new();
    next.keep_profile(ProfileId::of(&report.stuck[0].lifecycle));
    let next = World::on(next, on_disk(&folder)).await;
    assert_eq!(next.state("a"), Some(SandboxState::Paused));
    next.resume("a").await.unwrap();
    hold.release();
}

#[tokio::test(start_paused = true)]
async fn the_next_daemon_finds_paused_sandboxes_and_ends_the_others_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = World::with(on_disk(&folder)).await;
    let body = r#"{"id": "kept", "labels": {"team": "search"}, "flags": ["--lang=de"]}"#;
    first.node.create(request(body)).await.unwrap();
    first.create("lost").await.unwrap();
    first.create("forgotten").await.unwrap();
    let paused = first.pause("kept").await.unwrap();
    first.pause("forgotten").await.unwrap();
    let driver = FakeDriver::new();
    for profile in first.driver.profiles() {
        driver.keep_profile(profile);
    }
    driver.keep_profile(ProfileId::new("lcnobody"));
    let lost = first.lifecycle("lost");
    // Its profile has vanished with whoever removed it.
    let gone = first.node.get("forgotten").unwrap().record().profile.clone().unwrap();
    driver.drop_kept(&gone);
    driver.set_reclaim(Ok(ReclaimReport { ended: vec![lost.clone()], killed: 3 }));
    // The first daemon was killed: nothing of it runs any more.
    let second = World::on(driver, on_disk(&folder)).await;
    assert_eq!(second.state("kept"), Some(SandboxState::Paused));
    assert_eq!(second.stop_reason("lost"), Some("node_restart"));
    assert_eq!(second.stop_reason("forgotten"), Some("node_restart"));
    assert_eq!(second.driver.counts().profiles, 1, "those that nobody needs are gone");
    let resumed = second.resume("kept").await.unwrap();
    assert_eq!(resumed.record().execution, paused.record().execution);
    assert_eq!(resumed.record().labels["team"], "search");
    assert_eq!(second.driver.flags(&resumed.record().lifecycle), ["--lang=de"]);
    let told = second.events_of("sandbox_stopped").await;
    let mut names: Vec<_> = told.iter().map(|e| e["sandbox"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["forgotten", "lost"], "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_end_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    std::fs::create_dir(&records).unwrap();
    std::fs::write(records.join("a.json"), "{").unwrap();
    let driver = FakeDriver::new();
    driver.keep_profile(ProfileId::new("lcsomebodys"));
    let driver = Arc::new(driver);
    let telemetry = telemetry::Telemetry::disconnected();
    let node = orchestrator::Orchestrator::new(on_disk(&folder), driver.shared(), telemetry);
    let error = node.reclaim().await.unwrap_err();
    assert!(error.to_string().contains("a.json"), "{error}");
    assert_eq!(driver.counts().profiles, 1);
    assert_eq!(node.status(), NodeStatus::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_whose_record_cannot_be_written_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(on_disk(&folder)).await;
    world.create("a").await.unwrap();
    std::fs::rename(folder.path().join("records"), folder.path().join("elsewhere")).unwrap();
    std::fs::write(folder.path().join("records"), "in the way").unwrap();
    let starts = world.driver.counts().starts;
    let error = world.node.create(flagged("b", "--lang=de")).await.unwrap_err();
    assert!(error.to_string().contains("could not be written"), "{error}");
    assert_eq!(world.driver.counts().starts, starts);
    let error = world.pause("a").await.unwrap_err();
    assert!(matches!(error, PauseError::NoRoom(RoomRefused::Unwritable(_))), "{error}");
    assert!(!world.node.live("a").unwrap().sessions.is_draining(), "it is as it was");
}
