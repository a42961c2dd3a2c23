//! A program beside the browser, and what the end of one means to the other.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orchestrator::driver::{
    Driver, DriverEvent, LaunchSpec, OnExit, RunnerSpec, StartError, StopHow,
};
use upstream::Cause;

use crate::procs;
use crate::world::{LIMIT, Need, Started, World, clean, driver, fake_spec, start, try_start};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![
        (
            "a_runner_has_a_port_and_a_user_of_its_own_and_goes_with_the_browser",
            Need::Nothing,
            both,
        ),
        (
            "the_end_of_a_browser_is_not_that_of_its_runner_nor_the_other_way_round",
            Need::Nothing,
            apart,
        ),
        ("a_required_runner_that_does_not_come_up_fails_the_start", Need::Nothing, required),
        ("a_runner_that_always_ends_is_given_up_and_the_browser_stays", Need::Nothing, given_up),
        ("a_runner_that_ignores_sigterm_is_killed_after_the_grace", Need::Nothing, stubborn),
        ("a_kill_reaches_the_runner_too", Need::Nothing, killed),
        ("a_browser_that_is_closed_to_be_parked_takes_its_runner_along", Need::Nothing, parked),
    ]
}

/// The first argument of this binary where it is a runner.
pub(crate) const WORD: &str = "__runner";

/// A runner that behaves as its argument says.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let port: u16 = std::env::var_os("PORT").unwrap().to_str().unwrap().parse().unwrap();
    let serve = |status: &str| -> ExitCode {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Whoever asks may have gone.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
        ExitCode::SUCCESS
    };
    match args[0].to_str().unwrap() {
        "serve" => serve("204 No Content"),
        "never" => serve("503 Service Unavailable"),
        "exit" => {
            println!("said on stdout");
            eprintln!("said on stderr");
            ExitCode::from(3)
        }
        "ignore-term" => {
            let script = "trap '' TERM; exec \"$@\"";
            let me = std::env::current_exe().unwrap();
            let error = Command::new("/bin/sh")
                .args(["-c", script, "sh"])
                .arg(me)
                .args([WORD, "serve"])
                .exec();
            panic!("{error}");
        }
        other => panic!("unknown behaviour {other:?}"),
    }
}

/// A browser with a runner beside it that behaves like this.
pub(crate) fn with_runner(world: &World, name: &str, behaviour: &str) -> LaunchSpec {
    let mut spec = fake_spec(name, "serve");
    spec.runner = Some(runner(world, behaviour));
    spec
}

fn runner(world: &World, behaviour: &str) -> RunnerSpec {
    RunnerSpec {
        program: world.fake().to_str().unwrap().to_owned(),
        args: vec![WORD.to_owned(), behaviour.to_owned()],
        env: vec![("SANDBOX_ID".to_owned(), "s1".to_owned())],
        ready_path: "/health".to_owned(),
        required: false,
        on_exit: OnExit::Relaunch,
        start_timeout: LIMIT,
    }
}

/// Where the runner listens, and its process.
async fn runner_ready(sandbox: &mut Started) -> (String, procs::Process) {
    match sandbox.event().await {
        DriverEvent::RunnerReady { url, pid, .. } => {
            (url, procs::read(pid.unwrap().cast_signed()).unwrap())
        }
        other => panic!("instead of a runner that is ready: {other:?}"),
    }
}

