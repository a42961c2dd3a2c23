//! Many sandboxes, and nobody knows what comes next.

use std::fs;
use std::time::Duration;

use orchestrator::driver::{Driver, LifecycleId, StartError, StopHow};
use orchestrator::process::ProcessDriver;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use crate::world::{Need, World, clean, driver, fake_spec};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![("random_starts_stops_kills_and_crashes_leave_nothing", Need::Nothing, random)]
}

/// Sandboxes that are started, crashed, killed, cancelled and stopped at random instants.
fn random(world: &mut World) -> Outcome {
    const ROUNDS: u64 = 12;
    let seed = getrandom::u64().unwrap();
    println!("seed {seed}");
    let mut random = Random(seed);
    world.block_on(async {
        let driver = driver(world.fake_config());
        for round in 0..ROUNDS {
            let plans: Vec<_> = (0..8)
                .map(|i| {
                    (format!("r{round}-{i}"), random.below(5), random.below(60), random.below(60))
                })
                .collect();
            let lives = plans.iter().map(|(name, fate, first, second)| {
                one_life(&driver, name, *fate, [*first, *second].map(Duration::from_millis))
            });
            futures_util::future::join_all(lives).await;
            let folders = fs::read_dir(world.state().join("sandboxes")).unwrap();
            assert_eq!(folders.count(), 0, "round {round} of seed {seed}");
        }
        driver.close().await;
    });
    Outcome::Passed
}

async fn one_life(driver: &ProcessDriver, name: &str, fate: u64, after: [Duration; 2]) {
    let behaviour = if fate == 0 { "crash" } else { "serve" };
    let id = LifecycleId::new(name);
    let (sink, mut events) = mpsc::channel(2);
    let cancel = CancellationToken::new();
    let start = driver.start(fake_spec(name, behaviour), sink, cancel.clone());
    let fate = async {
        tokio::time::sleep(after[0]).await;
        match fate {
            1 => cancel.cancel(),
            2 => driver.kill(id.clone()).await,
            3 => drop(clean(driver.stop(id.clone(), StopHow::Graceful).await)),
            _ => {}
        }
        tokio::time::sleep(after[1]).await;
        clean(driver.stop(id.clone(), StopHow::Fast).await);
    };
    // Read slowly, and only a few.
    let read = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let _ = tokio::time::timeout(Duration::from_millis(10), events.recv()).await;
        }
    };
    let (started, (), ()) = tokio::join!(start, fate, read);
    match started {
        // The stop may have come before the start had an instance to stop.
        Ok(()) | Err(StartError::Cancelled) => drop(clean(driver.stop(id, StopHow::Fast).await)),
        Err(StartError::Exited { cause, .. }) => assert_ne!(cause, Cause::UnknownExit),
        Err(other) => panic!("{name}: {other}"),
    }
}

/// Splitmix64: small, and the same sequence for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
