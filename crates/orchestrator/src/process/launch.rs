//! From nothing to a browser that answers.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use upstream::sources::Announced;
use upstream::{Cause, WsUrl};

use super::cdp;
use super::config::Limits;
use super::engine::Engine;
use super::environment::{environment, mark};
use super::exit::Child;
use super::flags::command_line;
use super::hints;
use super::hunt::{KILL_WITHIN, blocking};
use super::launcher::{self, Job, Launch};
use super::log_ring::LogRing;
use super::owner::Owner;
use super::record::{Identity, Record};
use super::spawner::{Request, Says, Spawned};
use super::state::SandboxDirs;
use super::stderr;
use super::table;
use crate::driver::{LaunchSpec, LifecycleId, ProfileId, StartError};

/// Pause between two tries to get an answer from a browser that has printed its address.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How long the end of the log may take to arrive after everyone who could write to it is dead.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The folders and marks of one sandbox.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) owner: Arc<Owner>,
    pub(crate) dirs: SandboxDirs,
}

/// What is started in a home.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Besides what every program gets.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) says: Says,
}

/// A browser that runs, or a runner.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) child: Child,
    /// When its process began, as the kernel counts.
    start: Option<u64>,
    pub(crate) spawned: Instant,
    /// Copies its stderr to the log until every writer is gone.
    pub(crate) stderr: JoinSet<()>,
}

/// A browser that answered for the first time.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) browser: Browser,
    pub(crate) url: WsUrl,
    pub(crate) product: String,
    pub(crate) start_time: Duration,
}

/// A launch that came to nothing. No process of it lives.
#[derive(Debug)]
pub(crate) struct LaunchFailed {
    pub(crate) error: StartError,
    pub(crate) cause: Cause,
    pub(crate) uptime: Duration,
}

impl Home {
    /// Makes everything that a sandbox has besides processes.
    ///
    /// # Errors
    /// What could not be made; what had been made is removed.
    pub(crate) async fn make(
        engine: &Arc<Engine>,
        lifecycle: &LifecycleId,
        limits: Limits,
        profile: Option<&ProfileId>,
    ) -> Result<Self, StartError> {
        let directory = |e: io::Error| StartError::Directory(e.to_string());
        let lease = match &engine.uids {
            Some(pool) => {
                let lease = pool.lease(super::uids::has_process);
                Some(lease.map_err(|e| StartError::Spawn(e.to_string()))?)
            }
            None => None,
        };
        let (engine, lifecycle) = (Arc::clone(engine), lifecycle.clone());
        let kept = match profile {
            Some(profile) => {
                let place = engine.kept_profile(profile);
                Some(place.map_err(|e| StartError::Directory(e.to_string()))?)
            }
            None => None,
        };
        let made = blocking(move || {
            let mut dirs = engine.state.dirs(&lifecycle);
            let uid = lease.as_ref().map(super::uids::UidLease::uid);
            dirs.make_root(uid)?;
            let rest = || {
                engine.intent(&lifecycle, uid).write(&dirs.root)?;
                let leaf = engine.tree.leaf(&lifecycle, &limits)?;
                let inner = dirs.make_inner(uid).and_then(|()| match &kept {
                    Some(place) => super::profile::open(place, uid),
                    None => Ok(()),
                });
                match inner {
                    Ok(()) => Ok(leaf),
                    Err(e) => {
                        let _ = leaf.map(|leaf| leaf.remove());
                        Err(e)
                    }
                }
            };
            match rest() {
                Ok(leaf) => {
                    dirs.profile = kept.unwrap_or(dirs.profile);
                    let owner = Owner::new(lease, leaf, mark(engine.state.id(), &lifecycle));
                    Ok(Self { owner, dirs })
                }
                Err(e) => {
                    let _ = dirs.remove();
                    Err(e)
                }
            }
        });
        made.await.map_err(directory)
    }
}

