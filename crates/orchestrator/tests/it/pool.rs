//! Browsers that wait for a create.

use std::sync::{Arc, Mutex};

use lockkeeper_api::SandboxState;
use orchestrator::node::NodeStatus;
use orchestrator::pool::{OLDEST, PROBE_EVERY};
use orchestrator::{Config, CreateError, ForceReason, OperatorDrain, PauseOptions, Template};
use testkit::fake_driver::{Act, FakeDriver, Hold, Point};
use upstream::Cause;

use crate::world::{World, config, eventually, flagged, named, request, secs, settle};

/// A template that keeps so many browsers, with a switch of its own to know them by.
fn template(name: &str, pool: usize) -> (String, Template) {
    let flags = vec![format!("--{name}")];
    (name.to_owned(), Template { pool, flags, ..Template::default() })
}

fn pooled(sizes: &[(&str, usize)]) -> Config {
    Config { templates: sizes.iter().map(|(n, size)| template(n, *size)).collect(), ..config() }
}

async fn filled(world: &World, count: u64) {
    eventually(&format!("{count} browsers wait"), || {
        let pool = world.node.pool();
        let idle: u64 = pool.values().map(|stock| stock.idle).sum();
        (idle == count).then_some(()).ok_or(format!("{pool:?}"))
    })
    .await;
}

