//! What a sandbox does when something goes wrong.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orchestrator::driver::{Driver, DriverEvent, GoneWhy, LifecycleId, OnExit, StopHow};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use crate::procs;
use crate::world::{LIMIT, Need, World, clean, driver, fake_spec, spec, start};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![
        ("a_killed_browser_comes_back_with_its_profile", Need::HeadlessShell, relaunch),
        ("a_death_is_reported_at_once", Need::Nothing, reported_at_once),
        (
            "a_browser_that_ignores_sigterm_is_killed_after_the_grace",
            Need::Nothing,
            ignores_sigterm,
        ),
        ("a_fast_stop_shortens_a_graceful_one", Need::Nothing, shortened),
        ("a_crash_loop_is_given_up", Need::Nothing, crash_loop),
        ("a_crash_is_final_where_the_template_says_so", Need::Nothing, crash_stops),
        ("a_kill_is_quick_final_and_removes_nothing", Need::Nothing, killed),
        ("processes_that_left_everything_behind_are_found", Need::Root, strays),
        ("a_directory_that_cannot_be_removed_is_tried_again_and_then_set_aside", Need::Root, stuck),
        ("events_that_nobody_reads_do_not_hold_up_a_stop", Need::Nothing, unread),
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
