//! What all instances share, and how it is set up.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::browser::{self, Browsers};
use super::cgroup::{self, Tree};
use super::config::{CgroupMode, LauncherCommand, Limits, ProcessConfig, SetupError};
use super::hints;
use super::hunt::{Hunter, Scanner};
use super::instance::Instance;
use super::spawner::{Nursery, Spawner};
use super::state::StateDir;
use super::table::{self, Marks};
use super::uids::{self, UidPool};
use crate::driver::{LaunchSpec, LifecycleId};

/// Everything but the instances' own state.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) browsers: Browsers,
    pub(crate) state: StateDir,
    pub(crate) uids: Option<UidPool>,
    pub(crate) tree: Tree,
    pub(crate) hunter: Hunter,
    pub(crate) launcher: LauncherCommand,
    pub(crate) limits: Limits,
    pub(crate) stop_grace: Duration,
    pub(crate) allow_no_sandbox: bool,
    /// The id of this boot.
    pub(crate) boot: String,
    /// What this host does not give.
    pub(crate) notes: Vec<String>,
    instances: Mutex<HashMap<LifecycleId, Arc<Instance>>>,
}

impl Engine {
    pub(crate) fn new(config: ProcessConfig) -> Result<Self, SetupError> {
        check(&config)?;
        let mut notes = Vec::new();
        let mut browsers = browser::search(config.browser.as_deref(), &config.search);
        for (flavour, path) in &config.further {
            let added = browsers.add(*flavour, path, &config.search);
            added.map_err(|tried| SetupError::NoBrowser { tried })?;
        }
        if browsers.flavours().is_empty() {
            return Err(SetupError::NoBrowser { tried: browsers.tried() });
        }
        let user = rustix::process::geteuid();
        let uids = if user.is_root() {
            uids::check_mapped(&config.uids)?;
            Some(UidPool::new(config.uids, config.uid_locks, std::process::id())?)
        } else {
            notes.push(
                "sandboxes share the daemon's own user: they are not isolated from each other; \
                 run the daemon as root for a user per sandbox"
                    .to_owned(),
            );
            None
        };
        notes.push(
            "a browser's own DevTools port on loopback is open to every local process".to_owned(),
        );
        let state = StateDir::open(&config.state_dir, uids.is_some())?;
        let tree = open_tree(config.cgroup, state.id(), &mut notes)?;
        if !tree.limits_memory() && config.limits.memory.is_some() {
            notes.push(
                "no memory control group: the memory of a sandbox is only looked at every 5 s"
                    .to_owned(),
            );
        }
        if !tree.limits_pids() && uids.is_none() {
            notes.push("nothing limits the number of processes of a sandbox".to_owned());
        }
        notes.extend(hints::remedies().iter().map(|remedy| {
            format!("the browser's own sandbox cannot start here; as root: {remedy}")
        }));
        let boot = table::boot_id().map_err(|e| SetupError::StateDir {
            path: "/proc/sys/kernel/random/boot_id".to_owned(),
            cause: e.to_string(),
        })?;
        // Users tell whose a process is; without them its environment has to be asked.
        let marks = if uids.is_some() { Marks::Skip } else { Marks::OfUser(user.as_raw()) };
        let thread = |e: std::io::Error| SetupError::Thread(e.to_string());
        // Processes that leave their parents come to us instead of to init, so that the dead among
        // them can be waited for.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|e| thread(e.into()))?;
        let hunter = Hunter {
            spawner: Spawner::start(Nursery::new(marks)).map_err(thread)?,
            scanner: Scanner::new(marks),
            launcher: config.launcher.clone(),
            last_warning: Mutex::default(),
        };
        Ok(Self {
            browsers,
            state,
            uids,
            tree,
            hunter,
            launcher: config.launcher,
            limits: config.limits,
            stop_grace: config.stop_grace,
            allow_no_sandbox: config.allow_no_sandbox,
            boot,
            notes,
            instances: Mutex::default(),
        })
    }

    /// What this launch may use.
    pub(crate) fn limits_of(&self, spec: &LaunchSpec) -> Limits {
        self.limits.with(&spec.limits)
    }

    /// The limit that this driver has to watch itself, because no control group does.
    pub(crate) fn watched_memory(&self, spec: &LaunchSpec) -> Option<u64> {
        self.limits_of(spec).memory.filter(|_| !self.tree.limits_memory())
    }

    pub(crate) fn instances(&self) -> MutexGuard<'_, HashMap<LifecycleId, Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn instance(&self, lifecycle: &LifecycleId) -> Option<Arc<Instance>> {
        self.instances().get(lifecycle).cloned()
    }
}

fn check(config: &ProcessConfig) -> Result<(), SetupError> {
    let setting = |setting, problem: String| Err(SetupError::Setting { setting, problem });
    let Limits { memory, pids, open_files, file_size, cpu: _ } = config.limits;
    // Below these a browser does not even start.
    if memory.is_some_and(|bytes| bytes < 64 << 20) {
        return setting("memory limit", "must be at least 64 MiB".to_owned());
    }
    if pids < 16 || open_files < 256 || file_size < 1 << 20 {
        return setting(
            "limits",
            format!(
                "{pids} processes, {open_files} open files and files of {file_size} bytes are too \
                 few for a browser; at least 16, 256 and 1 MiB"
            ),
        );
    }
    if !config.launcher.program.is_absolute() || !config.launcher.program.exists() {
        return setting(
            "launcher",
            format!("{} is not the absolute path of a file", config.launcher.program.display()),
        );
    }
    Ok(())
}

fn open_tree(
    mode: CgroupMode,
    state_id: &str,
    notes: &mut Vec<String>,
) -> Result<Tree, SetupError> {
    if mode == CgroupMode::Off {
        return Ok(Tree::default());
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own = cgroup::own(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let (tree, missing) = Tree::open(&own, state_id);
    if mode == CgroupMode::Require && !(tree.limits_memory() && tree.limits_pids()) {
        tree.close();
        return Err(SetupError::Cgroup(missing.join("; ")));
    }
    notes.extend(missing);
    Ok(tree)
}
