//! Runs each sandbox as a browser process of this machine.
//!
//! [`ProcessDriver`] finds a browser binary, starts it through the [`launcher`] in a session, a
//! control group, a directory and, when the daemon is root, a user of its own, reads its DevTools
//! address from its stderr, watches it, starts it again when it crashes, and leaves nothing behind
//! when it ends: no process, no directory, no group, no user in use.
//!
//! The program that uses it calls [`launcher::main`] first thing when it was started with the
//! launcher word, holds a lock on the state directory, and calls
//! [`reclaim`](crate::driver::Driver::reclaim) once after its start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::driver::{
    BoxFuture, Capabilities, Closed, Driver, EventSink, Inspection, Kept, LaunchSpec, LifecycleId,
    ProbeError, ProfileError, ProfileId, ReclaimError, ReclaimReport, RestartChange, RestartError,
    Room, StartError, StopHow, StopReport,
};
use crate::snapshots::{ArchiveSink, ArchiveSource};
use engine::Engine;
use instance::Instance;
use outbox::Outbox;
use runner::Runner;
use supervise::Supervisor;

pub use browser::Search;
pub use config::{CgroupMode, LauncherCommand, Limits, ProcessConfig, SetupError};
pub use extensions::{ExtensionError, check_extension};
pub(crate) use flags::takes_sandbox_away;
pub use flags::{FlagRefused, check_flag};

mod archive;
mod browser;
mod cdp;
mod cgroup;
mod cleanup;
mod config;
mod ending;
mod engine;
mod environment;
mod exit;
mod extensions;
mod flags;
mod hints;
mod hunt;
mod inspect;
mod instance;
mod launch;
pub mod launcher;
mod log_ring;
mod memory;
mod outbox;
mod owner;
mod profile;
mod reclaim;
mod record;
mod relaunch;
mod removal;
mod restart;
mod runner;
mod spawner;
mod state;
mod stderr;
mod supervise;
mod table;
mod uids;

/// Runs browsers as processes of this machine.
///
/// Dropping it kills every browser without cleaning up; [`Driver::close`] is the orderly way.
#[derive(Debug)]
pub struct ProcessDriver {
    engine: Arc<Engine>,
    tasks: TaskTracker,
}

impl ProcessDriver {
    /// Sets the driver up: finds browsers, prepares the state directory and the control groups, and
    /// starts the thread that starts browsers. Starts no browser. Blocks for a few file operations.
    ///
    /// The calling process becomes a child subreaper: it inherits, and waits for, processes that
    /// sandboxes leave behind.
    ///
    /// # Errors
    /// See [`SetupError`]; nothing was started.
    pub fn new(config: ProcessConfig) -> Result<Self, SetupError> {
        Ok(Self { engine: Arc::new(Engine::new(config)?), tasks: TaskTracker::new() })
    }

    /// What this host does not give, one sentence each, for the log and for people who ask.
    pub fn notes(&self) -> &[String] {
        &self.engine.notes
    }
}

impl Driver for ProcessDriver {
    fn capabilities(&self) -> Capabilities {
        let isolation = if self.engine.uids.is_some() { "per-sandbox-user" } else { "shared-user" };
        let limits_cpu = self.engine.tree.limits_cpu();
        Capabilities { flavours: self.engine.browsers.flavours(), isolation, limits_cpu }
    }

