//! The one thread that starts processes, and waits for those we inherit.
//!
//! A parent-death signal comes when the *thread* that started the child ends, not the process: a
//! child started from a pool thread dies when that thread goes idle. So all children come from one
//! thread that lives as long as the driver.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use tokio::sync::oneshot;

use super::owner::Owner;
use super::table::{self, Marks};
use crate::driver::LifecycleId;

/// Starts waiting for the thread. The number of concurrent starts is limited far below this by the
/// start slots; when it is full the start is refused.
const QUEUE: usize = 256;

/// How often dead processes that we inherited are waited for while sandboxes exist.
const PASS_EVERY: Duration = Duration::from_secs(5);

/// A process to start.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: PathBuf,
    pub(crate) says: Says,
}

/// What of a process is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Its stderr.
    Errors,
    /// Its stdout too.
    Everything,
}

/// A process that was started. Whoever has it waits for it, and then calls [`Nursery::waited`].
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Read end of the pipe that it says things to.
    pub(crate) stderr: OwnedFd,
}

/// Our children: those that somebody waits for, and whose the inherited ones are.
#[derive(Debug)]
pub(crate) struct Nursery {
    marks: Marks,
    /// Held over a spawn, so that a child is never both alive and unknown.
    watched: Mutex<HashSet<i32>>,
    owners: Mutex<HashMap<LifecycleId, Arc<Owner>>>,
}

impl Nursery {
    pub(crate) fn new(marks: Marks) -> Arc<Self> {
        Arc::new(Self { marks, watched: Mutex::default(), owners: Mutex::default() })
    }

    /// From now on dead children of this sandbox that nobody started directly are waited for.
    pub(crate) fn adopt_for(&self, lifecycle: LifecycleId, owner: Arc<Owner>) {
        lock(&self.owners).insert(lifecycle, owner);
    }

    /// Nothing of the sandbox is left.
    pub(crate) fn forget(&self, lifecycle: &LifecycleId) {
        lock(&self.owners).remove(lifecycle);
    }

    /// The child with this pid was waited for.
    pub(crate) fn waited(&self, pid: i32) {
        lock(&self.watched).remove(&pid);
    }

    /// Waits for a dead child that could not be watched.
    pub(crate) fn give_up(&self, pid: i32) {
        self.waited(pid);
        self.wait_for(pid);
    }

    /// Waits for the dead among the children that we inherited from a sandbox, and remembers the
    /// living ones. Children that somebody watches, and children of other parts of this program,
    /// keep their status.
    pub(crate) fn pass(&self) -> io::Result<()> {
        let owners: Vec<Arc<Owner>> = lock(&self.owners).values().cloned().collect();
        if owners.is_empty() {
            return Ok(());
        }
        let me = std::process::id().cast_signed();
        let children = match table::own_children()? {
            Some(children) => children,
            None => {
                let all = table::scan(Marks::Skip)?;
                all.into_iter().filter(|p| p.ppid == me).map(|p| p.pid).collect()
            }
        };
        for pid in children {
            if lock(&self.watched).contains(&pid) {
                continue;
            }
            let Some(process) = table::read(pid, self.marks)? else { continue };
            // The groups come second: each of them is a read of the process's file.
            let by_group =
                || owners.iter().find(|owner| owner.leaf().is_some_and(|leaf| leaf.holds(pid)));
            let owner = owners.iter().find(|owner| owner.owns(&process));
            let Some(owner) = owner.or_else(by_group) else { continue };
            owner.remember(&process);
            if process.zombie {
                self.wait_for(pid);
            }
        }
        Ok(())
    }

    fn wait_for(&self, pid: i32) {
        let watched = lock(&self.watched);
        let Some(id) = Pid::from_raw(pid).filter(|_| !watched.contains(&pid)) else { return };
        // Somebody else may have been quicker: then there is nothing to wait for.
        let _ =
            rustix::process::waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = oneshot::Sender<io::Result<Spawned>>;

/// Owner of the thread. When it goes, the thread ends, and the kernel kills every process that was
/// started through it.
#[derive(Debug)]
pub(crate) struct Spawner {
    nursery: Arc<Nursery>,
    queue: Mutex<Option<SyncSender<(Request, Answer)>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Spawner {
    pub(crate) fn start(nursery: Arc<Nursery>) -> io::Result<Self> {
        let (queue, requests) = sync_channel(QUEUE);
        let thread = {
            let nursery = Arc::clone(&nursery);
            let builder = std::thread::Builder::new().name("browser-spawner".into());
            builder.spawn(move || run(&nursery, &requests))?
        };
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { nursery, queue, thread })
    }

    pub(crate) fn nursery(&self) -> &Arc<Nursery> {
        &self.nursery
    }

    /// Starts a process.
    ///
    /// # Errors
    /// When the system refuses, when too many starts wait, or after [`close`](Self::close).
    ///
    /// # Cancel safety
    /// A process that was started for a dropped call is killed and waited for by the thread.
    pub(crate) async fn spawn(&self, request: Request) -> io::Result<Spawned> {
        let (answer, spawned) = oneshot::channel();
        let sent = match lock(&self.queue).as_ref() {
            Some(queue) => queue.try_send((request, answer)),
            None => return Err(io::Error::other("the driver is closed")),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(io::Error::other(format!("{QUEUE} starts are waiting already")));
            }
            Err(TrySendError::Disconnected(_)) => {
                return Err(io::Error::other("the thread that starts browsers has ended"));
            }
        }
        spawned.await.unwrap_or_else(|_| Err(io::Error::other("the driver is closed")))
    }

    /// Ends the thread and waits for it. Blocks for as long as a start in progress takes.
    pub(crate) fn close(&self) {
        lock(&self.queue).take();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that starts browsers had panicked");
        }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(nursery: &Nursery, requests: &Receiver<(Request, Answer)>) {
    loop {
        let (request, answer) = match requests.recv_timeout(PASS_EVERY) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                if let Err(e) = nursery.pass() {
                    tracing::warn!(error = %e, "inherited processes could not be listed");
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if answer.is_closed() {
            continue;
        }
        if let Err(Ok(orphan)) = answer.send(start(nursery, request)) {
            abandon(nursery, &orphan);
        }
    }
}

fn start(nursery: &Nursery, request: Request) -> io::Result<Spawned> {
    let mut command = Command::new(&request.program);
    command.args(request.args).env_clear().envs(request.env).current_dir(request.dir);
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(match request.says {
        Says::Errors => Stdio::null(),
        Says::Everything => writer.try_clone()?.into(),
    });
    command.stderr(writer);
    let mut watched = lock(&nursery.watched);
    let mut child = command.spawn()?;
    // With our ends of the pipe.
    drop(command);
    let pid = child.id().cast_signed();
    let opened = Pid::from_raw(pid)
        .ok_or_else(|| io::Error::other("a child without a pid"))
        .and_then(|id| Ok(rustix::process::pidfd_open(id, PidfdFlags::NONBLOCK)?));
    match opened {
        Ok(pidfd) => {
            watched.insert(pid);
            Ok(Spawned { pid, pidfd, stderr: reader.into() })
        }
        Err(e) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(e)
        }
    }
}

fn abandon(nursery: &Nursery, orphan: &Spawned) {
    let _ = rustix::process::pidfd_send_signal(&orphan.pidfd, rustix::process::Signal::KILL);
    if let Some(id) = Pid::from_raw(orphan.pid) {
        let _ = rustix::process::waitid(WaitId::Pid(id), WaitIdOptions::EXITED);
    }
    nursery.waited(orphan.pid);
}
