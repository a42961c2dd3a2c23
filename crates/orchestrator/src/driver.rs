//! What the orchestrator asks of whatever runs browsers, and what it hears back.
//!
//! The trait assumes no pid, no signal, no local path and no parenthood, so that a driver for a
//! cluster can stand where the process driver stands today.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::{Cause, WsUrl};

use crate::snapshots::{ArchiveSink, ArchiveSource};

mod failure;
mod inspection;
mod keeping;
mod launch;
mod limits;
mod restart;
mod runner;

pub use failure::{ReclaimError, StartError};
pub use inspection::Inspection;
pub use keeping::{Closed, Kept, ProfileError, ProfileId, Room};
pub use launch::{Flavour, LaunchSpec, OnExit};
pub use limits::LaunchLimits;
pub use restart::{ProbeError, RestartChange, RestartError};
pub use runner::RunnerSpec;

/// A boxed future, so that `Driver` stays object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names one incarnation of a sandbox; never reused, also over restarts of the daemon.
///
/// It keys the driver's instance, its directory and its routing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LifecycleId(Arc<str>);

impl LifecycleId {
    /// Wraps an id that `ids` made or a record held.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text: lower-case letters and digits, at most 40 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LifecycleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a driver reports of one instance, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverEvent {
    /// A browser process is being started; generations count from 1.
    Starting {
        /// Its number.
        generation: u64,
    },
    /// It answered `Browser.getVersion` at this address.
    Ready {
        /// Its number.
        generation: u64,
        /// Where it listens.
        url: WsUrl,
        /// `Browser.getVersion`'s `product`, for example `HeadlessChrome/156.0.8078.79`.
        product: String,
        /// Process id, where there is one.
        pid: Option<u32>,
        /// From spawn to that answer.
        start_time: Duration,
    },
    /// The kernel ended pages of it for lack of memory, and it lives.
    RendererOom {
        /// How many processes since the last such report.
        killed: u64,
    },
    /// It is about to be stopped, because somebody asked for another one.
    RestartRequested {
        /// Its number.
        generation: u64,
    },
    /// It ended.
    BrowserExited {
        /// Its number.
        generation: u64,
        /// How, from the kernel or the cluster, never guessed.
        cause: Cause,
        /// Whether the driver ordered it.
        expected: bool,
        /// From spawn to its end.
        uptime: Duration,
        /// When the next generation starts; absent if none will.
        relaunch_in: Option<Duration>,
    },
    /// Its runner is ready.
    RunnerReady {
        /// Where it listens, such as `http://127.0.0.1:41234`.
        url: String,
        /// Process id, where there is one.
        pid: Option<u32>,
        /// From spawn to ready.
        start_time: Duration,
    },
    /// Its runner ended.
    RunnerExited {
        /// How.
        cause: Cause,
        /// Whether the driver ordered it.
        expected: bool,
        /// From spawn to its end.
        uptime: Duration,
        /// When the next one starts; absent if none will.
        restart_in: Option<Duration>,
    },
    /// Nothing of the instance runs and nothing will be started again, though nobody called `stop`.
    Gone {
        /// Cause of the last generation's end.
        cause: Cause,
        /// Why there is no relaunch.
        why: GoneWhy,
    },
}

/// Why a driver gave an instance up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoneWhy {
    /// `on_close` is `Stop`, and the browser ended with code 0.
    Closed,
    /// `on_crash` is `Stop`, and the browser crashed.
    Crashed,
    /// The crash limit was reached; the causes, oldest first.
    GaveUp(Vec<Cause>),
}

/// Where a driver sends its events; bounded, the driver waits when it is full.
pub type EventSink = mpsc::Sender<DriverEvent>;

/// How quickly an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopHow {
    /// SIGTERM or its like, the configured grace, then force.
    Graceful,
    /// At most two seconds of grace.
    Fast,
}

/// What `stop` did; an empty `errors` means that nothing of the instance is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopReport {
    /// How the browser ended, if one was running.
    pub exit: Option<Cause>,
    /// How long the browser was given before it was gone.
    pub grace: Duration,
    /// From the first signal to the last directory removed.
    pub total: Duration,
    /// What could not be cleaned up, one line a step, without host paths.
    pub errors: Vec<String>,
}

/// What `reclaim` found of an earlier daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReclaimReport {
    /// Incarnations that were ended and removed.
    pub ended: Vec<LifecycleId>,
    /// Processes that were killed, each by proof of ownership.
    pub killed: usize,
}

/// What a driver can do; a request beyond it is refused at admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Flavours whose binary was found.
    pub flavours: Vec<Flavour>,
    /// `per-sandbox-user`, `shared-user` or the driver's own word.
    pub isolation: &'static str,
    /// Whether processor time can be limited.
    pub limits_cpu: bool,
}

