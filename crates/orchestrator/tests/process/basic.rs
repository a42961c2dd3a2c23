//! What a sandbox does when nothing goes wrong.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use orchestrator::driver::{Driver, DriverEvent, Flavour, GoneWhy, StopHow};
use tokio_tungstenite::tungstenite::Message;
use upstream::Cause;

use crate::procs;
use crate::world::{self, LIMIT, Need, World, clean, driver, fake_spec, spec, start};
use crate::{Outcome, Tests};

pub(crate) fn tests() -> Tests {
    vec![
        ("headless_shell_answers_and_leaves_nothing", Need::HeadlessShell, |w| {
            answers(w, Flavour::HeadlessShell)
        }),
        ("chromium_answers_and_leaves_nothing", Need::Chromium, |w| answers(w, Flavour::Chromium)),
        ("a_state_directory_of_any_length_works", Need::Chromium, long_directory),
        ("every_sandbox_has_its_own_user_and_private_folders", Need::Root, own_user),
        (
            "a_browser_closed_by_its_client_is_gone_and_not_relaunched",
            Need::HeadlessShell,
            closed_by_client,
        ),
        ("a_stop_of_an_unknown_sandbox_is_a_success", Need::Nothing, unknown),
        ("concurrent_stops_all_succeed", Need::Nothing, concurrent_stops),
        ("children_of_the_embedding_program_keep_their_status", Need::Nothing, foreign_children),
        ("closing_the_driver_stops_what_still_runs", Need::Nothing, close_stops),
        ("ten_sandboxes_at_once_start_and_stop", Need::HeadlessShell, many),
    ]
}

fn answers(world: &mut World, flavour: Flavour) -> Outcome {
    world.block_on(async {
        let driver = driver(world.config());
        let mut sandbox = start(&driver, spec("a1", flavour)).await;
        println!("{flavour:?} {} ready after {:?}", sandbox.product, sandbox.start_time);
        assert!(sandbox.product.contains("Chrome/"), "{}", sandbox.product);
        // The process we know is the browser itself, and its sandbox is on.
        let exe = fs::read_link(format!("/proc/{}/exe", sandbox.pid)).unwrap();
        assert!(exe.starts_with("/usr/lib") || exe.starts_with("/opt"), "{exe:?}");
        let line = fs::read_to_string(format!("/proc/{}/cmdline", sandbox.pid)).unwrap();
        assert!(!line.contains("--no-sandbox"), "{line}");
        let status = fs::read_to_string(format!("/proc/{}/status", sandbox.pid)).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");

        let report = clean(driver.stop(sandbox.lifecycle.clone(), StopHow::Graceful).await);
        println!("{flavour:?} stopped: {report:?}");
        assert!(report.exit.is_some());
        assert!(report.grace < Duration::from_secs(10), "{report:?}");
        let (generation, _, expected, relaunch_in) = sandbox.exited().await;
        assert_eq!((generation, expected, relaunch_in), (1, true, None));
        assert_eq!(sandbox.events.recv().await, None);
        driver.close().await;
    });
    Outcome::Passed
}

fn long_directory(world: &mut World) -> Outcome {
    let deep = world.path().join("d".repeat(90));
    world.block_on(async {
        let mut config = world.config();
        config.state_dir = deep.clone();
        let driver = driver(config);
        let sandbox = start(&driver, spec(&"a".repeat(40), Flavour::Chromium)).await;
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
        assert_eq!(fs::read_dir(deep.join("sandboxes")).unwrap().count(), 0);
    });
    Outcome::Passed
}

