//! What a sandbox does when something goes wrong.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orchestrator::driver::{
    Driver, DriverEvent, Flavour, GoneWhy, LifecycleId, OnExit, StartError, StopHow,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use crate::procs;
use crate::world::{self, LIMIT, World, clean, driver, fake_spec, spec, start, try_start};
use crate::{Outcome, Test};

pub(crate) fn tests() -> Vec<(&'static str, Test)> {
    vec![
        ("a_killed_browser_comes_back_with_its_profile", relaunch),
        ("a_death_is_reported_at_once", reported_at_once),
        ("a_browser_that_ignores_sigterm_is_killed_after_the_grace", ignores_sigterm),
        ("a_fast_stop_shortens_a_graceful_one", shortened),
        ("a_crash_loop_is_given_up", crash_loop),
        ("a_crash_is_final_where_the_template_says_so", crash_stops),
        ("a_start_cancelled_at_any_moment_leaves_nothing", cancelled),
        ("a_start_that_nobody_waits_for_leaves_nothing", dropped),
        ("a_stop_during_the_start_cancels_it", stop_during_start),
        ("a_browser_that_dies_while_starting_tells_its_last_words", last_words),
        ("a_mute_browser_times_out", mute),
        ("a_browser_that_cannot_be_executed_says_which_step_failed", not_executable),
        ("a_kill_is_quick_final_and_removes_nothing", killed),
        ("processes_that_left_everything_behind_are_found", strays),
        ("a_directory_that_cannot_be_removed_is_tried_again_and_then_set_aside", stuck),
        ("a_second_start_of_one_lifecycle_is_refused_and_harms_nothing", twice),
        ("switches_that_weaken_the_sandbox_are_refused", unsafe_flags),
        ("random_starts_stops_kills_and_crashes_leave_nothing", random),
        ("events_that_nobody_reads_do_not_hold_up_a_stop", unread),
    ]
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

const KILLED: Cause = Cause::Signalled { signal: 9 };

fn relaunch(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.config());
        let flavours = driver.capabilities().flavours;
        for flavour in flavours {
            let name = format!("a-{}", flavour.as_str());
            let mut sandbox = start(&driver, spec(&name, flavour)).await;
            let profile = world.state().join("sandboxes").join(&name).join("profile");
            fs::write(profile.join("marker"), "kept").unwrap();
            let (first, first_url) = (sandbox.process(), sandbox.url.clone());
            signal(first.pid, Signal::SIGKILL);
            assert_eq!(sandbox.exited().await, (1, KILLED, false, Some(Duration::ZERO)));
            assert_eq!(sandbox.event().await, DriverEvent::Starting { generation: 2 });
            sandbox.ready(2).await;
            assert_ne!(sandbox.url, first_url);
            assert_eq!(fs::read_to_string(profile.join("marker")).unwrap(), "kept");
            assert_eq!(sandbox.process().uid, first.uid);
            clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        }
        driver.close().await;
    });
    Outcome::Passed
}

fn reported_at_once(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut took = Vec::new();
        for i in 0..10 {
            let mut spec = fake_spec(&format!("a{i}"), "serve");
            spec.on_crash = OnExit::Stop;
            let mut sandbox = start(&driver, spec).await;
            let began = Instant::now();
            signal(sandbox.pid, Signal::SIGKILL);
            assert_eq!(sandbox.exited().await, (1, KILLED, false, None));
            took.push(began.elapsed());
            clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        }
        took.sort();
        println!("from SIGKILL to the event: median {:?}, worst {:?}", took[5], took[9]);
        // The median, as the machine may be busy with other things.
        assert!(took[5] < Duration::from_millis(10), "{took:?}");
        driver.close().await;
    });
    Outcome::Passed
}

fn ignores_sigterm(world: &mut World) -> Outcome {
    world.block_on(async {
        let mut config = world.fake_config();
        config.stop_grace = Duration::from_millis(400);
        let driver = driver(config);
        let mut sandbox = start(&driver, fake_spec("a1", "ignore-term")).await;
        let report = clean(driver.stop(sandbox.lifecycle.clone(), StopHow::Graceful).await);
        assert_eq!(report.exit, Some(KILLED));
        assert!(report.grace >= Duration::from_millis(400), "{report:?}");
        assert!(report.total < Duration::from_secs(3), "{report:?}");
        assert_eq!(sandbox.exited().await, (1, KILLED, true, None));
        driver.close().await;
    });
    Outcome::Passed
}

fn shortened(world: &mut World) -> Outcome {
    world.block_on(async {
        let mut config = world.fake_config();
        config.stop_grace = Duration::from_secs(60);
        let driver = driver(config);
        let sandbox = start(&driver, fake_spec("a1", "ignore-term")).await;
        let slow = driver.stop(sandbox.lifecycle.clone(), StopHow::Graceful);
        let fast = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            driver.stop(sandbox.lifecycle.clone(), StopHow::Fast).await
        };
        let (slow, fast) = tokio::join!(slow, fast);
        assert_eq!(clean(slow), clean(fast.clone()));
        assert!(fast.total < Duration::from_secs(6), "{fast:?}");
        driver.close().await;
    });
    Outcome::Passed
}

