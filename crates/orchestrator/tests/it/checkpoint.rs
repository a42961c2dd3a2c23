//! Checkpoints and sandboxes made from snapshots: what is stored, what is refused, what a failure
//! leaves.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lockkeeper_api::{NodeStatus, SandboxState};
use orchestrator::driver::ProfileId;
use orchestrator::snapshots::{Manifest, Retention, SnapshotStore, StoreError};
use orchestrator::{
    CheckpointError, Checkpointed, Config, CreateError, ForceReason, OperationRefused,
    PauseOptions, RoomRefused, SnapshotError,
};
use telemetry::words::ContextDetail;
use testkit::fake_driver::{Act, FakeDriver, Hold, Point};
use tokio::task::JoinHandle;

use crate::world::{World, config, request, secs, settle};

type Outcome = Result<Checkpointed, CheckpointError>;

impl World {
    pub(crate) async fn checkpoint(&self, id: &str) -> Outcome {
        self.node.checkpoint(id, PauseOptions::default()).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    fn saving(&self, id: &str) -> JoinHandle<Outcome> {
        let (node, id) = (self.node.clone(), id.to_owned());
        tokio::spawn(async move { node.checkpoint(&id, PauseOptions::default()).await })
    }

    pub(crate) async fn stored(&self) -> Vec<Manifest> {
        self.node.snapshots(None, 100).await.unwrap().snapshots
    }

    /// A sandbox made from a snapshot.
    pub(crate) async fn from(&self, id: &str, snapshot: &Manifest) -> Result<(), CreateError> {
        let body = format!(r#"{{"id": "{id}", "snapshot_id": "{}"}}"#, snapshot.id());
        self.node.create(request(&body)).await.map(drop)
    }
}

/// A node with records and snapshots in a folder that outlives it.
pub(crate) fn on_disk(folder: &Path) -> Config {
    on_node("n1", folder, folder)
}

pub(crate) fn on_node(node: &str, state: &Path, store: &Path) -> Config {
    let store = SnapshotStore::folder(&store.join("snapshots"), node, Retention::default());
    Config {
        node_id: node.to_owned(),
        records: Some(state.join("records")),
        snapshots: Some(store.unwrap()),
        ..config()
    }
}

pub(crate) async fn world() -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (World::with(on_disk(folder.path())).await, folder)
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_stored_and_its_sandbox_goes_on_as_another_incarnation() {
    let (world, _folder) = world().await;
    let body = r#"{"id": "a", "ttl": "10m", "labels": {"team": "search"}}"#;
    let before = world.node.create(request(body)).await.unwrap();
    tokio::time::sleep(secs(60)).await;
    let live = world.node.live("a").unwrap();
    let session = live.sessions.enter_owned().unwrap();
    let saving = world.saving("a");
    settle().await;
    while live.stop.borrow().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(*live.stop.borrow(), Some(ContextDetail::SandboxPaused), "its sessions hear why");
    drop(session);
    let Checkpointed { sandbox, snapshot } = saving.await.unwrap().unwrap();
    assert_eq!(sandbox.state().word(), SandboxState::Running);
    assert_ne!(sandbox.record().lifecycle, before.record().lifecycle);
    assert_eq!(sandbox.record().execution, before.record().execution);
    assert_eq!(sandbox.record().expires, before.record().expires, "its deadline stays");
    assert!(!world.node.live("a").unwrap().sessions.is_draining());
    assert_eq!(world.stored().await, std::slice::from_ref(&snapshot));
    assert_eq!(snapshot.about.lifecycle, before.record().lifecycle.as_str());
    assert_eq!(snapshot.about.labels["team"], "search");
    let info = world.node.info();
    assert_eq!((info.slots.used, info.capacity.used), (0, 1));
    let told = world.events_of("sandbox_checkpointed").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["data"]["checkpoint_id"], snapshot.id().as_str());
    assert!(told[0]["data"]["bytes"].as_u64().unwrap() > 0);
    tokio::time::sleep(secs(9 * 60)).await;
    world.reaches("a", SandboxState::Stopped).await;
    assert_eq!(world.stop_reason("a"), Some("ttl"));
    world.nothing_left().await;
    assert_eq!(world.driver.counts().profiles, 0, "its profile went with it");
    assert_eq!(world.stored().await.len(), 1, "and the snapshot stays");
}

#[tokio::test(start_paused = true)]
async fn a_refused_checkpoint_leaves_sandbox_and_sessions_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { start_slots: 1, queue_timeout: secs(2), ..on_disk(folder.path()) };
    let world = World::with(config).await;
    world.create("a").await.unwrap();
    let live = world.node.live("a").unwrap();
    let _session = live.sessions.enter_owned().unwrap();
    let lifecycle = Some(world.lifecycle("a"));
    let other = PauseOptions { lifecycle, ..PauseOptions::default() };
    world.create("b").await.unwrap();
    let mismatch = world.node.checkpoint("b", other).await.map(drop);
    assert!(matches!(mismatch, Err(CheckpointError::Refused(OperationRefused::Mismatch { .. }))));
    world.driver.set_free_disk(1 << 20);
    let low = world.checkpoint("a").await.map(drop);
    assert!(matches!(low, Err(CheckpointError::NoRoom(RoomRefused::DiskLow { .. }))));
    world.driver.set_free_disk(u64::MAX);
    world.node.set_status(NodeStatus::Draining).unwrap();
    assert!(matches!(world.checkpoint("a").await, Err(CheckpointError::Door(_))));
    world.node.set_status(NodeStatus::Healthy).unwrap();
    // All slots are taken by starts that take their time.
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StartSpawned => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let start = world.creating(crate::world::named("slow"));
    hold.reached(1).await;
    assert!(matches!(world.checkpoint("a").await, Err(CheckpointError::NoSlot { .. })));
    hold.release();
    start.await.unwrap().unwrap();
    // The store is gone.
    std::fs::remove_dir_all(folder.path().join("snapshots/probes")).unwrap();
    std::fs::write(folder.path().join("snapshots/probes"), "in the way").unwrap();
    let store = world.checkpoint("a").await.map(drop);
    assert!(matches!(store, Err(CheckpointError::Store(StoreError::Unavailable(_)))), "{store:?}");
    let now = world.node.live("a").unwrap();
    assert_eq!(now.lifecycle_id, live.lifecycle_id);
    assert!(!now.sessions.is_draining() && live.stop.borrow().is_none());
    assert_eq!(world.driver.counts().starts, 3, "nothing was started again");
    let none = World::open().await;
    none.create("a").await.unwrap();
    assert!(matches!(none.checkpoint("a").await, Err(CheckpointError::NoStore)));
    assert!(matches!(none.node.snapshots(None, 1).await, Err(SnapshotError::NoStore)));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_fails_at_any_step_stores_nothing_and_the_sandbox_runs_again() {
    for point in Point::CHECKPOINT {
        for act in [Act::Fail("disk full".to_owned()), Act::Panic] {
            let (world, _folder) = world().await;
            let before = world.create("a").await.unwrap();
            let (act, once) = (act.clone(), AtomicBool::new(true));
            world.driver.script(move |at| {
                let hit = at.point == point && once.swap(false, Ordering::Relaxed);
                if hit { act.clone() } else { Act::Go }
            });
            let error = world.checkpoint("a").await.unwrap_err();
            assert!(matches!(error, CheckpointError::NotSaved(_)), "{point:?}: {error}");
            let after = world.node.get("a").unwrap();
            assert_eq!(after.state().word(), SandboxState::Running, "{point:?}");
            assert_ne!(after.record().lifecycle, before.record().lifecycle);
            assert_eq!(world.stored().await, [], "{point:?}");
            assert_eq!(world.node.info().slots.used, 0, "{point:?}");
            assert_eq!(world.events_of("sandbox_checkpointed").await.len(), 0);
            let told = world.events_of("sandbox_checkpoint_failed").await;
            assert_eq!(told.len(), 1, "{point:?}: {told:?}");
            assert_eq!(told[0]["data"]["alive"], true);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_whose_next_browser_does_not_start_gets_another_one() {
    for point in [Point::StartPrepared, Point::StartSpawned] {
        let (world, _folder) = world().await;
        let before = world.create("a").await.unwrap();
        let once = AtomicBool::new(true);
        world.driver.script(move |at| {
            let hit = at.point == point && once.swap(false, Ordering::Relaxed);
            if hit { Act::Fail("no".to_owned()) } else { Act::Go }
        });
        let starts = world.driver.counts().starts;
        let saved = world.checkpoint("a").await.unwrap();
        assert_eq!(world.stored().await, std::slice::from_ref(&saved.snapshot), "{point:?}");
        assert_eq!(world.driver.counts().starts, starts + 2, "{point:?}");
        let after = world.node.get("a").unwrap();
        assert_eq!(after.state().word(), SandboxState::Running, "{point:?}");
        assert_ne!(after.record().lifecycle, before.record().lifecycle);
        let info = world.node.info();
        assert_eq!((info.slots.used, info.capacity.used), (0, 1), "{point:?}");
        assert_eq!(world.events_of("sandbox_checkpoint_failed").await.len(), 0, "{point:?}");
        world.delete("a").await;
        world.nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_does_not_start_again_names_its_snapshot_which_can_be_restored() {
    let (world, _folder) = world().await;
    world.create("a").await.unwrap();
    world.driver.script(|at| match at.point {
        Point::StartSpawned => Act::Fail("no".to_owned()),
        _ => Act::Go,
    });
    let error = world.checkpoint("a").await.unwrap_err();
    let CheckpointError::Gone { snapshot: Some(id), .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(id.as_str()), "{error}");
    assert!(error.to_string().contains("twice"), "{error}");
    world.nothing_left().await;
    assert_eq!(world.stop_reason("a"), Some("checkpoint_failed"));
    assert_eq!(world.driver.counts().profiles, 0);
    let told = world.events_of("sandbox_checkpoint_failed").await;
    assert_eq!(told[0]["data"]["alive"], false);
    world.driver.script(|_| Act::Go);
    let stored = world.stored().await;
    world.from("b", &stored[0]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_let_in_succeeds_whatever_the_drain_does() {
    for point in [Point::CloseBegin, Point::ExportEnd, Point::StartPrepared, Point::StartReady] {
        let (world, _folder) = world().await;
        world.create("a").await.unwrap();
        let hold = Hold::new();
        let held = hold.clone();
        world
            .driver
            .script(move |at| if at.point == point { Act::Hold(held.clone()) } else { Act::Go });
        let saving = world.saving("a");
        hold.reached(1).await;
        world.node.begin_server_drain(None);
        let node = world.node.clone();
        let mut admitted = Box::pin(async move { node.wait_admitted().await });
        settle().await;
        assert!(futures_util::poll!(&mut admitted).is_pending(), "{point:?}: it is waited for");
        assert!(world.checkpoint("a").await.is_err(), "another one is not let in");
        hold.release();
        admitted.await;
        world.node.begin_factory_drain();
        world.node.wait_starts().await;
        let made = saving.await.unwrap();
        assert!(made.is_ok(), "{point:?}: {:?}", made.err());
        assert_eq!(world.state("a"), Some(SandboxState::Running), "{point:?}");
        world.delete("a").await;
        world.node.wait_live_empty().await;
        world.node.wait_cleanup().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_waits_for_a_slot_is_let_in_before_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(Config { start_slots: 1, ..on_disk(folder.path()) }).await;
    world.create("a").await.unwrap();
    let hold = Hold::new();
    let held = hold.clone();
    world.driver.script(move |at| match at.point {
        Point::StartSpawned => Act::Hold(held.clone()),
        _ => Act::Go,
    });
    let start = world.creating(crate::world::named("slow"));
    hold.reached(1).await;
    let saving = world.saving("a");
    // This clock only moves when everybody waits: then the checkpoint does too.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    world.node.begin_server_drain(None);
    hold.release();
    saving.await.unwrap().unwrap();
    start.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delete_ends_a_sandbox_in_the_middle_of_a_checkpoint() {
    for point in Point::CHECKPOINT.into_iter().chain(Point::START) {
        let (world, _folder) = world().await;
        world.create("a").await.unwrap();
        let hold = Hold::new();
        let held = hold.clone();
        world
            .driver
            .script(move |at| if at.point == point { Act::Hold(held.clone()) } else { Act::Go });
        let saving = world.saving("a");
        hold.reached(1).await;
        let delete = world.deleting("a");
        settle().await;
        hold.release();
        delete.await.unwrap().unwrap();
        world.nothing_left().await;
        assert_eq!(world.stop_reason("a"), Some("request"), "{point:?}");
        assert_eq!(world.driver.counts().profiles, 0, "{point:?}");
        let error = saving.await.unwrap().unwrap_err();
        assert!(matches!(error, CheckpointError::Gone { .. }), "{point:?}: {error}");
        for snapshot in world.stored().await {
            assert!(Point::START.contains(&point), "{point:?}: it was not durable yet");
            world.driver.script(|_| Act::Go);
            world.from("b", &snapshot).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_forced_stop_in_the_middle_of_a_checkpoint_leaves_the_sandbox_paused() {
    for point in [Point::SaveEnd, Point::ExportBegin, Point::ExportEnd, Point::StartSpawned] {
        let (world, folder) = world().await;
        world.create("a").await.unwrap();
        let profile = ProfileId::of(&world.lifecycle("a"));
        let hold = Hold::new();
        let held = hold.clone();
        world
            .driver
            .script(move |at| if at.point == point { Act::Hold(held.clone()) } else { Act::Go });
        let saving = world.saving("a");
        hold.reached(1).await;
        world.node.force_stop(ForceReason::ForceStop, secs(6), |_| {}).await;
        let error = saving.await.unwrap().unwrap_err();
        assert_eq!(error, CheckpointError::ForceStopped, "{point:?}");
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder.path(), copy.path());
        let next = FakeDriver::new();
        next.keep_profile(profile);
        let next = World::on(next, on_disk(copy.path())).await;
        assert_eq!(next.state("a"), Some(SandboxState::Paused), "{point:?}");
        next.node.resume("a", PauseOptions::default()).await.unwrap();
        hold.release();
    }
}

/// The daemon is killed where the script holds it: nothing it does afterwards reaches the folder
/// that its successor sees, which is a copy made at that moment.
#[tokio::test(start_paused = true)]
async fn a_daemon_killed_between_any_two_steps_leaves_only_snapshots_that_can_be_restored() {
    let points = Point::CHECKPOINT.into_iter().chain(Point::START).chain([Point::StopBegin]);
    for point in points {
        let (world, folder) = world().await;
        world.create("a").await.unwrap();
        let profile = ProfileId::of(&world.lifecycle("a"));
        let hold = Hold::new();
        let held = hold.clone();
        world
            .driver
            .script(move |at| if at.point == point { Act::Hold(held.clone()) } else { Act::Go });
        let saving = world.saving("a");
        hold.reached(1).await;
        let told = world.events_of("sandbox_checkpointed").await;
        assert_eq!((saving.is_finished(), told.len()), (false, 0), "{point:?}");
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder.path(), copy.path());
        let driver = FakeDriver::new();
        if world.driver.profiles().contains(&profile) {
            driver.keep_profile(profile);
        }
        let next = World::on(driver, on_disk(copy.path())).await;
        let state = next.state("a");
        assert!(
            matches!(state, Some(SandboxState::Paused | SandboxState::Stopped)),
            "{point:?}: {state:?}"
        );
        if state == Some(SandboxState::Paused) {
            next.node.resume("a", PauseOptions::default()).await.unwrap();
        }
        for snapshot in next.stored().await {
            next.from("b", &snapshot).await.unwrap();
        }
        hold.release();
        let made = saving.await.unwrap();
        assert!(made.is_ok(), "{point:?}: the first one would have gone on: {:?}", made.err());
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            // What is just being written aside may be gone by now.
            let copied = std::fs::copy(entry.path(), target);
            assert!(copied.is_ok() || !entry.path().exists(), "{copied:?}");
        }
    }
}