    fn start(
        &self,
        spec: LaunchSpec,
        events: EventSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move {
            self.check(&spec)?;
            let instance = self.enter(spec.lifecycle.clone(), spec.profile.clone())?;
            // A caller that goes away before the answer cancels as well: nobody would know of it.
            let cancel = cancel.child_token();
            let _gone = cancel.clone().drop_guard();
            let (answer, started) = oneshot::channel();
            let engine = Arc::clone(&self.engine);
            let outbox = Outbox::new(events.clone());
            let supervisor = Supervisor::new(engine, instance, spec.clone(), outbox);
            self.tasks.spawn(supervisor.run(answer, cancel.clone()));
            started.await.unwrap_or_else(|_| Err(early()))?;
            let lifecycle = spec.lifecycle.clone();
            match self.start_runner(&spec, Outbox::new(events), &cancel).await {
                Ok(()) => Ok(()),
                Err(e) => {
                    let report = self.stop(lifecycle, StopHow::Fast).await;
                    for error in report.errors {
                        tracing::error!(error, "cleanup after a runner that did not start");
                    }
                    Err(e)
                }
            }
        })
    }

    fn stop(&self, instance: LifecycleId, how: StopHow) -> BoxFuture<'_, StopReport> {
        Box::pin(async move {
            let stop = async |lifecycle: &LifecycleId| match self.engine.instance(lifecycle) {
                Some(instance) => instance.stop(how, false).await,
                None => StopReport::default(),
            };
            let runner = runner::instance_of(&instance);
            let (mut report, beside) = tokio::join!(stop(&instance), stop(&runner));
            report.total = report.total.max(beside.total);
            report.errors.extend(beside.errors.into_iter().map(|error| format!("runner: {error}")));
            report
        })
    }

    fn kill(&self, instance: LifecycleId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let runner = runner::instance_of(&instance);
            tokio::join!(self.kill_one(&instance), self.kill_one(&runner));
        })
    }

    fn restart_browser(
        &self,
        instance: LifecycleId,
        change: RestartChange,
    ) -> BoxFuture<'_, Result<u64, RestartError>> {
        Box::pin(async move {
            for flag in change.flags.iter().flatten() {
                check_flag(flag, self.engine.allow_no_sandbox)
                    .map_err(|e| RestartError::Refused(e.to_string()))?;
            }
            match self.engine.instance(&instance) {
                Some(instance) => instance.desk.ask(change).await,
                None => Err(RestartError::Gone),
            }
        })
    }

    fn probe(&self, instance: LifecycleId) -> BoxFuture<'_, Result<(), ProbeError>> {
        Box::pin(async move {
            let url = self.engine.instance(&instance).and_then(|instance| instance.url());
            let Some(url) = url else { return Err(ProbeError("it does not run".to_owned())) };
            cdp::product(&url).await.map(drop).map_err(|e| ProbeError(e.to_string()))
        })
    }

    fn inspect(&self, instance: LifecycleId) -> BoxFuture<'_, Option<Inspection>> {
        Box::pin(async move { self.engine.inspect(&instance).await })
    }

    fn free_disk(&self) -> Option<u64> {
        self.engine.state.free()
    }

    fn room(&self, instance: LifecycleId) -> BoxFuture<'_, Result<Room, ProfileError>> {
        Box::pin(async move { self.engine.room(&instance).await })
    }

    fn close_clean(
        &self,
        instance: LifecycleId,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Closed, ProfileError>> {
        Box::pin(async move {
            let Some(browser) = self.engine.instance(&instance) else {
                return Err(ProfileError::Unknown(instance.to_string()));
            };
            let runner = async {
                if let Some(runner) = self.engine.instance(&runner::instance_of(&instance)) {
                    runner.stop(StopHow::Fast, false).await;
                }
            };
            Ok(tokio::join!(browser.close(limit), runner).0)
        })
    }

    fn save(
        &self,
        instance: LifecycleId,
        profile: ProfileId,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(async move { self.engine.save_profile(&instance, &profile).await })
    }

    fn export(
        &self,
        profile: ProfileId,
        to: ArchiveSink,
    ) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(async move { self.engine.export_profile(&profile, to).await })
    }

    fn import(
        &self,
        profile: ProfileId,
        from: ArchiveSource,
        most: u64,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(async move { self.engine.import_profile(&profile, from, most).await })
    }

    fn forget(&self, profile: ProfileId) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(async move { self.engine.forget_profile(&profile).await })
    }

    fn kept(&self) -> BoxFuture<'_, Result<Vec<ProfileId>, ProfileError>> {
        Box::pin(self.engine.kept_profiles())
    }

    fn reclaim(&self) -> BoxFuture<'_, Result<ReclaimReport, ReclaimError>> {
        Box::pin(self.engine.reclaim())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let left: Vec<_> = {
                let instances = self.engine.instances();
                self.tasks.close();
                instances.values().cloned().collect()
            };
            let stops = left.iter().map(|instance| instance.stop(StopHow::Fast, true));
            futures_util::future::join_all(stops).await;
            self.tasks.wait().await;
            let engine = Arc::clone(&self.engine);
            let closed = hunt::blocking(move || {
                engine.hunter.spawner.close();
                engine.tree.close();
                Ok(())
            });
            if let Err(e) = closed.await {
                tracing::error!(error = %e, "the driver could not be closed");
            }
        })
    }
}