/// Runs browsers.
///
/// Calls for different instances may overlap; for one instance `stop` and `kill` may come at any
/// time, also during `start`, and any number of times.
pub trait Driver: Send + Sync + 'static {
    /// What this driver can do. Does not change while the daemon runs.
    fn capabilities(&self) -> Capabilities;

    /// Starts one instance and returns when its first generation is ready.
    ///
    /// The driver goes on watching the instance and relaunches it by the policy in `spec`; it says
    /// so through `events`, whose first messages are `Starting` and `Ready` of generation 1.
    ///
    /// # Errors
    /// See [`StartError`]. On any error nothing of the instance exists any more.
    ///
    /// # Cancel safety
    /// Not by drop: fire `cancel` and await the result, which is then `Cancelled` or, if the start
    /// won the race, `Ok`.
    fn start(
        &self,
        spec: LaunchSpec,
        events: EventSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StartError>>;

    /// Ends an instance and removes what it left. Idempotent; an unknown instance is a success.
    ///
    /// # Cancel safety
    /// The stop goes on when the future is dropped; another call waits for the same end.
    fn stop(&self, instance: LifecycleId, how: StopHow) -> BoxFuture<'_, StopReport>;

    /// Kills every process of the instance and returns when they are dead, within two seconds and
    /// independent of a `stop` that hangs. Removes nothing. Idempotent.
    fn kill(&self, instance: LifecycleId) -> BoxFuture<'_, ()>;

    /// Starts another browser in place of the one that runs, on the same profile, and returns its
    /// generation when it has answered. If it does not come up within 15 s the old options are
    /// tried once. One at a time for each instance.
    ///
    /// # Errors
    /// See [`RestartError`]; it says which browser runs now.
    ///
    /// # Cancel safety
    /// The restart goes on when the future is dropped.
    fn restart_browser(
        &self,
        _instance: LifecycleId,
        _change: RestartChange,
    ) -> BoxFuture<'_, Result<u64, RestartError>> {
        Box::pin(ready(Err(RestartError::Unsupported)))
    }

    /// Asks the browser of an instance that nobody uses whether it still answers. Whoever asks
    /// brings the deadline.
    ///
    /// # Errors
    /// Why it does not.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    fn probe(&self, instance: LifecycleId) -> BoxFuture<'_, Result<(), ProbeError>>;

    /// What an instance uses and what it said last, its runner's too; `None` if there is no such
    /// instance. It may look at every process of it.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    fn inspect(&self, _instance: LifecycleId) -> BoxFuture<'_, Option<Inspection>> {
        Box::pin(ready(None))
    }

    /// Bytes that are free where instances keep their files; `None` if nobody can tell. Asked at
    /// every create, so it must not take longer than a look.
    fn free_disk(&self) -> Option<u64> {
        None
    }

    /// What the profile of a running instance needs, and what there is. Also proves that something
    /// can be written where profiles are kept.
    ///
    /// # Errors
    /// When that cannot be found out, or nothing can be written.
    fn room(&self, _instance: LifecycleId) -> BoxFuture<'_, Result<Room, ProfileError>> {
        Box::pin(ready(Err(ProfileError::Unsupported)))
    }

    /// Closes the browser by its own protocol and sees to it that nothing of the instance runs any
    /// more or is started again; what does not end within `limit` is killed. The instance and its
    /// profile stay until `save` and `stop`.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`].
    ///
    /// # Cancel safety
    /// The close goes on when the future is dropped.
    fn close_clean(
        &self,
        _instance: LifecycleId,
        _limit: Duration,
    ) -> BoxFuture<'_, Result<Closed, ProfileError>> {
        Box::pin(ready(Err(ProfileError::Unsupported)))
    }

    /// Keeps the profile of an instance that was closed under `profile`, so that it survives `stop`,
    /// the daemon and a crash of the host. Idempotent: for a profile that is kept already it only
    /// makes sure of that. An instance that an earlier daemon left has its profile kept too, if this
    /// comes before `reclaim`.
    ///
    /// # Errors
    /// See [`ProfileError`]; the profile is then where it was, or kept but perhaps not durable.
    ///
    /// # Cancel safety
    /// The save goes on when the future is dropped.
    fn save(
        &self,
        _instance: LifecycleId,
        _profile: ProfileId,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(ready(Err(ProfileError::Unsupported)))
    }

    /// Writes a kept profile that nobody runs on into `to`, as a tar archive without what
    /// [`is_kept`](crate::snapshots::is_kept) leaves out.
    ///
    /// # Errors
    /// See [`ProfileError`]; `to` may have a part of it.
    ///
    /// # Cancel safety
    /// May be dropped; it ends when `to` refuses the next write.
    fn export(
        &self,
        _profile: ProfileId,
        _to: ArchiveSink,
    ) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(ready(Err(ProfileError::Unsupported)))
    }

    /// Makes a kept profile out of an archive of at most `most` bytes. An entry that could do harm
    /// ([`check_entry`](crate::snapshots::check_entry)) refuses the whole of it.
    ///
    /// # Errors
    /// See [`ProfileError`]; a part of it may be there until `forget`.
    ///
    /// # Cancel safety
    /// May be dropped; it ends when `from` refuses the next read.
    fn import(
        &self,
        _profile: ProfileId,
        _from: ArchiveSource,
        _most: u64,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(ready(Err(ProfileError::Unsupported)))
    }

    /// Removes a kept profile. Idempotent; an unknown one is a success.
    ///
    /// # Errors
    /// [`ProfileError::Disk`] when it is still there; try again.
    fn forget(&self, _profile: ProfileId) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(ready(Ok(())))
    }

    /// Every kept profile.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn kept(&self) -> BoxFuture<'_, Result<Vec<ProfileId>, ProfileError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// Ends what an earlier daemon left under the same state directory.
    ///
    /// # Errors
    /// When the list of what was left, or of processes, cannot be read.
    fn reclaim(&self) -> BoxFuture<'_, Result<ReclaimReport, ReclaimError>>;

    /// Stops every task of the driver; instances must have been stopped before.
    fn close(&self) -> BoxFuture<'_, ()>;
}