async fn left(world: &World, lifecycles: u64) {
    eventually(&format!("{lifecycles} incarnations are left"), || {
        let used = world.node.info().capacity.used;
        (used == lifecycles).then_some(()).ok_or(format!("{used}"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_create_from_the_pool_asks_nothing_of_the_driver_and_is_ready_at_once() {
    let world = World::with(pooled(&[("default", 2)])).await;
    filled(&world, 2).await;
    let before = (tokio::time::Instant::now(), world.driver.counts());
    let warm = world.create("warm").await.unwrap();
    assert_eq!((tokio::time::Instant::now(), world.driver.counts()), before);
    let view = warm.view(orchestrator::urls::UrlBuilder::of_request("x").urls(None, "warm"), "n1");
    assert!(view.warm && view.state == SandboxState::Running && view.expires_at_ms.is_some());
    assert_eq!((view.times.queue_ms, view.times.start_ms), (0, Some(0)));
    assert_eq!(view.browser.unwrap().generation, 1);
    filled(&world, 2).await;
    world.delete("warm").await;
    let events = world.events().await;
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("sandbox_created")[0]["data"]["warm"], true);
    assert_eq!(of("browser_started")[0]["data"]["adopted"], true);
    assert_eq!((of("sandbox_ready").len(), of("sandbox_stopped").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_browser_would_be_another_one_misses_the_pool() {
    let world = World::with(pooled(&[("default", 1)])).await;
    filled(&world, 1).await;
    let starts = world.driver.counts().starts;
    world.node.create(flagged("other", "--other")).await.unwrap();
    assert_eq!(world.driver.counts().starts, starts + 1);
    // What changes nothing of the launch does not miss it.
    let same = request(r#"{"id": "same", "ttl": "1m", "labels": {"a": "b"}}"#);
    world.node.create(same).await.unwrap();
    assert!(world.node.get("same").unwrap().record().warm);
    assert!(!world.node.get("other").unwrap().record().warm);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_taken_is_refused_and_keeps_the_pool_as_it_is() {
    let world = World::with(pooled(&[("default", 1)])).await;
    filled(&world, 1).await;
    world.create("one").await.unwrap();
    filled(&world, 1).await;
    assert!(matches!(world.create("one").await, Err(CreateError::Admit(_))));
    filled(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn members_count_to_the_capacity_and_make_room_for_creates() {
    let config = Config { max_sandboxes: 2, ..pooled(&[("a", 2)]) };
    let world = World::with(config).await;
    filled(&world, 2).await;
    assert_eq!(world.node.info().capacity.used, 2);
    let made = world.create("other").await.unwrap();
    assert!(!made.record().warm);
    filled(&world, 1).await;
    world.create("third").await.unwrap();
    assert_eq!(world.driver.counts().most_processes, 2, "never more than there is room for");
    assert!(matches!(world.create("fourth").await, Err(CreateError::Admit(_))), "now it is full");
    world.delete("other").await;
    filled(&world, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_may_not_wait_is_refused_but_the_next_finds_room() {
    let config = Config { max_sandboxes: 1, ..pooled(&[("a", 1)]) };
    let world = World::with(config).await;
    filled(&world, 1).await;
    let hurried = request(r#"{"queue_timeout": "0"}"#);
    world.driver.script(|at| match at.point {
        Point::StopCleanup => Act::Wait(secs(1)),
        _ => Act::Go,
    });
    assert!(matches!(world.node.create(hurried).await, Err(CreateError::Admit(_))));
    world.create("patient").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_always_fails_is_tried_slower_and_slower_and_creates_are_unaffected() {
    let world = World::on(FakeDriver::new(), pooled(&[("bad", 3)])).await;
    world.driver.script(|at| match at.point {
        Point::StartSpawned if at.has("--bad") => Act::Fail("never".to_owned()),
        _ => Act::Go,
    });
    let before = world.driver.counts().starts;
    tokio::time::sleep(secs(60)).await;
    let tries = world.driver.counts().starts - before;
    assert!((5..=10).contains(&tries), "{tries} tries in the first minute");
    world.create("good").await.unwrap();
    assert_eq!(world.node.info().capacity.used, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_ended_or_does_not_answer_is_replaced_and_never_handed_out() {
    let world = World::with(pooled(&[("default", 1)])).await;
    filled(&world, 1).await;
    let first = world.driver.instances()[0].clone();
    world.driver.end_browser(&first, Cause::Signalled { signal: 11 }).await;
    settle().await;
    assert!(!world.driver.instances().contains(&first), "it is cleaned up");
    filled(&world, 1).await;

    let second = world.driver.instances()[0].clone();
    world.driver.script(|at| match at.point {
        Point::Probe => Act::Hang,
        _ => Act::Go,
    });
    tokio::time::sleep(PROBE_EVERY + secs(4)).await;
    assert!(!world.driver.instances().contains(&second), "it did not answer");
    world.driver.script(|_| Act::Go);
    filled(&world, 1).await;
    let made = world.create("fresh").await.unwrap();
    assert!(made.record().warm && made.record().lifecycle != second);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_ends_in_the_moment_of_its_hand_out_ends_its_sandbox_or_is_relaunched() {
    let world = World::with(pooled(&[("default", 1)])).await;
    for relaunch in [true, false] {
        filled(&world, 1).await;
        let member = world.driver.instances()[0].clone();
        // The report is on its way when the create comes.
        let cause = if relaunch { Cause::UnknownExit } else { Cause::Exited { code: 0 } };
        world.driver.end_browser(&member, cause).await;
        world.create("one").await.unwrap();
        let record = world.node.get("one").unwrap().record().clone();
        if record.lifecycle != member {
            // The report was faster.
            world.delete("one").await;
            continue;
        }
        if relaunch {
            eventually("the second generation runs", || {
                let generation = world.node.get("one").unwrap().record().browser.generation;
                (generation == 2).then_some(()).ok_or(generation.to_string())
            })
            .await;
            world.delete("one").await;
        } else {
            world.reaches("one", SandboxState::Stopped).await;
            assert_eq!(world.stop_reason("one"), Some("browser_closed"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_asked_every_ten_seconds_and_replaced_after_half_an_hour() {
    let world = World::with(pooled(&[("default", 1)])).await;
    filled(&world, 1).await;
    let (first, began) = (world.driver.instances()[0].clone(), world.driver.counts().probes);
    tokio::time::sleep(secs(60)).await;
    let asked = world.driver.counts().probes - began;
    assert!((5..=6).contains(&asked), "asked {asked} times in a minute");
    tokio::time::sleep(OLDEST).await;
    filled(&world, 1).await;
    assert!(!world.driver.instances().contains(&first));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_starts_of_the_pool_first_and_idle_members_after_the_last_create() {
    let world = World::with(pooled(&[("default", 2)])).await;
    filled(&world, 2).await;
    let hold = Hold::new();
    world.driver.script({
        let hold = hold.clone();
        move |at| match at.point {
            Point::StartSpawned => Act::Hold(hold.clone()),
            _ => Act::Go,
        }
    });
    world.create("one").await.unwrap();
    hold.reached(1).await;
    world.node.begin_announce();
    left(&world, 2).await;
    assert_eq!(world.node.pool()["default"].starting, 0, "the start in flight was cancelled");
    let late = world.create("late").await.unwrap();
    assert!(late.record().warm, "a create that is still let in gets what waits");
    world.node.begin_server_drain(None);
    world.node.wait_admitted().await;
    world.node.begin_factory_drain();
    world.node.wait_starts().await;
    left(&world, 2).await;
    world.delete("one").await;
    world.delete("late").await;
    world.node.wait_live_empty().await;
    world.node.wait_cleanup().await;
    world.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_operators_drain_ends_what_waits_and_standby_keeps_it() {
    let world = World::with(pooled(&[("default", 2)])).await;
    filled(&world, 2).await;
    world.node.set_status(NodeStatus::Standby).unwrap();
    tokio::time::sleep(secs(5)).await;
    filled(&world, 2).await;
    world.node.set_status(NodeStatus::Healthy).unwrap();
    world.node.drain(OperatorDrain::default()).unwrap();
    world.nothing_left().await;
    world.node.set_status(NodeStatus::Healthy).unwrap();
    filled(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_force_stop_names_a_member_whose_cleanup_hangs_and_ends_inside_its_budget() {
    let world = World::with(pooled(&[("default", 2)])).await;
    filled(&world, 2).await;
    let stuck = world.driver.instances()[0].clone();
    world.driver.script({
        let stuck = stuck.clone();
        move |at| match at.point {
            Point::StopCleanup if *at.lifecycle == stuck => Act::Hang,
            _ => Act::Go,
        }
    });
    let report = world.node.force_stop(ForceReason::ForceStop, secs(3), |_| {}).await;
    assert!(report.elapsed <= secs(3));
    assert_eq!(report.stuck.len(), 1, "{report:?}");
    assert_eq!((report.stuck[0].sandbox.as_str(), &report.stuck[0].lifecycle), ("(pool)", &stuck));
    assert_eq!(world.driver.counts().processes, 0);
}

#[tokio::test(start_paused = true)]
async fn creates_go_before_the_pool_when_start_slots_are_few() {
    let driver = FakeDriver::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    driver.script({
        let order = Arc::clone(&order);
        move |at| {
            if at.point == Point::StartPrepared {
                order.lock().unwrap().push(if at.has("--a") { "pool" } else { "create" });
            }
            Act::Go
        }
    });
    let world = World::on(driver, Config { start_slots: 1, ..pooled(&[("a", 3)]) }).await;
    eventually("the pool has the one slot", || {
        (world.node.info().slots.used == 1).then_some(()).ok_or("free".to_owned())
    })
    .await;
    let creating: Vec<_> = (0..3).map(|n| world.creating(named(&format!("c{n}")))).collect();
    for create in creating {
        create.await.unwrap().unwrap();
    }
    filled(&world, 3).await;
    let order = order.lock().unwrap().clone();
    assert_eq!(order, ["pool", "create", "create", "create", "pool", "pool"]);
    assert_eq!(world.node.info().slots.used, 0);
}

/// Creates, deletes, ends of browsers and a drain at random instants: what is started is cleaned
/// up, no more run than there is room for, and nobody is told twice.
#[tokio::test(start_paused = true)]
async fn random_creates_from_a_pool_and_a_drain_leave_nothing() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let max = random.usize(2..8);
        let config = Config {
            max_sandboxes: max,
            start_slots: random.usize(1..4),
            ..pooled(&[("default", random.usize(1..4)), ("a", random.usize(0..3))])
        };
        let world = World::with(config).await;
        let drain_at = random.usize(5..40);
        let mut creating = Vec::new();
        for step in 0..50 {
            match random.u8(..8) {
                0..4 => creating.push(world.creating(named(&format!("s{}", random.u8(..6))))),
                4 | 5 => drop(world.deleting(&format!("s{}", random.u8(..6)))),
                6 => {
                    let all = world.driver.instances();
                    if let Some(one) = random.choice(all.iter()) {
                        world.driver.end_browser(one, Cause::Signalled { signal: 9 }).await;
                    }
                }
                _ => tokio::time::sleep(secs(random.u64(0..3))).await,
            }
            if step == drain_at {
                world.node.begin_announce();
                world.node.begin_server_drain(None);
            }
            let used = world.node.info().capacity.used;
            assert!(used <= max as u64, "seed {seed}: {used} of {max}");
        }
        for create in creating {
            // Refused or made: both are an answer.
            let _ = create.await.unwrap();
        }
        world.node.wait_admitted().await;
        world.node.begin_factory_drain();
        world.node.wait_starts().await;
        let report = world.node.force_stop(ForceReason::NodeDrain, secs(30), |_| {}).await;
        assert_eq!(report.stuck, [], "seed {seed}");
        world.nothing_left().await;
        let most = world.driver.counts().most_processes;
        assert!(most <= max, "seed {seed}: {most} browsers, room for {max}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_on_a_full_node_takes_the_place_of_a_browser_that_waits() {
    let world = World::with(Config { max_sandboxes: 2, ..pooled(&[("default", 2)]) }).await;
    filled(&world, 2).await;
    world.create("a").await.unwrap();
    world.node.pause("a", PauseOptions::default()).await.unwrap();
    filled(&world, 2).await;
    assert_eq!(world.node.info().capacity.used, 2, "the node is full");
    world.node.resume("a", PauseOptions::default()).await.unwrap();
    assert_eq!(world.state("a"), Some(SandboxState::Running));
    assert!(world.driver.counts().most_processes <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_connects_to_a_paused_sandbox_takes_the_place_of_a_browser_that_waits() {
    let world = World::with(Config { max_sandboxes: 2, ..pooled(&[("default", 2)]) }).await;
    filled(&world, 2).await;
    world.create("a").await.unwrap();
    world.node.pause("a", PauseOptions::default()).await.unwrap();
    filled(&world, 2).await;
    world.driver.script(|at| match at.point {
        Point::StopBegin => Act::Wait(secs(1)),
        _ => Act::Go,
    });
    let starts = world.driver.counts().starts;
    let target = world.node.wake("a").unwrap();
    assert_eq!(target.lifecycle_id, world.lifecycle("a"), "the session waits for its browser");
    assert_eq!(world.node.info().capacity.used, 2);
    assert_eq!(world.driver.counts().starts, starts, "nothing starts before there is room");
    let resumed = world.node.resume("a", PauseOptions::default()).await.unwrap();
    assert_eq!(resumed.record().lifecycle, target.lifecycle_id);
    assert_eq!(world.driver.counts().most_processes, 2);
    world.node.wake("a").unwrap();
    world.delete("a").await;
    filled(&world, 2).await;
    assert_eq!(world.driver.counts().most_processes, 2);
}