fn early() -> StartError {
    StartError::Spawn("the task that ran the sandbox ended early".to_owned())
}

impl ProcessDriver {
    /// Enters an instance that is about to be started.
    fn enter(
        &self,
        lifecycle: LifecycleId,
        profile: Option<ProfileId>,
    ) -> Result<Arc<Instance>, StartError> {
        let mut instances = self.engine.instances();
        if self.tasks.is_closed() {
            return Err(StartError::Spawn("the driver is closed".to_owned()));
        }
        if instances.contains_key(&lifecycle) {
            return Err(StartError::Spawn(format!("{lifecycle} runs already")));
        }
        let instance = Instance::new(lifecycle.clone(), profile);
        instances.insert(lifecycle, Arc::clone(&instance));
        Ok(instance)
    }

    /// Starts the runner beside a browser that answers, if there is to be one.
    async fn start_runner(
        &self,
        spec: &LaunchSpec,
        outbox: Outbox,
        cancel: &CancellationToken,
    ) -> Result<(), StartError> {
        let Some(runner) = spec.runner.clone() else { return Ok(()) };
        let instance = self.enter(runner::instance_of(&spec.lifecycle), None)?;
        let (answer, mut started) = oneshot::channel();
        let engine = Arc::clone(&self.engine);
        let runner = Runner::new(engine, Arc::clone(&instance), spec, runner, outbox);
        self.tasks.spawn(runner.run(answer));
        tokio::select! {
            biased;
            outcome = &mut started => outcome.unwrap_or_else(|_| Err(early())),
            () = cancel.cancelled() => {
                instance.stop(StopHow::Fast, false).await;
                Err(StartError::Cancelled)
            }
        }
    }

    /// Kills every process of one instance.
    async fn kill_one(&self, lifecycle: &LifecycleId) {
        let Some(instance) = self.engine.instance(lifecycle) else { return };
        instance.forbid();
        let killed = async {
            if let Some(owner) = instance.owner.get()
                && let Err(e) = self.engine.hunter.kill(owner).await
            {
                tracing::error!(%lifecycle, error = %e, "kill");
            }
            // A start in progress may just have made a process: its own task kills it.
            instance.still().await;
        };
        if tokio::time::timeout(hunt::KILL_WITHIN, killed).await.is_err() {
            tracing::error!(%lifecycle, "not known to be dead after 2 s");
        }
    }

    fn check(&self, spec: &LaunchSpec) -> Result<(), StartError> {
        let refused = |text: String| Err(StartError::Spawn(text));
        if self.engine.browsers.for_launch(spec).is_none() {
            let named = spec.browser.as_ref().map(|path| path.display().to_string());
            let tried = named.unwrap_or_else(|| self.engine.browsers.tried());
            return Err(StartError::NoBrowser { flavour: spec.flavour, tried });
        }
        if !state::is_lifecycle(spec.lifecycle.as_str()) {
            return refused(format!("{:?} is no lifecycle id", spec.lifecycle.as_str()));
        }
        if spec.runner.is_some()
            && !state::is_lifecycle(runner::instance_of(&spec.lifecycle).as_str())
        {
            return refused(format!("{:?} is too long for a runner's", spec.lifecycle.as_str()));
        }
        for flag in &spec.switches() {
            check_flag(flag, self.engine.allow_no_sandbox).or_else(|e| refused(e.to_string()))?;
        }
        for folder in loaded_extensions(spec) {
            check_extension(Path::new(folder)).or_else(|e| refused(e.to_string()))?;
        }
        let of_runner = spec.runner.iter().flat_map(|runner| &runner.env);
        for (name, value) in spec.env.iter().chain(of_runner) {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return refused(format!("environment variable {name:?} has an impossible form"));
            }
        }
        Ok(())
    }
}

/// The folders of extensions among the switches that stay; those of a client are its own affair.
fn loaded_extensions(spec: &LaunchSpec) -> impl Iterator<Item = &str> {
    let lists = spec.fixed.iter().filter_map(|flag| flag.strip_prefix("--load-extension="));
    lists.flat_map(|list| list.split(','))
}
