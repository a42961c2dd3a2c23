//! Everything at once, with a drain at a random instant, over many seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lockkeeper_api::SandboxState;
use orchestrator::driver::LifecycleId;
use orchestrator::ids::ExecutionId;
use orchestrator::snapshots::{Retention, SnapshotId, SnapshotStore};
use orchestrator::{Config, CreateError, ForceReason, PauseOptions};
use testkit::fake_driver::{Act, Point};
use tokio::task::JoinSet;
use upstream::Cause;

use crate::world::{World, config, named, secs};

/// Seeds of one test; each is a life of a node. Four tests make a thousand.
const SEEDS: u64 = 250;

#[derive(Debug)]
enum Done {
    Create { id: String, after_drain: bool, outcome: Result<LifecycleId, &'static str> },
    Checkpoint { id: String, after_drain: bool, saved: Option<SnapshotId> },
    Other,
}

macro_rules! lives {
    ($($name:ident $from:literal;)+) => {$(
        #[test]
        fn $name() {
            live_through($from * SEEDS..($from + 1) * SEEDS);
        }
    )+};
}

lives! {
    creates_saves_deletes_and_deaths_under_a_drain_leave_nothing_behind_1 0;
    creates_saves_deletes_and_deaths_under_a_drain_leave_nothing_behind_2 1;
    creates_saves_deletes_and_deaths_under_a_drain_leave_nothing_behind_3 2;
    creates_saves_deletes_and_deaths_under_a_drain_leave_nothing_behind_4 3;
}

fn live_through(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let life = std::panic::AssertUnwindSafe(|| runtime.block_on(one_life(seed)));
        if let Err(panic) = std::panic::catch_unwind(life) {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

async fn one_life(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let config = Config {
        max_sandboxes: random.usize(3..12),
        start_slots: random.usize(1..4),
        queue_len: random.usize(0..8),
        tombstone_ttl: secs(3600),
        snapshots: Some(SnapshotStore::on(
            Arc::new(object_store::memory::InMemory::new()),
            "n1",
            Retention::default(),
        )),
        ..config()
    };
    let capacity = config.max_sandboxes;
    let world = World::with(config).await;
    let dice = std::sync::Mutex::new(random.fork());
    world.driver.script(move |at| {
        let mut dice = dice.lock().unwrap();
        match at.point {
            Point::Cancel => Act::Go,
            _ if dice.u8(..) < 8 => Act::Fail("unlucky".to_owned()),
            _ if dice.u8(..) < 4 => Act::Panic,
            Point::StartSpawned | Point::StartReady if dice.u8(..) < 12 => {
                Act::EndBrowser(Cause::Signalled { signal: 11 })
            }
            _ => Act::Wait(Duration::from_millis(dice.u64(0..300))),
        }
    });
    let work = random.usize(20..80);
    let drain_at = Duration::from_millis(random.u64(0..2500));
    let began = tokio::time::Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..work {
        let (node, driver) = (world.node.clone(), Arc::clone(&world.driver));
        let at = Duration::from_millis(random.u64(0..3000));
        let id = format!("s{}", random.u8(0..10));
        let (kind, anonymous) = (random.u8(0..16), random.bool());
        let leaves = (random.u8(0..5) == 0).then(|| Duration::from_millis(random.u64(0..400)));
        let pick = random.usize(..);
        tasks.spawn(async move {
            tokio::time::sleep_until(began + at).await;
            match kind {
                0..6 => {
                    let request = if anonymous { Default::default() } else { named(&id) };
                    let after_drain = node.info().phase != "serving";
                    let create = node.create(request);
                    let outcome = match leaves {
                        Some(time) => match tokio::time::timeout(time, create).await {
                            Ok(outcome) => outcome,
                            Err(_) => return Done::Other,
                        },
                        None => create.await,
                    };
                    let outcome = outcome
                        .map(|snapshot| snapshot.record().lifecycle.clone())
                        .map_err(|error: CreateError| error.kind());
                    Done::Create { id, after_drain, outcome }
                }
                6..9 => {
                    let _ = node.delete(&id, crate::world::by("stress")).await;
                    Done::Other
                }
                9..11 => {
                    let _ = node.pause(&id, PauseOptions::default()).await;
                    Done::Other
                }
                11..13 => {
                    let _ = node.resume(&id, PauseOptions::default()).await;
                    Done::Other
                }
                13..15 => {
                    let after_drain = node.info().phase != "serving";
                    let outcome = node.checkpoint(&id, PauseOptions::default()).await;
                    let saved = outcome.ok().map(|made| made.snapshot.id());
                    Done::Checkpoint { id, after_drain, saved }
                }
                _ => {
                    let all = driver.instances();
                    if !all.is_empty() {
                        let one = &all[pick % all.len()];
                        driver.end_browser(one, Cause::Signalled { signal: 9 }).await;
                    }
                    Done::Other
                }
            }
        });
    }
    tokio::time::sleep_until(began + drain_at).await;
    world.node.begin_server_drain(None);
    let admitted: Vec<_> = world.node.list(&Default::default()).sandboxes;
    // Saves and resumes make another incarnation of the same execution.
    let known: Vec<ExecutionId> =
        admitted.iter().map(|snapshot| snapshot.record().execution.clone()).collect();
    world.node.wait_admitted().await;
    world.node.begin_factory_drain();
    world.node.wait_starts().await;
    let starting = world.node.drain_counts().starting;
    assert_eq!(starting, 0, "seed {seed}: a start is in flight behind both gates");

    let mut ready: BTreeMap<LifecycleId, String> = BTreeMap::new();
    let mut snapshots = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let done = done.unwrap();
        if let Done::Checkpoint { id, after_drain, saved: Some(snapshot) } = &done {
            assert!(!after_drain, "seed {seed}: {id} was saved behind the gate");
            snapshots.push(snapshot.clone());
        }
        if let Done::Create { id, after_drain, outcome } = done {
            match outcome {
                Ok(lifecycle) => {
                    assert!(!after_drain, "seed {seed}: {id} was admitted behind the gate");
                    ready.insert(lifecycle, id);
                }
                Err(kind) if after_drain => assert_eq!(kind, "door", "seed {seed}: {id}"),
                Err(_) => {}
            }
        }
    }
    assert!(world.driver.counts().most_processes <= capacity, "seed {seed}: over capacity");
    for snapshot in world.node.list(&Default::default()).sandboxes {
        let record = snapshot.record();
        let tracked = known.contains(&record.execution);
        assert!(tracked, "seed {seed}: {} came after the gate had closed", record.lifecycle);
    }

    // Half of the lives end by themselves, the others by force.
    if random.bool() {
        let idle = world.node.wait_live_empty();
        let in_time = tokio::time::timeout(secs(20 * 60), idle).await;
        assert!(in_time.is_ok(), "seed {seed}: {:?}", world.node.blockers());
        world.node.wait_cleanup().await;
    } else {
        let report = world.node.force_stop(ForceReason::NodeDrain, secs(120), |_| ()).await;
        assert!(report.stuck.is_empty(), "seed {seed}: {report:?}");
    }
    world.nothing_left_but_refused_removals(seed).await;
    for id in snapshots {
        let found = world.node.snapshot(&id).await;
        assert!(found.is_ok(), "seed {seed}: {id} was told of and is not there: {found:?}");
    }
    for (lifecycle, id) in ready {
        let page = world.node.list(&orchestrator::ListFilter {
            states: SandboxState::ALL.to_vec(),
            ..Default::default()
        });
        let found = page.sandboxes.iter().find(|s| s.record().lifecycle == lifecycle);
        // Its id may have been taken again since.
        let replaced = page.sandboxes.iter().any(|s| s.record().id.as_str() == id);
        assert!(found.is_some() || replaced, "seed {seed}: {id} was ready and is not remembered");
    }
    world.node.close().await;
    assert_eq!(world.driver.counts().calls, 0, "seed {seed}");
    one_end_each(&world, seed).await;
}

/// Every sandbox that was ever told of has one last event, unless it is paused, and nothing is told
/// of an incarnation afterwards.
async fn one_end_each(world: &World, seed: u64) {
    let (mut ended, mut open) = (BTreeSet::new(), BTreeSet::new());
    for event in world.events().await {
        let Some(lifecycle) = event["data"]["lifecycle_id"].as_str() else { continue };
        let sandbox = event["sandbox"].as_str().unwrap_or_default();
        assert!(!ended.contains(lifecycle), "seed {seed}: after its end: {event}");
        if event["type"] == "sandbox_stopped" {
            ended.insert(lifecycle.to_owned());
            open.remove(sandbox);
        } else {
            open.insert(sandbox.to_owned());
        }
    }
    let paused: BTreeSet<String> = world
        .node
        .list(&Default::default())
        .sandboxes
        .iter()
        .map(|snapshot| snapshot.record().id.to_string())
        .collect();
    assert_eq!(open, paused, "seed {seed}: those without an end are the paused ones");
    assert_eq!(world.driver.profiles().len(), paused.len(), "seed {seed}: profiles are kept");
}

impl World {
    /// The script may refuse a removal for good; everything else is gone.
    async fn nothing_left_but_refused_removals(&self, seed: u64) {
        let info = self.node.info();
        assert_eq!(
            (info.capacity.used, info.slots.used, info.slots.queued),
            (0, 0, 0),
            "seed {seed}"
        );
        let counts = self.driver.counts();
        assert_eq!((counts.processes, counts.calls), (0, 0), "seed {seed}: {counts:?}");
        assert_eq!(counts.directories, 0, "seed {seed}: {counts:?}");
    }
}