fn own_user(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        assert_eq!(driver.capabilities().isolation, "per-sandbox-user");
        let mut users = Vec::new();
        for name in ["a1", "a2"] {
            let sandbox = start(&driver, fake_spec(name, "serve")).await;
            let process = sandbox.process();
            assert!(world.uids().contains(&process.uid));
            let folder = world.state().join("sandboxes").join(name);
            for inner in ["profile", "tmp", "home"] {
                let meta = fs::metadata(folder.join(inner)).unwrap();
                assert_eq!((meta.uid(), meta.mode() & 0o777), (process.uid, 0o700));
            }
            let status = fs::read_to_string(format!("/proc/{}/status", sandbox.pid)).unwrap();
            let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
            assert_eq!(groups.trim(), "");
            // The sandbox cannot replace its own folders or read the record.
            let outer = fs::metadata(&folder).unwrap();
            assert_eq!((outer.uid(), outer.mode() & 0o777), (0, 0o710));
            let environ = fs::read(format!("/proc/{}/environ", sandbox.pid)).unwrap();
            assert!(!String::from_utf8_lossy(&environ).contains("CARGO"));
            users.push(process.uid);
        }
        assert_ne!(users[0], users[1]);
        driver.close().await;
    });
    Outcome::Passed
}

fn closed_by_client(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.config());
        let mut sandbox = start(&driver, spec("a1", Flavour::HeadlessShell)).await;
        let (mut socket, _) = {
            let stream = tokio::net::TcpStream::connect(sandbox.url.authority()).await.unwrap();
            tokio_tungstenite::client_async(sandbox.url.as_str(), stream).await.unwrap()
        };
        socket.send(Message::text(r#"{"id":1,"method":"Browser.close"}"#)).await.unwrap();
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        let closed = Cause::Exited { code: 0 };
        assert_eq!(sandbox.exited().await, (1, closed, false, None));
        assert_eq!(
            sandbox.event().await,
            DriverEvent::Gone { cause: closed, why: GoneWhy::Closed }
        );
        let report = clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        assert_eq!((report.exit, report.grace), (Some(closed), Duration::ZERO));
        driver.close().await;
    });
    Outcome::Passed
}

fn unknown(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let id = orchestrator::driver::LifecycleId::new("nobody");
        clean(driver.stop(id.clone(), StopHow::Fast).await);
        driver.kill(id).await;
        driver.close().await;
    });
    Outcome::Passed
}

fn concurrent_stops(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let stops = (0..20).map(|i| {
            let how = if i % 2 == 0 { StopHow::Graceful } else { StopHow::Fast };
            driver.stop(sandbox.lifecycle.clone(), how)
        });
        for report in futures_util::future::join_all(stops).await {
            clean(report);
        }
        clean(driver.stop(sandbox.lifecycle.clone(), StopHow::Fast).await);
        driver.close().await;
    });
    Outcome::Passed
}

fn foreign_children(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let mut foreign =
            std::process::Command::new("/bin/sh").args(["-c", "exit 42"]).spawn().unwrap();
        let pid = foreign.id().cast_signed();
        let sandbox = start(&driver, fake_spec("a1", world::stray())).await;
        procs::wait_until("the foreign child ends", LIMIT, || {
            procs::read(pid).is_some_and(|process| process.zombie)
        });
        // The stop waits for every dead process of the sandbox.
        clean(driver.stop(sandbox.lifecycle, StopHow::Fast).await);
        driver.close().await;
        assert_eq!(foreign.wait().unwrap().code(), Some(42));
    });
    Outcome::Passed
}

fn close_stops(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let process = sandbox.process();
        driver.close().await;
        assert!(!procs::is_alive(&process));
        let again = world::try_start(&driver, fake_spec("a2", "serve")).await;
        assert!(again.err().unwrap().to_string().contains("closed"));
    });
    Outcome::Passed
}

fn many(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.config());
        let flavour = driver.capabilities().flavours[0];
        let began = std::time::Instant::now();
        let names: Vec<String> = (0..10).map(|i| format!("a{i}")).collect();
        let starts = names.iter().map(|name| start(&driver, spec(name, flavour)));
        let sandboxes = futures_util::future::join_all(starts).await;
        println!("ten starts at once: {:?}", began.elapsed());
        let began = std::time::Instant::now();
        let stops = sandboxes.iter().map(|s| driver.stop(s.lifecycle.clone(), StopHow::Fast));
        for report in futures_util::future::join_all(stops).await {
            clean(report);
        }
        println!("ten stops at once: {:?}", began.elapsed());
        driver.close().await;
    });
    Outcome::Passed
}