impl Engine {
    /// The record of a sandbox before its browser is started.
    fn intent(&self, lifecycle: &LifecycleId, uid: Option<u32>) -> Record {
        let (boot, cgroups) = (self.boot.clone(), self.tree.dirs(lifecycle));
        Record { boot, uid, cgroups, browser: None }
    }

    /// Starts a browser and returns when it has answered.
    ///
    /// # Errors
    /// When it did not, or when `interrupted` came first; then no process of it lives.
    ///
    /// # Cancel safety
    /// None: `interrupted` is the way to end it early.
    pub(crate) async fn launch(
        self: &Arc<Self>,
        spec: &LaunchSpec,
        home: &Home,
        log: &Arc<Mutex<LogRing>>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Answering, LaunchFailed> {
        let spawned = Instant::now();
        let failed = |error, cause| LaunchFailed { error, cause, uptime: spawned.elapsed() };
        let spawn_failed =
            |e: io::Error| failed(StartError::Spawn(e.to_string()), Cause::UnknownExit);
        let program = self.program(spec, home).await.map_err(spawn_failed)?;
        let limits = self.limits_of(spec);
        let (browser, mut address) =
            self.begin(home, program, limits, log).await.map_err(spawn_failed)?;
        let pid = browser.child.pid();
        let recorded = self.recorded(&spec.lifecycle, home, &browser);
        let answer = async {
            recorded.await.map_err(|e| StartError::Directory(e.to_string()))?;
            let Some(url) = address.url().await else {
                // stderr was closed without an address: wait for what the browser does.
                return std::future::pending().await;
            };
            loop {
                match cdp::product(&url).await {
                    Ok(product) => return Ok((url, product)),
                    Err(e) => tracing::debug!(pid, error = %e, "no answer yet"),
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let deadline = spawned + spec.start_timeout;
        let outcome = tokio::select! {
            biased;
            () = interrupted => Err(Failed::Cancelled),
            cause = browser.child.ended() => Err(Failed::Ended(cause)),
            answer = answer => answer.map_err(Failed::Other),
            () = tokio::time::sleep_until(deadline) => Err(Failed::Timeout),
        };
        let why = match outcome {
            Ok((url, product)) => {
                let start_time = spawned.elapsed();
                return Ok(Answering { browser, url, product, start_time });
            }
            Err(why) => why,
        };
        let uptime = spawned.elapsed();
        browser.child.signal(Signal::KILL);
        let cause = self.bury(home, browser).await;
        let (error, cause) = match why {
            Failed::Cancelled => (StartError::Cancelled, cause),
            Failed::Ended(cause) => (ended_error(cause, log), cause),
            Failed::Other(error) => (error, cause),
            Failed::Timeout => {
                let (after, log_tail) = (spec.start_timeout, tail(log));
                (StartError::Timeout { after, log_tail }, Cause::StartTimeout)
            }
        };
        Err(LaunchFailed { error, cause, uptime })
    }

    /// Starts a program in a home, and reads what it says.
    ///
    /// # Errors
    /// When the system refuses; then no process of it lives.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        home: &Home,
        program: Program,
        limits: Limits,
        log: &Arc<Mutex<LogRing>>,
    ) -> io::Result<(Browser, Announced)> {
        let spawned = Instant::now();
        let process = self.spawn(home, program, limits).await?;
        let (pid, start) = (process.pid, table::start_of(process.pid));
        home.owner.session_begins(pid);
        let nursery = Arc::clone(self.hunter.spawner.nursery());
        let child = match Child::new(pid, process.pidfd, Arc::clone(&nursery)) {
            Ok(child) => child,
            Err(e) => {
                // The runtime cannot watch one more descriptor. The launcher may not be in its group
                // yet; nobody has waited for it, so the pid is its own.
                if let Some(launcher) = Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(launcher, Signal::KILL);
                }
                let _ = self.hunter.kill(&home.owner).await;
                home.owner.session_ends();
                nursery.give_up(pid);
                return Err(e);
            }
        };
        let mut browser = Browser { child, start, spawned, stderr: JoinSet::new() };
        match stderr::follow(process.stderr, Arc::clone(log), &mut browser.stderr) {
            Ok(address) => Ok((browser, address)),
            Err(e) => {
                self.bury(home, browser).await;
                Err(e)
            }
        }
    }

    /// Notes what runs, for the next daemon.
    pub(crate) fn recorded(
        &self,
        lifecycle: &LifecycleId,
        home: &Home,
        browser: &Browser,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let pid = browser.child.pid();
        let mut record = self.intent(lifecycle, home.owner.uid());
        record.browser = browser.start.map(|start| Identity { pid, start });
        let folder = home.dirs.root.clone();
        async move { blocking(move || record.write(&folder)).await }
    }

    /// The browser of a launch, on a profile that nobody uses.
    async fn program(&self, spec: &LaunchSpec, home: &Home) -> io::Result<Program> {
        let path = self.browsers.for_launch(spec).ok_or(io::ErrorKind::NotFound)?.to_owned();
        let dirs = home.dirs.clone();
        blocking(move || dirs.clear_locks()).await?;
        Ok(Program {
            path,
            args: command_line(spec.flavour, &home.dirs.profile, &spec.switches()),
            env: spec.env.clone(),
            says: Says::Errors,
        })
    }

    async fn spawn(
        self: &Arc<Self>,
        home: &Home,
        program: Program,
        limits: Limits,
    ) -> io::Result<Spawned> {
        let dirs = &home.dirs;
        let job = Job::Launch(Launch {
            parent: std::process::id().cast_signed(),
            uid: home.owner.uid(),
            open_files: limits.open_files,
            file_size: limits.file_size,
            processes: limits.pids,
            cgroups: home.owner.leaf().map(super::cgroup::Leaf::entrances).unwrap_or_default(),
            program: program.path,
            args: program.args,
        });
        let mut args = self.launcher.args.clone();
        args.extend(job.to_args());
        let request = Request {
            program: self.launcher.program.clone(),
            args,
            env: environment(&dirs.home, &dirs.tmp, home.owner.mark(), &program.env),
            dir: dirs.tmp.clone(),
            says: program.says,
        };
        self.hunter.spawner.spawn(request).await
    }

    /// Kills what is left of a browser that has ended or is to end, waits for it, and reads its last
    /// words. Returns how it ended.
    pub(crate) async fn bury(&self, home: &Home, mut browser: Browser) -> Cause {
        // A launcher may not be in its group yet.
        browser.child.signal(Signal::KILL);
        // The browser stays a zombie meanwhile, so that its session still means its processes.
        if let Err(e) = self.hunter.kill(&home.owner).await {
            tracing::error!(error = %e, "a browser could not be killed wholly");
        }
        let ended = tokio::time::timeout(KILL_WITHIN, browser.child.ended()).await;
        let cause = ended.unwrap_or(Cause::UnknownExit);
        home.owner.session_ends();
        browser.child.reap();
        self.hunter.tidy().await;
        let read_out = async { while browser.stderr.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, read_out).await.is_err() {
            tracing::warn!("somebody outside the sandbox holds the browser's stderr open");
        }
        cause
    }
}

enum Failed {
    Cancelled,
    Ended(Cause),
    Other(StartError),
    Timeout,
}

pub(crate) fn tail(log: &Mutex<LogRing>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).tail()
}

/// The error for a process that ended before it answered: the launcher's, the sandbox's, or the
/// browser's own.
fn ended_error(cause: Cause, log: &Mutex<LogRing>) -> StartError {
    let tail = tail(log);
    if cause == (Cause::Exited { code: i32::from(launcher::FAILED) })
        && let Some(line) = tail.lines().rev().find_map(|line| line.strip_prefix(launcher::PREFIX))
    {
        return StartError::Spawn(line.to_owned());
    }
    let log_tail = if hints::is_sandbox_complaint(&tail) {
        format!("{}\n{tail}", hints::sandbox_text())
    } else {
        tail
    };
    StartError::Exited { cause, log_tail }
}

#[cfg(test)]
mod tests;
