//! What happens to sandboxes when the daemon itself is killed.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use orchestrator::driver::{Driver, Flavour, OnExit, RunnerSpec, StopHow};
use orchestrator::process::{LauncherCommand, ProcessConfig, ProcessDriver};

use crate::procs;
use crate::world::{self, LIMIT, Need, World, clean, driver, fake_spec, spec, start};
use crate::{Outcome, Tests, runners};

pub(crate) fn tests() -> Tests {
    vec![
        ("a_killed_daemon_leaves_no_process_a_second_later", Need::HeadlessShell, killed_daemon),
        ("reclaim_ends_what_outlived_the_daemon_and_nothing_else", Need::Root, reclaim),
        ("reclaim_leaves_the_sandboxes_of_this_daemon_alone", Need::Nothing, reclaim_beside_living),
        ("a_record_that_cannot_be_read_stops_reclaim_before_it_kills", Need::Nothing, unreadable),
        (
            "an_ordinary_user_gets_working_sandboxes_and_is_told_what_they_lack",
            Need::Root,
            ordinary_user,
        ),
        ("a_browser_without_user_namespaces_says_how_to_get_them", Need::Root, no_namespaces),
    ]
}

/// The daemon: `<state> <uids> <locks> <browser or -> <what>...`, where what is a flavour or a
/// behaviour of the fake. Says `ready <pid>` per sandbox, or `failed <text>`, then waits until its
/// stdin is closed, then stops everything.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let text = |i: usize| args[i].to_str().unwrap().to_owned();
    let mut config = ProcessConfig::new(text(0));
    let (first, last) = text(1).split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    config.uids = first.parse().unwrap()..=last.parse().unwrap();
    config.uid_locks = text(2).into();
    config.browser = Some(text(3)).filter(|path| path != "-").map(PathBuf::from);
    // The child must find it also when it may not look into the target folder.
    config.launcher = LauncherCommand::own_exe("__launch");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let driver = match ProcessDriver::new(config) {
            Ok(driver) => driver,
            Err(e) => {
                println!("failed {e}");
                return;
            }
        };
        println!("isolation {}", driver.capabilities().isolation);
        for note in driver.notes() {
            println!("note {note}");
        }
        let mut sandboxes = Vec::new();
        for (i, what) in args[4..].iter().enumerate() {
            let what = what.to_str().unwrap();
            let name = format!("d{i}");
            let flavour = Flavour::ALL.into_iter().find(|flavour| flavour.as_str() == what);
            let mut spec = flavour.map_or_else(|| fake_spec(&name, what), |f| spec(&name, f));
            // The fake browser is the fake runner too.
            spec.runner = config_runner(what, &text(3));
            match world::try_start(&driver, spec).await {
                Ok(sandbox) => {
                    println!("ready {}", sandbox.pid);
                    sandboxes.push(sandbox);
                }
                Err(e) => println!("failed {}", e.to_string().replace('\n', " | ")),
            }
        }
        println!("all");
        let _ = std::io::stdin().read(&mut [0]);
        for sandbox in sandboxes {
            clean(driver.stop(sandbox.lifecycle, StopHow::Graceful).await);
        }
        driver.close().await;
        println!("closed");
    });
    ExitCode::SUCCESS
}

/// Beside a browser that leaves a process behind, in a start that waits for both.
fn config_runner(what: &str, program: &str) -> Option<RunnerSpec> {
    (what == "stray").then(|| RunnerSpec {
        program: program.to_owned(),
        args: vec![runners::WORD.to_owned(), "serve".to_owned()],
        env: Vec::new(),
        ready_path: "/".to_owned(),
        required: true,
        on_exit: OnExit::Stop,
        start_timeout: LIMIT,
    })
}

struct Daemon {
    child: Child,
    lines: Vec<String>,
}

impl Daemon {
    fn command(world: &World, browser: Option<&Path>, what: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let uids = format!("{}-{}", world.uids().start(), world.uids().end());
        command.arg("__daemon").arg(world.state()).arg(uids).arg(world.config().uid_locks);
        command.arg(browser.unwrap_or(Path::new("-"))).args(what);
        command
    }

