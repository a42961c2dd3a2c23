//! Racing calls, in ten thousand orders.

use super::*;

const SEEDS: u64 = 10_000;
const CALLERS: usize = 4;
const CALLS: usize = 3;
const NAMES: [&str; 2] = ["a", "b"];

async fn call(world: &World, rng: &mut fastrand::Rng) {
    let name = NAMES[rng.usize(..2)];
    let key = key(name);
    match rng.u32(..100) {
        0..35 => {
            world.ensure(name, rng.u32(1..4)).await;
        }
        35..50 => {
            let setup = world.setup(name, rng.u32(1..4));
            assert!(matches!(world.registry.replace(&key, setup).await, Ensured::Started(_)));
        }
        50..65 => {
            world.registry.cancel(&key).await;
        }
        65..70 => {
            world.registry.cancel_if(&key, rng.u64(1..6)).await;
        }
        70..75 => {
            world.registry.cancel_stale(now() + HOUR * 2).await;
        }
        75..85 => {
            let answer = [Answer::None, Answer::Never, Answer::Panic][rng.usize(..3)];
            world.answer(name, answer);
        }
        // A call that its caller gives up.
        85..90 => {
            let setup = world.setup(name, 1);
            let replace = world.registry.replace(&key, setup);
            let _ = tokio::time::timeout(Duration::ZERO, replace).await;
        }
        90..95 => {
            let _pin = world.registry.pin(&key);
            tokio::task::yield_now().await;
        }
        _ => tokio::time::sleep(Duration::from_millis(rng.u64(..3000))).await,
    }
    for _ in 0..rng.u32(..4) {
        tokio::task::yield_now().await;
    }
}

async fn race(seed: u64) {
    let world =
        Arc::new(World::new(Settings { rearm_every: Duration::ZERO, ..Settings::default() }));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let world = Arc::clone(&world);
        let mut rng = fastrand::Rng::with_seed(seed * CALLERS as u64 + caller as u64);
        callers.spawn(async move {
            for _ in 0..CALLS {
                call(&world, &mut rng).await;
            }
        });
    }
    while let Some(result) = callers.join_next().await {
        result.unwrap_or_else(|panic| panic!("seed {seed}: {panic}"));
    }
    let registry = &world.registry;
    let joined = async {
        registry.cancel(&key("a")).await;
        registry.cancel(&key("b")).await;
    };
    // A caller that gave up may have left one that is ending.
    tokio::time::timeout(Duration::from_secs(60), joined).await.expect("cancel joins");
    tokio::task::yield_now().await;
    assert_eq!(registry.len(), 0, "seed {seed}");
    assert!(registry.snapshot().is_empty(), "seed {seed}");
    Arc::into_inner(world).expect("the callers are gone").end().await;
}

#[test]
fn racing_calls_leave_one_listener_a_session_and_none_at_the_end() {
    let first = fastrand::u64(..1 << 40);
    println!("seeds from {first}");
    for seed in first..first + SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(race(seed));
        assert_eq!(runtime.metrics().num_alive_tasks(), 0, "seed {seed}");
    }
}

/// The same on several threads, where calls really happen at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_threads_leave_one_listener_a_session_and_none_at_the_end() {
    for round in 0..200 {
        let settings = Settings { rearm_every: Duration::ZERO, ..Settings::default() };
        let world = Arc::new(World::new(settings));
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let world = Arc::clone(&world);
            let mut rng = fastrand::Rng::with_seed(round * 8 + caller);
            callers.spawn(async move {
                for _ in 0..10 {
                    let name = NAMES[rng.usize(..2)];
                    match rng.u32(..10) {
                        0..4 => drop(world.ensure(name, rng.u32(1..3)).await),
                        4..6 => {
                            let setup = world.setup(name, 1);
                            let replaced = world.registry.replace(&key(name), setup).await;
                            assert!(matches!(replaced, Ensured::Started(_)));
                        }
                        6..8 => drop(world.registry.cancel(&key(name)).await),
                        8 => drop(world.registry.pin(&key(name))),
                        _ => {
                            let answers = [Answer::None, Answer::Never, Answer::Panic];
                            world.answer(name, answers[rng.usize(..3)]);
                        }
                    }
                }
            });
        }
        while let Some(result) = callers.join_next().await {
            result.unwrap_or_else(|panic| panic!("round {round}: {panic}"));
        }
        Arc::into_inner(world).expect("the callers are gone").end().await;
    }
}