async fn runner_exited(sandbox: &mut Started) -> (Cause, bool, Option<Duration>) {
    match sandbox.event().await {
        DriverEvent::RunnerExited { cause, expected, restart_in, .. } => {
            (cause, expected, restart_in)
        }
        other => panic!("instead of the end of a runner: {other:?}"),
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn both(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, with_runner(world, "a1", "serve")).await;
        let (url, process) = runner_ready(&mut sandbox).await;
        let port = url.strip_prefix("http://127.0.0.1:").unwrap();
        let environ = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        for variable in [format!("PORT={port}"), "SANDBOX_ID=s1".to_owned()] {
            assert!(environ.split('\0').any(|found| found == variable), "{variable}: {environ}");
        }
        assert!(!environ.contains("CARGO"), "{environ}");
        if crate::world::is_root() {
            assert!(world.uids().contains(&process.uid));
            assert_ne!(process.uid, sandbox.process().uid);
        }
        clean(driver.stop(sandbox.lifecycle.clone(), StopHow::Graceful).await);
        let mut ends = [false; 2];
        while let Some(event) = sandbox.events.recv().await {
            match event {
                DriverEvent::BrowserExited { expected: true, .. } => ends[0] = true,
                DriverEvent::RunnerExited { expected: true, restart_in: None, .. } => {
                    ends[1] = true
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ends, [true; 2]);
        assert!(!procs::is_alive(&process));
        driver.close().await;
    });
    Outcome::Passed
}

fn apart(world: &mut World) -> Outcome {
    const KILLED: Cause = Cause::Signalled { signal: 9 };
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, with_runner(world, "a1", "serve")).await;
        let (_, first) = runner_ready(&mut sandbox).await;
        signal(sandbox.pid, Signal::SIGKILL);
        assert_eq!(sandbox.exited().await, (1, KILLED, false, Some(Duration::ZERO)));
        assert_eq!(sandbox.event().await, DriverEvent::Starting { generation: 2 });
        let browser = sandbox.ready(2).await;
        assert!(procs::is_alive(&first), "the runner went with the browser");

        signal(first.pid, Signal::SIGKILL);
        assert_eq!(runner_exited(&mut sandbox).await, (KILLED, false, Some(Duration::ZERO)));
        let (_, second) = runner_ready(&mut sandbox).await;
        assert_ne!(second.pid, first.pid);
        assert_eq!(procs::read(browser).unwrap().pid, sandbox.pid);
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn required(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let cases = [
            ("exit", LIMIT, ["ended (exited: code 3)", "said on stdout", "said on stderr"]),
            ("never", Duration::from_secs(1), ["GET /health", "2xx within 1s", "PORT"]),
        ];
        for (behaviour, start_timeout, texts) in cases {
            let mut spec = with_runner(world, behaviour, behaviour);
            let runner = spec.runner.as_mut().unwrap();
            (runner.required, runner.start_timeout) = (true, start_timeout);
            let Err(error) = try_start(&driver, spec).await else { panic!("{behaviour} started") };
            assert!(matches!(error, StartError::Runner(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with("the runner "), "{text}");
            for wanted in texts {
                assert!(text.contains(wanted), "{wanted}: {text}");
            }
            world_is_empty(world);
        }
        let mut spec = with_runner(world, "ready", "serve");
        spec.runner.as_mut().unwrap().required = true;
        let mut sandbox = start(&driver, spec).await;
        // It was ready before the start was answered.
        let ready = sandbox.events.try_recv();
        assert!(matches!(ready, Ok(DriverEvent::RunnerReady { .. })), "{ready:?}");
        driver.close().await;
    });
    Outcome::Passed
}

fn world_is_empty(world: &World) {
    let folders = std::fs::read_dir(world.state().join("sandboxes")).unwrap().count();
    assert_eq!(folders, 0, "something is left of a start that failed");
}

fn given_up(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut spec = with_runner(world, "a1", "exit");
        spec.crash_max = 3;
        let mut sandbox = start(&driver, spec).await;
        for last in [false, false, true] {
            let (cause, expected, restart_in) = runner_exited(&mut sandbox).await;
            assert_eq!((cause, expected), (Cause::Exited { code: 3 }, false));
            assert_eq!(restart_in.is_none(), last);
        }
        assert!(procs::is_alive(&sandbox.process()));
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn stubborn(world: &mut World) -> Outcome {
    world.block_on(async {
        let mut config = world.fake_config();
        config.stop_grace = Duration::from_millis(300);
        let driver = driver(config);
        let mut sandbox = start(&driver, with_runner(world, "a1", "ignore-term")).await;
        let (_, process) = runner_ready(&mut sandbox).await;
        let report = clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        assert!(report.total >= Duration::from_millis(300), "{report:?}");
        assert!(!procs::is_alive(&process));
        driver.close().await;
    });
    Outcome::Passed
}

fn killed(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, with_runner(world, "a1", "ignore-term")).await;
        let (_, process) = runner_ready(&mut sandbox).await;
        let browser = sandbox.process();
        driver.kill(sandbox.lifecycle.clone()).await;
        assert!(!procs::is_alive(&process) && !procs::is_alive(&browser));
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn parked(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut sandbox = start(&driver, with_runner(world, "a1", "serve")).await;
        let (_, process) = runner_ready(&mut sandbox).await;
        let limit = Duration::from_millis(500);
        driver.close_clean(sandbox.lifecycle.clone(), limit).await.unwrap();
        assert!(!procs::is_alive(&process));
        let folders = || std::fs::read_dir(world.state().join("sandboxes")).unwrap().count();
        assert_eq!(folders(), 1, "that of the profile");
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}
