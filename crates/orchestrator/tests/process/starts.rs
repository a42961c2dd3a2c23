//! What becomes of a start that does not succeed.

use std::fs;
use std::time::{Duration, Instant};

use orchestrator::driver::{Driver, DriverEvent, Flavour, LifecycleId, StartError, StopHow};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use crate::procs;
use crate::world::{Need, World, clean, driver, fake_spec, spec, start, try_start};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![
        ("a_start_cancelled_at_any_moment_leaves_nothing", Need::HeadlessShell, cancelled),
        ("a_start_that_nobody_waits_for_leaves_nothing", Need::Nothing, dropped),
        ("a_stop_during_the_start_cancels_it", Need::Nothing, stop_during_start),
        ("a_browser_that_dies_while_starting_tells_its_last_words", Need::Nothing, last_words),
        ("a_mute_browser_times_out", Need::Nothing, mute),
        ("a_browser_that_cannot_be_executed_says_which_step_failed", Need::Root, not_executable),
        ("a_second_start_of_one_lifecycle_is_refused_and_harms_nothing", Need::Nothing, twice),
        ("switches_that_weaken_the_sandbox_are_refused", Need::Nothing, unsafe_flags),
    ]
}

fn cancelled(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.config());
        let flavour = driver.capabilities().flavours[0];
        for (i, millis) in [0, 1, 3, 6, 10, 20, 40, 80, 120, 160, 200, 300].into_iter().enumerate()
        {
            let (sink, _events) = mpsc::channel(16);
            let cancel = CancellationToken::new();
            let name = format!("a{i}");
            let id = LifecycleId::new(name.as_str());
            let start = driver.start(spec(&name, flavour), sink, cancel.clone());
            let later = async {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                cancel.cancel();
            };
            match tokio::join!(start, later).0 {
                Err(StartError::Cancelled) => {
                    assert!(!world.state().join("sandboxes").join(&name).exists());
                }
                // The start won the race.
                Ok(()) => drop(clean(driver.stop(id, StopHow::Fast).await)),
                Err(other) => panic!("cancelled after {millis} ms: {other}"),
            }
        }
        driver.close().await;
    });
    Outcome::Passed
}

fn dropped(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let (sink, mut events) = mpsc::channel(16);
        let start = driver.start(fake_spec("a1", "mute"), sink, CancellationToken::new());
        let starting = async {
            assert_eq!(events.recv().await, Some(DriverEvent::Starting { generation: 1 }));
        };
        tokio::select! {
            biased;
            result = start => panic!("{result:?}"),
            () = starting => {}
        }
        // The sink goes with the task that runs the sandbox.
        assert_eq!(events.recv().await, None);
        driver.close().await;
    });
    Outcome::Passed
}

fn stop_during_start(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let (sink, mut events) = mpsc::channel(16);
        let start = driver.start(fake_spec("a1", "mute"), sink, CancellationToken::new());
        let stop = async {
            assert_eq!(events.recv().await, Some(DriverEvent::Starting { generation: 1 }));
            driver.stop(LifecycleId::new("a1"), StopHow::Graceful).await
        };
        let (start, stop) = tokio::join!(start, stop);
        assert_eq!(start, Err(StartError::Cancelled));
        clean(stop);
        driver.close().await;
    });
    Outcome::Passed
}

fn last_words(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        match try_start(&driver, fake_spec("a1", "exit")).await.err() {
            Some(StartError::Exited { cause: Cause::Exited { code: 9 }, log_tail }) => {
                assert!(log_tail.ends_with("these are my last words"), "{log_tail}");
                assert!(log_tail.len() <= 4096 && log_tail.len() > 3000, "{}", log_tail.len());
            }
            other => panic!("{other:?}"),
        }
        driver.close().await;
    });
    Outcome::Passed
}

fn mute(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut spec = fake_spec("a1", "mute");
        spec.start_timeout = Duration::from_millis(300);
        let began = Instant::now();
        let error = try_start(&driver, spec).await.err();
        assert!(matches!(error, Some(StartError::Timeout { .. })), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        driver.close().await;
    });
    Outcome::Passed
}

fn not_executable(world: &mut World) -> Outcome {
    let hidden = world.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let browser = hidden.join("my-headless-shell");
    fs::copy(world.fake(), &browser).unwrap();
    world.block_on(async {
        let mut config = world.config();
        config.browser = Some(browser);
        let driver = driver(config);
        match try_start(&driver, fake_spec("a1", "serve")).await.err() {
            Some(StartError::Spawn(text)) => assert!(text.contains("may not execute"), "{text}"),
            other => panic!("{other:?}"),
        }
        driver.close().await;
    });
    Outcome::Passed
}

fn twice(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let first = start(&driver, fake_spec("a1", "serve")).await;
        let second = try_start(&driver, fake_spec("a1", "serve")).await.err();
        assert!(matches!(second, Some(StartError::Spawn(_))), "{second:?}");
        assert!(procs::is_alive(&first.process()));
        clean(driver.stop(first.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn unsafe_flags(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        for flag in ["--no-sandbox", "--user-data-dir=/tmp/x", "--remote-debugging-port=9222"] {
            let mut spec = spec("a1", Flavour::HeadlessShell);
            spec.flags.push(flag.to_owned());
            match try_start(&driver, spec).await.err() {
                Some(StartError::Spawn(text)) => assert!(text.contains(flag), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        driver.close().await;
    });
    Outcome::Passed
}
