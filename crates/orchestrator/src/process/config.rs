//! What the process driver needs to know, and what can be wrong with it.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::browser::Search;
use crate::driver::{Flavour, LaunchLimits};

/// Settings of the process driver. All of them come from the caller: the library reads no
/// environment.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// Root of everything the driver keeps on disk. The caller holds a lock on it, so that no two
    /// daemons use it at once.
    pub state_dir: PathBuf,
    /// A browser binary that replaces the search.
    pub browser: Option<PathBuf>,
    /// Where browsers are looked for.
    pub search: Search,
    /// Binaries that single launches may name, each with its flavour.
    pub further: Vec<(Flavour, PathBuf)>,
    /// User ids that sandboxes may get when the daemon is root. The default lies between the ranges
    /// that Debian and systemd hand out themselves (60514-60577 and 61184-65519).
    pub uids: RangeInclusive<u32>,
    /// Folder of one lock file per user id, shared by every daemon of the host, so that two of them
    /// never give the same user to two sandboxes. Used only when the daemon is root.
    pub uid_locks: PathBuf,
    /// How long a browser has between SIGTERM and SIGKILL when it is stopped gracefully.
    pub stop_grace: Duration,
    /// Whether sandboxes are put into control groups.
    pub cgroup: CgroupMode,
    /// What one sandbox may use.
    pub limits: Limits,
    /// How to start this program as a launcher.
    pub launcher: LauncherCommand,
    /// Whether a launch may switch the browser's own sandbox off. We never do.
    pub allow_no_sandbox: bool,
}

impl ProcessConfig {
    /// Defaults for everything but the state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            browser: None,
            search: Search::default(),
            further: Vec::new(),
            uids: 60_600..=61_183,
            uid_locks: PathBuf::from("/run/lockkeeper/uids"),
            stop_grace: Duration::from_secs(10),
            cgroup: CgroupMode::Auto,
            limits: Limits::default(),
            launcher: LauncherCommand::own_exe("__launch"),
            allow_no_sandbox: false,
        }
    }
}

/// Whether sandboxes are put into control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupMode {
    /// Where the host allows it; what is missing is said in the notes.
    Auto,
    /// The driver refuses to start without limits on memory and on processes.
    Require,
    /// Never.
    Off,
}

/// What one sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of the whole sandbox; at least 64 MiB. By a memory control group; without
    /// one it is only looked at every 5 s. `None` sets no limit.
    pub memory: Option<u64>,
    /// Processes and threads of the whole sandbox; by a pids control group, and by RLIMIT_NPROC
    /// where the sandbox has a user of its own. Ten tabs of the full browser use about 250.
    pub pids: u32,
    /// Processor time in thousandths of one core; by a cpu control group. `None` sets no limit.
    pub cpu: Option<u32>,
    /// Open files of one process (RLIMIT_NOFILE); ten tabs use about 190.
    pub open_files: u64,
    /// Bytes of the largest file a process may write (RLIMIT_FSIZE).
    pub file_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: None, pids: 1024, cpu: None, open_files: 8192, file_size: 8 << 30 }
    }
}

impl Limits {
    /// These limits where a launch does not say otherwise.
    #[must_use]
    pub fn with(self, launch: &LaunchLimits) -> Self {
        Self {
            memory: launch.memory.or(self.memory),
            pids: launch.pids.unwrap_or(self.pids),
            cpu: launch.cpu.or(self.cpu),
            ..self
        }
    }
}

/// How to start this program again as a launcher: the arguments must lead its `main` to
/// [`launcher::main`](super::launcher::main), called with the arguments that follow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments in front of the launcher's own.
    pub args: Vec<OsString>,
}

impl LauncherCommand {
    /// The running program itself with one argument. `/proc/self/exe` names the same file even
    /// after it was replaced on disk by an upgrade.
    pub fn own_exe(arg: impl Into<OsString>) -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: vec![arg.into()] }
    }
}

/// Why the process driver cannot work here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The state directory cannot be made or read.
    #[error("state directory {path}: {cause}")]
    StateDir {
        /// Which path.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// Sandbox users could not reach their own directories.
    #[error(
        "state directory: sandbox users cannot pass through {blocked}; \
         allow it with `chmod o+x {blocked}`, or choose a state directory such as /var/lib/lockkeeper"
    )]
    Unreachable {
        /// The folder that shuts them out.
        blocked: String,
    },
    /// No browser at all.
    #[error(
        "no browser was found; install chromium or chromium-headless-shell, or set the path of one. \
         Looked at: {tried}"
    )]
    NoBrowser {
        /// What was looked at, and why it was refused.
        tried: String,
    },
    /// Root, but without users to give to sandboxes.
    #[error("sandbox user ids: {0}")]
    Users(String),
    /// Control groups were required.
    #[error(
        "control groups are required by the settings but cannot be used: {0}. Start the daemon in \
         a group of its own (systemd: Delegate=yes), or set the mode to auto"
    )]
    Cgroup(String),
    /// A setting has no meaning.
    #[error("{setting}: {problem}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// The thread that starts browsers could not be made.
    #[error("the thread that starts browsers could not be made: {0}")]
    Thread(String),
}

impl SetupError {
    /// A short word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StateDir { .. } => "state_dir",
            Self::Unreachable { .. } => "unreachable",
            Self::NoBrowser { .. } => "no_browser",
            Self::Users(_) => "users",
            Self::Cgroup(_) => "cgroup",
            Self::Setting { .. } => "setting",
            Self::Thread(_) => "thread",
        }
    }
}
