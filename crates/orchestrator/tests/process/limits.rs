//! What a sandbox may use.

use std::time::{Duration, Instant};

use orchestrator::driver::{Driver, DriverEvent, GoneWhy, StopHow};
use orchestrator::process::{CgroupMode, ProcessConfig};
use upstream::Cause;

use crate::procs;
use crate::world::{self, Need, World, clean, driver, fake_spec, start};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![
        ("a_browser_inherits_no_file_and_has_its_limits", Need::Nothing, inherits_nothing),
        ("a_fork_bomb_stays_inside_its_sandbox_and_dies_with_it", Need::ProcessLimit, |world| {
            let config = world.fake_config();
            fork_bomb(world, config)
        }),
        ("a_fork_bomb_dies_also_without_control_groups", Need::Root, |world| {
            let mut config = world.fake_config();
            config.cgroup = CgroupMode::Off;
            fork_bomb(world, config)
        }),
        ("a_memory_hog_is_ended_by_the_kernel_and_reported_as_such", Need::MemoryGroup, memory_hog),
        ("a_page_that_the_kernel_ends_is_told_and_its_browser_lives", Need::MemoryGroup, page),
        ("memory_is_watched_where_no_control_group_limits_it", Need::Nothing, fat),
        (
            "a_browser_killed_by_hand_under_a_memory_limit_is_no_memory_kill",
            Need::MemoryGroup,
            not_a_hog,
        ),
        ("required_control_groups_are_had_or_refused", Need::Nothing, required),
    ]
}

fn inherits_nothing(world: &mut World) -> Outcome {
    world.block_on(async {
        let secret = std::fs::File::open("/proc/version").unwrap();
        // A duplicate is inherited over `exec`, unlike the original.
        let _inherited = nix::unistd::dup(&secret).unwrap();
        let mut config = world.fake_config();
        config.limits.open_files = 1000;
        let driver = driver(config);
        let sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let proc = format!("/proc/{}", sandbox.pid);
        for entry in std::fs::read_dir(format!("{proc}/fd")).unwrap() {
            let target = std::fs::read_link(entry.unwrap().path()).unwrap();
            assert_ne!(target, std::path::Path::new("/proc/version"));
        }
        let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(limit("Max open files"), ["1000", "1000"]);
        assert_eq!(limit("Max core file size"), ["0", "0"]);
        assert_eq!(limit("Max file size"), ["8589934592", "8589934592"]);
        if world::is_root() {
            assert_eq!(limit("Max processes"), ["1024", "1024"]);
        }
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

/// Few enough that nothing else on the host notices.
const PROCESSES: u32 = 60;

fn fork_bomb(world: &mut World, mut config: ProcessConfig) -> Outcome {
    config.limits.pids = PROCESSES;
    config.stop_grace = Duration::from_millis(300);
    let driver = driver(config);
    world.block_on(async {
        let mut other = start(&driver, fake_spec("a2", "serve")).await;
        let bomb = start(&driver, fake_spec("a1", "bomb")).await;
        let uid = bomb.process().uid;
        let living = || procs::all(|p| p.uid == uid && !p.zombie).len();
        procs::wait_until("the bomb goes off", Duration::from_secs(20), || living() > 20);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(living() <= PROCESSES as usize, "{}", living());
        }
        let began = Instant::now();
        clean(driver.stop(bomb.lifecycle, StopHow::Graceful).await);
        println!("a fork bomb was stopped after {:?}", began.elapsed());
        assert_eq!(living(), 0);
        assert!(other.events.try_recv().is_err(), "the other sandbox runs on");
        assert!(procs::is_alive(&other.process()));
        clean(driver.stop(other.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn limited_memory(world: &World) -> ProcessConfig {
    let mut config = world.fake_config();
    config.limits.memory = Some(128 << 20);
    config
}

fn memory_hog(world: &mut World) -> Outcome {
    let config = limited_memory(world);
    world.block_on(async {
        let driver = driver(config);
        let mut hog = start(&driver, fake_spec("a1", "hog")).await;
        assert_eq!(hog.exited().await, (1, Cause::OomKilled, false, None));
        let gone = DriverEvent::Gone { cause: Cause::OomKilled, why: GoneWhy::Crashed };
        assert_eq!(hog.event().await, gone);
        let report = clean(driver.stop(hog.lifecycle, StopHow::Graceful).await);
        assert_eq!(report.exit, Some(Cause::OomKilled));
        driver.close().await;
    });
    Outcome::Passed
}

fn page(world: &mut World) -> Outcome {
    let config = limited_memory(world);
    world.block_on(async {
        let driver = driver(config);
        let mut sandbox = start(&driver, fake_spec("a1", "page")).await;
        assert_eq!(sandbox.event().await, DriverEvent::RendererOom { killed: 1 });
        assert!(procs::is_alive(&sandbox.process()), "only the page was ended");
        // What ends the browser later is not blamed on memory.
        let pid = nix::unistd::Pid::from_raw(sandbox.pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        let (_, cause, ..) = sandbox.exited().await;
        assert_eq!(cause, Cause::Signalled { signal: 9 });
        clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn fat(world: &mut World) -> Outcome {
    world.block_on(async {
        let mut config = world.fake_config();
        config.limits.memory = Some(128 << 20);
        config.cgroup = CgroupMode::Off;
        let driver = driver(config);
        let began = Instant::now();
        let mut sandbox = start(&driver, fake_spec("a1", "fat")).await;
        assert_eq!(sandbox.exited().await, (1, Cause::OomKilled, false, None));
        println!("over its limit for {:?}", began.elapsed());
        let gone = DriverEvent::Gone { cause: Cause::OomKilled, why: GoneWhy::Crashed };
        assert_eq!(sandbox.event().await, gone);
        clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn not_a_hog(world: &mut World) -> Outcome {
    let config = limited_memory(world);
    world.block_on(async {
        let driver = driver(config);
        let mut sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let pid = nix::unistd::Pid::from_raw(sandbox.pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        let (_, cause, _, relaunch_in) = sandbox.exited().await;
        assert_eq!(cause, Cause::Signalled { signal: 9 });
        assert_eq!(relaunch_in, Some(Duration::ZERO));
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn required(world: &mut World) -> Outcome {
    let mut config = world.fake_config();
    config.cgroup = CgroupMode::Require;
    match orchestrator::process::ProcessDriver::new(config) {
        Ok(driver) => world.block_on(async {
            let sandbox = start(&driver, fake_spec("a1", "serve")).await;
            let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", sandbox.pid)).unwrap();
            assert!(groups.contains("/a1"), "{groups}");
            clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
            driver.close().await;
        }),
        Err(e) => {
            assert_eq!(e.kind(), "cgroup");
            assert!(e.to_string().contains("Delegate=yes"), "{e}");
        }
    }
    Outcome::Passed
}