    /// Starts it and waits until all of its sandboxes are ready.
    fn start(mut command: Command) -> Self {
        // What it leaves when it is killed is ours to wait for.
        let me = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(me)).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::wait(command.spawn().expect("the daemon"))
    }

    /// Starts it in a user namespace that knows the host's users by the same numbers. Without a
    /// map the namespace stays useless, and there is no daemon.
    fn start_mapped(mut command: Command) -> Option<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the daemon");
        let own = fs::read_link("/proc/self/ns/user").unwrap();
        let theirs = || fs::read_link(format!("/proc/{}/ns/user", child.id())).ok();
        procs::wait_until("the namespace", LIMIT, || theirs().is_some_and(|ns| ns != own));
        for map in ["uid_map", "gid_map"] {
            if fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536").is_err() {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
        }
        child.stdin.as_mut().unwrap().write_all(b"mapped\n").unwrap();
        Some(Self::wait(child))
    }

    fn wait(mut child: Child) -> Self {
        let mut lines = Vec::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            match line.trim_end() {
                "all" => break,
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        child.stdout = Some(output.into_inner());
        Self { child, lines }
    }

    fn after(&self, word: &str) -> Vec<String> {
        let word = format!("{word} ");
        self.lines.iter().filter_map(|line| line.strip_prefix(&word)).map(str::to_owned).collect()
    }

    fn pids(&self) -> Vec<i32> {
        self.after("ready").iter().map(|pid| pid.parse().unwrap()).collect()
    }

    fn kill(mut self, world: &mut World) -> Instant {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        world.daemon_killed(self.child.id().cast_signed());
        Instant::now()
    }

    /// Closes its stdin and waits for its orderly end.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

fn living(world: &World) -> usize {
    let by_user = procs::all(|p| world.uids().contains(&p.uid) && !p.zombie);
    let me = std::process::id().cast_signed();
    by_user.into_iter().chain(procs::mentioning(world.path())).filter(|p| p.pid != me).count()
}

fn killed_daemon(world: &mut World) -> Outcome {
    let found = driver(world.config());
    let flavours: Vec<_> =
        found.capabilities().flavours.iter().map(|flavour| flavour.as_str()).collect();
    world.block_on(found.close());
    let what: Vec<&str> = flavours.iter().chain(&flavours).copied().collect();
    let daemon = Daemon::start(Daemon::command(world, None, &what));
    assert_eq!(daemon.pids().len(), what.len(), "{:?}", daemon.lines);
    assert!(living(world) > what.len());
    let at = daemon.kill(world);
    let took = procs::wait_until("all browsers end", Duration::from_secs(1), || living(world) == 0);
    println!("{} browsers were gone {took:?} after their daemon", what.len());
    assert!(at.elapsed() < Duration::from_secs(2));
    // The next daemon removes what they left on disk.
    world.block_on(async {
        let driver = driver(world.config());
        let report = driver.reclaim().await.unwrap();
        assert_eq!((report.ended.len(), report.killed), (what.len(), 0));
        assert_eq!(driver.reclaim().await.unwrap().ended.len(), 0);
        driver.close().await;
    });
    Outcome::Passed
}

/// A foreign process, killed at the end of the test whatever happens.
struct Foreign(Child);

impl Foreign {
    fn start(program: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(program);
        command.env("FAKE", "mute").stdin(Stdio::null()).stderr(Stdio::null());
        configure(&mut command);
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reclaim(world: &mut World) -> Outcome {
    let fake = world.fake();
    let daemon = Daemon::start(Daemon::command(world, Some(&fake), &["stray", "stray", "serve"]));
    assert_eq!(daemon.pids().len(), 3, "{:?}", daemon.lines);
    daemon.kill(world);
    let sleepers = || procs::all(|p| world.uids().contains(&p.uid) && !p.zombie);
    procs::wait_until("the browsers end", LIMIT, || sleepers().len() == 2);

    // The same program, once with the daemon's own user, once with the number of a dead browser.
    let elsewhere = tempfile::tempdir().unwrap();
    let twin = elsewhere.path().join("fake-headless-shell");
    fs::copy(&fake, &twin).unwrap();
    let profile = format!("--user-data-dir={}", elsewhere.path().display());
    let mut same_name = Foreign::start(&twin, |command| {
        command.arg(&profile).env("LOCKKEEPER_SANDBOX", "0000000000000000/d0");
    });
    let mut reused = Foreign::start(&twin, |command| {
        command.arg(&profile);
    });
    let record = world.state().join("sandboxes/d2/instance.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert!(json["browser"]["start"].as_u64().unwrap() > 0);
    json["browser"]["pid"] = reused.pid().into();
    fs::write(&record, json.to_string()).unwrap();

    world.block_on(async {
        let driver = driver(world.fake_config());
        let report = driver.reclaim().await.unwrap();
        // Three browsers and two runners.
        assert_eq!((report.ended.len(), report.killed), (5, 2), "{report:?}");
        assert!(sleepers().is_empty());
        assert!(same_name.is_alive() && reused.is_alive());
        driver.close().await;
    });
    Outcome::Passed
}

fn reclaim_beside_living(world: &mut World) -> Outcome {
    world.block_on(async {
        let driver = driver(world.fake_config());
        let sandbox = start(&driver, fake_spec("a1", "serve")).await;
        let starting = start(&driver, fake_spec("a2", "serve"));
        let (report, second) = tokio::join!(driver.reclaim(), starting);
        let report = report.unwrap();
        assert_eq!((report.ended.len(), report.killed), (0, 0));
        assert!(procs::is_alive(&sandbox.process()) && procs::is_alive(&second.process()));
        driver.close().await;
    });
    Outcome::Passed
}

fn unreadable(world: &mut World) -> Outcome {
    let fake = world.fake();
    let daemon = Daemon::start(Daemon::command(world, Some(&fake), &[world::stray(), "serve"]));
    assert_eq!(daemon.pids().len(), 2, "{:?}", daemon.lines);
    daemon.kill(world);
    let before = fs::read(world.state().join("sandboxes/d1/instance.json")).unwrap();
    fs::write(world.state().join("sandboxes/d1/instance.json"), "{").unwrap();
    world.block_on(async {
        let driver = driver(world.fake_config());
        let left = living(world);
        let error = driver.reclaim().await.unwrap_err();
        assert!(error.to_string().contains("d1"), "{error}");
        assert_eq!(living(world), left);
        assert!(world.state().join("sandboxes/d0").exists());
        fs::write(world.state().join("sandboxes/d1/instance.json"), before).unwrap();
        driver.reclaim().await.unwrap();
        driver.close().await;
    });
    Outcome::Passed
}

fn ordinary_user(world: &mut World) -> Outcome {
    let uid = *world.uids().start();
    let fake = world.fake();
    // The folder of the test binary may be closed to other users.
    let program = world.path().join("daemon");
    fs::copy(&fake, &program).unwrap();
    fs::create_dir(world.state()).unwrap();
    std::os::unix::fs::chown(world.state(), Some(uid), Some(uid)).unwrap();
    let found = driver({
        let mut config = world.config();
        config.state_dir = world.path().join("other");
        config
    });
    let flavour = found.capabilities().flavours[0].as_str();
    world.block_on(found.close());
    let inner = Daemon::command(world, None, &[flavour, flavour]);
    let mut command = Command::new(&program);
    command.args(inner.get_args()).uid(uid).gid(uid).current_dir("/");
    let daemon = Daemon::start(command);
    assert_eq!(daemon.after("isolation"), ["shared-user"], "{:?}", daemon.lines);
    let notes = daemon.after("note").join("\n");
    assert!(notes.contains("not isolated from each other"), "{notes}");
    let pids = daemon.pids();
    assert_eq!(pids.len(), 2, "{:?}", daemon.lines);
    for pid in &pids {
        assert_eq!(procs::read(*pid).unwrap().uid, uid);
    }
    daemon.end();
    assert_eq!(living(world), 0);

    // Killed, it leaves nothing either, and its successor cleans up.
    let mut command = Command::new(&program);
    command.args(inner.get_args()).uid(uid).gid(uid).current_dir("/");
    Daemon::start(command).kill(world);
    procs::wait_until("the browsers end", Duration::from_secs(2), || living(world) == 0);
    fs::remove_dir_all(world.state()).unwrap();
    Outcome::Passed
}

fn no_namespaces(world: &mut World) -> Outcome {
    // Only in this corner of the host: other tests need them.
    let inner = Daemon::command(world, None, &["headless-shell"]);
    // Root's rights in the namespace come with the first program that starts after the mapping.
    let script = "read mapped && exec sh -c \
                  'echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"' sh \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "sh", "-c", script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let Some(daemon) = Daemon::start_mapped(command) else {
        return Outcome::Skipped("a place without user namespaces could not be made");
    };
    let failed = daemon.after("failed");
    let notes = daemon.after("note");
    daemon.end();
    assert!(
        failed.len() == 1 && failed[0].contains("sysctl user.max_user_namespaces"),
        "{failed:?} {notes:?}"
    );
    assert!(notes.iter().any(|note| note.contains("sandbox cannot start here")), "{notes:?}");
    Outcome::Passed
}