fn crash_loop(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut spec = fake_spec("a1", "crash");
        spec.crash_max = 3;
        let mut sandbox = start(&driver, spec).await;
        let crash = Cause::Exited { code: 7 };
        let mut delays = Vec::new();
        for generation in 1..=3 {
            let (number, cause, expected, relaunch_in) = sandbox.exited().await;
            assert_eq!((number, cause, expected), (generation, crash, false));
            delays.push(relaunch_in);
            if generation < 3 {
                let generation = generation + 1;
                assert_eq!(sandbox.event().await, DriverEvent::Starting { generation });
                sandbox.ready(generation).await;
            }
        }
        let second = delays[1].unwrap();
        assert_eq!((delays[0], delays[2]), (Some(Duration::ZERO), None));
        assert!(second >= Duration::from_millis(200) && second <= Duration::from_millis(300));
        let why = GoneWhy::GaveUp(vec![crash; 3]);
        assert_eq!(sandbox.event().await, DriverEvent::Gone { cause: crash, why });
        let report = clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        assert_eq!(report.exit, Some(crash));
        driver.close().await;
    });
    Outcome::Passed
}

fn crash_stops(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut spec = fake_spec("a1", "serve");
        spec.on_crash = OnExit::Stop;
        let mut sandbox = start(&driver, spec).await;
        let aborted = Cause::Signalled { signal: 6 };
        signal(sandbox.pid, Signal::SIGABRT);
        assert_eq!(sandbox.exited().await, (1, aborted, false, None));
        let gone = DriverEvent::Gone { cause: aborted, why: GoneWhy::Crashed };
        assert_eq!(sandbox.event().await, gone);
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
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
    if !world::is_root() {
        return Outcome::Skipped("needs a sandbox user that may less than the daemon");
    }
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

fn killed(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, fake_spec("a1", "ignore-term")).await;
        let process = sandbox.process();
        let began = Instant::now();
        driver.kill(sandbox.lifecycle.clone()).await;
        assert!(!procs::is_alive(&process));
        assert!(began.elapsed() < Duration::from_secs(2));
        driver.kill(sandbox.lifecycle.clone()).await;
        let (generation, cause, _, relaunch_in) = sandbox.exited().await;
        assert_eq!((generation, cause, relaunch_in), (1, KILLED, None));
        assert!(world.state().join("sandboxes/a1/profile").exists());
        clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn strays(world: &mut World) -> Outcome {
    if !world::is_root() {
        return Outcome::Skipped("a process without session and mark is found only by its user");
    }
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, fake_spec("a1", "stray")).await;
        let uid = sandbox.process().uid;
        let sleeper = |p: &procs::Process| p.uid == uid && p.name == "sleep" && !p.zombie;
        let one = || procs::all(sleeper).len() == 1;
        procs::wait_until("the stray", LIMIT, one);
        // Also a relaunch begins only when nothing of the last generation lives.
        signal(sandbox.pid, Signal::SIGKILL);
        sandbox.exited().await;
        assert_eq!(sandbox.event().await, DriverEvent::Starting { generation: 2 });
        sandbox.ready(2).await;
        procs::wait_until("the next stray alone", LIMIT, one);
        clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        assert!(procs::all(sleeper).is_empty());
        driver.close().await;
    });
    Outcome::Passed
}

fn chattr(flag: &str, path: &std::path::Path) -> bool {
    Command::new("chattr").arg(flag).arg(path).status().is_ok_and(|status| status.success())
}

fn stuck(world: &mut World) -> Outcome {
    if !world::is_root() {
        return Outcome::Skipped("only root can make a file that cannot be removed");
    }
    let probe = world.path().join("probe");
    fs::write(&probe, "").unwrap();
    if !chattr("+i", &probe) {
        return Outcome::Skipped("this file system has no immutable files");
    }
    assert!(chattr("-i", &probe));
    world.block_on(async {
        let driver = driver(world.fake_config());
        let other = start(&driver, fake_spec("a2", "serve")).await;
        let sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let process = sandbox.process();
        let folder = world.state().join("sandboxes/a1");
        let file = folder.join("profile/stuck");
        fs::write(&file, "").unwrap();
        assert!(chattr("+i", &file));
        let stop = || driver.stop(sandbox.lifecycle.clone(), StopHow::Fast);
        let report = stop().await;
        assert!(report.errors.len() == 1, "{report:?}");
        assert!(!procs::is_alive(&process));
        assert!(folder.join("instance.json").exists(), "the record goes last");
        clean(driver.stop(other.lifecycle, StopHow::Fast).await);

        // Once it can be removed, the next try does it.
        assert!(chattr("-i", &file));
        clean(stop().await);
        assert!(!folder.exists());

        let sandbox = start(&driver, fake_spec("a3", "serve")).await;
        let file = world.state().join("sandboxes/a3/profile/stuck");
        fs::write(&file, "").unwrap();
        assert!(chattr("+i", &file));
        let mut tries = 0;
        loop {
            let report = driver.stop(sandbox.lifecycle.clone(), StopHow::Fast).await;
            if report.errors.is_empty() {
                break;
            }
            tries += 1;
            assert!(tries <= 10, "{report:?}");
        }
        let aside = world.state().join("set-aside/a3");
        assert!(aside.exists());
        assert!(chattr("-i", &aside.join("profile/stuck")));
        fs::remove_dir_all(aside).unwrap();
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

fn unread(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver: Arc<_> = driver(world.fake_config());
        let (sink, mut events) = mpsc::channel(1);
        driver.start(fake_spec("a1", "serve"), sink, CancellationToken::new()).await.unwrap();
        let began = Instant::now();
        clean(driver.stop(LifecycleId::new("a1"), StopHow::Fast).await);
        assert!(began.elapsed() < LIMIT);
        assert_eq!(events.recv().await, Some(DriverEvent::Starting { generation: 1 }));
        driver.close().await;
    });
    Outcome::Passed
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

async fn one_life(
    driver: &orchestrator::process::ProcessDriver,
    name: &str,
    fate: u64,
    after: [Duration; 2],
) {
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
