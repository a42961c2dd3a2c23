//! Kills what belongs to a sandbox until nothing of it lives.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::time::Instant;

use super::config::LauncherCommand;
use super::exit::Child;
use super::launcher::Job;
use super::owner::Owner;
use super::spawner::{Request, Says, Spawner};
use super::table::{self, Marks, Proc};

/// How long a kill may take before it is given up for this time. SIGKILL works at once unless a
/// process hangs inside the kernel.
pub(crate) const KILL_WITHIN: Duration = Duration::from_secs(2);

/// Pause between two rounds, growing to the second value.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Rounds after which a user's processes are killed all at once: they may be forking faster than
/// they are found.
const PATIENCE: u32 = 3;

/// The process table, read once for all who ask at the same time.
#[derive(Debug)]
pub(crate) struct Scanner {
    marks: Marks,
    last: tokio::sync::Mutex<Option<(Instant, Arc<Vec<Proc>>)>>,
}

impl Scanner {
    pub(crate) fn new(marks: Marks) -> Self {
        Self { marks, last: tokio::sync::Mutex::default() }
    }

    /// A reading of the process table that began after this call.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn scan(&self) -> io::Result<Arc<Vec<Proc>>> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        // Whoever waited for the lock finds the reading of the one before, which began later.
        if let Some((began, processes)) = last.as_ref().filter(|(began, _)| *began > asked) {
            tracing::trace!(age = ?began.elapsed(), "process table shared");
            return Ok(Arc::clone(processes));
        }
        let marks = self.marks;
        let began = Instant::now();
        let processes = blocking(move || table::scan(marks)).await?;
        let processes = Arc::new(processes);
        *last = Some((began, Arc::clone(&processes)));
        Ok(processes)
    }
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(io::Error::other(e)),
    }
}

/// Processes of a sandbox that live on after a kill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Alive {
    /// These.
    #[error("{count} of its processes are still alive after SIGKILL ({pids})")]
    Processes {
        /// How many.
        count: usize,
        /// Some of their pids.
        pids: String,
    },
    /// Nobody knows.
    #[error("its processes could not be listed: {0}")]
    Unknown(String),
}

/// What a hunt needs.
#[derive(Debug)]
pub(crate) struct Hunter {
    pub(crate) spawner: Spawner,
    pub(crate) scanner: Scanner,
    pub(crate) launcher: LauncherCommand,
    /// Serialises nothing: remembers when the last error was told.
    pub(crate) last_warning: Mutex<Option<Instant>>,
}

impl Hunter {
    /// Kills every process of a sandbox, and returns when none lives: when the kernel says so of a
    /// group that nobody can leave, else when two readings of the process table in a row found none.
    ///
    /// A launcher that is on its way into its group is its starter's to kill.
    ///
    /// # Errors
    /// When some are still alive after two seconds, or cannot be listed.
    pub(crate) async fn kill(&self, owner: &Arc<Owner>) -> Result<(), Alive> {
        let deadline = Instant::now() + KILL_WITHIN;
        if let Some(leaf) = owner.seal().filter(|leaf| leaf.kill()) {
            match tokio::time::timeout_at(deadline, leaf.emptied()).await {
                Ok(Ok(true)) => return Ok(()),
                // The process table says who lives.
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(e)) => self.warn(&e),
            }
        }
        let (mut pause, mut empty, mut round) = (PAUSE.0, 0, 0);
        loop {
            if let Some(leaf) = owner.leaf() {
                leaf.kill();
            }
            let found = self.find(owner).await;
            match &found {
                Ok(alive) if alive.is_empty() => {
                    empty += 1;
                    if empty == 2 {
                        self.tidy().await;
                        return Ok(());
                    }
                    continue;
                }
                Ok(alive) => {
                    empty = 0;
                    round += 1;
                    alive.iter().for_each(kill_exactly);
                    if round > PATIENCE
                        && let Some(uid) = owner.uid()
                    {
                        self.kill_user(uid).await;
                    }
                    self.tidy().await;
                }
                Err(e) => self.warn(e),
            }
            if Instant::now() >= deadline {
                return Err(match found {
                    Ok(alive) => Alive::from_list(&alive),
                    Err(e) => Alive::Unknown(e.to_string()),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Living processes of a sandbox.
    pub(crate) async fn find(&self, owner: &Arc<Owner>) -> io::Result<Vec<Proc>> {
        let all = self.scanner.scan().await?;
        let mut found: Vec<Proc> =
            all.iter().filter(|process| !process.zombie && owner.owns(process)).cloned().collect();
        if let Some(leaf) = owner.leaf() {
            for pid in leaf.pids()? {
                if !found.iter().any(|process| process.pid == pid) {
                    found.extend(table::read(pid, Marks::Skip)?.filter(|process| !process.zombie));
                }
            }
        }
        Ok(found)
    }

    /// Waits for the dead.
    pub(crate) async fn tidy(&self) {
        let nursery = Arc::clone(self.spawner.nursery());
        if let Err(e) = blocking(move || nursery.pass()).await {
            self.warn(&e);
        }
    }

    async fn kill_user(&self, uid: u32) {
        let mut args = self.launcher.args.clone();
        args.extend(Job::KillUser(uid).to_args());
        let program = self.launcher.program.clone();
        let (env, dir, says) = (Vec::new(), "/".into(), Says::Errors);
        let request = Request { program, args, env, dir, says };
        let nursery = Arc::clone(self.spawner.nursery());
        let child = match self.spawner.spawn(request).await {
            Ok(spawned) => Child::new(spawned.pid, spawned.pidfd, nursery),
            Err(e) => Err(e),
        };
        match child {
            Ok(child) => {
                // The helper needs no longer than the hunt; if it does, it is killed with the rest.
                if tokio::time::timeout(KILL_WITHIN, child.ended()).await.is_err() {
                    child.signal(Signal::KILL);
                    child.ended().await;
                }
                child.reap();
            }
            Err(e) => self.warn(&e),
        }
    }

    pub(crate) fn warn(&self, error: &io::Error) {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            *last = Some(Instant::now());
            tracing::warn!(%error, "a sandbox's processes could not be handled; trying again");
        }
    }
}

impl Alive {
    fn from_list(alive: &[Proc]) -> Self {
        let pids: Vec<String> =
            alive.iter().take(5).map(|process| process.pid.to_string()).collect();
        Self::Processes { count: alive.len(), pids: pids.join(", ") }
    }
}

/// Kills this very process: a pid that was reused since it was read is left alone.
pub(crate) fn kill_exactly(process: &Proc) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The pidfd holds on to whatever has the pid now; if its start is the one we read, it is ours.
    if table::start_of(process.pid) == Some(process.start) {
        let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
    }
}
