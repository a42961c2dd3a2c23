//! Control groups: one per sandbox, for limits, for membership and for killing all of it at once.
//!
//! The unified hierarchy is used where it is ours to divide. A host that keeps its controllers in
//! the old hierarchies still has an empty unified tree: that gives membership and `cgroup.kill`,
//! and the old memory and pids hierarchies give the limits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::config::Limits;
use crate::driver::LifecycleId;

pub(crate) use paths::{Own, own};

mod emptied;
mod paths;

/// The leaf that the daemon itself moves to, because a group that divides its memory among others
/// may hold no process (the "no internal processes" rule, cgroups(7)).
const DAEMON: &str = "lockkeeper-daemon";

/// Where the groups of this daemon's sandboxes are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    unified: Option<PathBuf>,
    v1_memory: Option<PathBuf>,
    v1_pids: Option<PathBuf>,
    v1_cpu: Option<PathBuf>,
    /// Whether the unified tree divides these.
    v2_memory: bool,
    v2_pids: bool,
    v2_cpu: bool,
}

impl Tree {
    /// Prepares the groups of one state directory. The second value says what could not be had.
    pub(crate) fn open(own: &Own, state_id: &str) -> (Self, Vec<String>) {
        let name = format!("lockkeeper-{state_id}");
        let mut tree = Self::default();
        let mut notes = Vec::new();
        match &own.v2 {
            Some(own) => match unified(own, &name) {
                Ok((dir, controllers)) => {
                    tree.unified = Some(dir);
                    tree.v2_memory = controllers.iter().any(|c| c == "memory");
                    tree.v2_pids = controllers.iter().any(|c| c == "pids");
                    tree.v2_cpu = controllers.iter().any(|c| c == "cpu");
                }
                Err(e) => notes.push(format!("unified control groups are not used: {e}")),
            },
            None => notes.push("there is no unified control group tree".to_owned()),
        }
        if !tree.v2_memory {
            tree.v1_memory = old(own.v1_memory.as_deref(), &name, "memory", &mut notes);
        }
        if !tree.v2_pids {
            tree.v1_pids = old(own.v1_pids.as_deref(), &name, "pids", &mut notes);
        }
        if !tree.v2_cpu {
            // Few ask for it, so nobody needs to be told who does not.
            tree.v1_cpu = old(own.v1_cpu.as_deref(), &name, "processor time", &mut Vec::new());
        }
        (tree, notes)
    }

    /// Whether memory can be limited.
    pub(crate) fn limits_memory(&self) -> bool {
        self.v2_memory || self.v1_memory.is_some()
    }

    /// Whether the number of processes can be limited.
    pub(crate) fn limits_pids(&self) -> bool {
        self.v2_pids || self.v1_pids.is_some()
    }

    /// Whether processor time can be limited.
    pub(crate) fn limits_cpu(&self) -> bool {
        self.v2_cpu || self.v1_cpu.is_some()
    }

    fn roots(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.unified, &self.v1_memory, &self.v1_pids, &self.v1_cpu];
        all.into_iter().filter_map(Option::as_deref)
    }

    /// The groups that a sandbox has here.
    pub(crate) fn dirs(&self, lifecycle: &LifecycleId) -> Vec<PathBuf> {
        self.roots().map(|root| root.join(lifecycle.as_str())).collect()
    }

    /// Makes the groups of one sandbox; `None` if there is no hierarchy to make them in.
    ///
    /// # Errors
    /// When a group or a limit cannot be made; then nothing is left.
    pub(crate) fn leaf(
        &self,
        lifecycle: &LifecycleId,
        limits: &Limits,
    ) -> io::Result<Option<Leaf>> {
        let mut dirs = self.dirs(lifecycle);
        if limits.cpu.is_none()
            && let Some(root) = &self.v1_cpu
        {
            // A group of its own would change its share of the processor.
            dirs.retain(|dir| dir.parent() != Some(root));
        }
        if dirs.is_empty() {
            return Ok(None);
        }
        let join = |root: &Option<PathBuf>| root.as_ref().map(|dir| dir.join(lifecycle.as_str()));
        let unified = join(&self.unified);
        let memory = join(&self.v1_memory).or_else(|| unified.clone().filter(|_| self.v2_memory));
        let pids = join(&self.v1_pids).or_else(|| unified.clone().filter(|_| self.v2_pids));
        let cpu = join(&self.v1_cpu).or_else(|| unified.clone().filter(|_| self.v2_cpu));
        let oom = memory.as_deref().map(|dir| {
            dir.join(if self.v2_memory { "memory.events" } else { "memory.oom_control" })
        });
        let leaf = Leaf { dirs, unified, oom };
        let made = leaf.make().and_then(|()| {
            if let Some(dir) = &pids {
                set(dir, "pids.max", &limits.pids.to_string())?;
            }
            if let (Some(dir), Some(bytes)) = (&memory, limits.memory) {
                limit_memory(dir, self.v2_memory, bytes)?;
            }
            if let (Some(dir), Some(thousandths)) = (&cpu, limits.cpu) {
                limit_cpu(dir, self.v2_cpu, thousandths)?;
            }
            Ok(())
        });
        match made {
            Ok(()) => Ok(Some(leaf)),
            Err(e) => {
                let _ = leaf.remove();
                Err(e)
            }
        }
    }

    /// Groups of earlier sandboxes that are still there, by lifecycle.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub(crate) fn leaves(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for root in self.roots() {
            for entry in fs::read_dir(root)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
                }
            }
        }
        Ok(found)
    }

    /// Removes the folders above groups that an earlier daemon made in another place, where the
    /// host had put it then.
    pub(crate) fn forget_elsewhere(&self, groups: &[PathBuf]) {
        for root in groups.iter().filter_map(|group| group.parent()) {
            if !self.roots().any(|own| own == root) {
                let _ = fs::remove_dir(root);
            }
        }
    }

    /// Removes the folders above the sandboxes' groups, if those are gone.
    pub(crate) fn close(&self) {
        for root in self.roots() {
            let _ = fs::remove_dir(root);
        }
    }
}

/// The groups of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    dirs: Vec<PathBuf>,
    unified: Option<PathBuf>,
    oom: Option<PathBuf>,
}

impl Leaf {
    fn make(&self) -> io::Result<()> {
        for dir in &self.dirs {
            fs::create_dir(dir).map_err(|e| about(dir, &e))?;
        }
        Ok(())
    }

    /// The files that a process writes itself into to enter.
    pub(crate) fn entrances(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// Kills everything inside at once, also what is being forked. Returns false where the kernel
    /// cannot (before Linux 5.14, and in the old hierarchies).
    pub(crate) fn kill(&self) -> bool {
        self.unified.as_ref().is_some_and(|dir| fs::write(dir.join("cgroup.kill"), "1").is_ok())
    }

    /// Pids of the processes inside.
    ///
    /// # Errors
    /// When a list cannot be read, for another cause than that the group is gone.
    pub(crate) fn pids(&self) -> io::Result<Vec<i32>> {
        let mut all = Vec::new();
        for dir in &self.dirs {
            all.extend(pids(dir)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Whether a process, also a dead one, is or was inside.
    pub(crate) fn holds(&self, pid: i32) -> bool {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        // Folder and its parent hold random ids, so the end of the path identifies the group.
        let mut parts = self.dirs.iter().filter_map(|dir| {
            let (leaf, root) = (dir.file_name()?, dir.parent()?.file_name()?);
            Some(format!("/{}/{}", root.to_str()?, leaf.to_str()?))
        });
        parts
            .any(|end| text.lines().any(|line| line.trim_end_matches(" (deleted)").ends_with(&end)))
    }

    /// How many processes of the group the kernel has killed for lack of memory; 0 if nobody counts.
    pub(crate) fn oom_kills(&self) -> u64 {
        let text = self.oom.as_ref().and_then(|file| fs::read_to_string(file).ok());
        text.as_deref().and_then(parse_oom_kills).unwrap_or(0)
    }

    /// Removes the groups.
    ///
    /// # Errors
    /// When processes are still inside.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.dirs.iter().try_for_each(|dir| remove(dir))
    }
}

/// The `oom_kill` line of `memory.events` or `memory.oom_control`.
fn parse_oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Pids inside a group that may be gone.
pub(crate) fn pids(dir: &Path) -> io::Result<Vec<i32>> {
    match fs::read_to_string(dir.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect()),
        Err(e) if gone(&e) => Ok(Vec::new()),
        Err(e) => Err(about(dir, &e)),
    }
}

/// Removes a group that may be gone.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Ok(()) => Ok(()),
        Err(e) if gone(&e) => Ok(()),
        Err(e) => Err(about(dir, &e)),
    }
}

/// A group that was removed answers with "no such device" while its folder is still open.
fn gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound
        || e.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn about(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

fn set(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = dir.join(file);
    fs::write(&path, value).map_err(|e| about(&path, &e))
}

fn limit_memory(dir: &Path, v2: bool, bytes: u64) -> io::Result<()> {
    let bytes = bytes.to_string();
    // Swap only delays the end of a process that wants ever more, and slows the whole host down.
    // Kernels without swap have no such file.
    let (main, swap, no_swap) = if v2 {
        ("memory.max", "memory.swap.max", "0")
    } else {
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes.as_str())
    };
    set(dir, main, &bytes)?;
    if dir.join(swap).exists() {
        set(dir, swap, no_swap)?;
    }
    Ok(())
}

/// The kernel's own period: how often a share of the processor begins anew.
const CPU_PERIOD_US: u64 = 100_000;

fn limit_cpu(dir: &Path, v2: bool, thousandths: u32) -> io::Result<()> {
    // The kernel takes no share below a millisecond.
    let quota = (u64::from(thousandths) * CPU_PERIOD_US / 1000).max(1000);
    match v2 {
        true => set(dir, "cpu.max", &format!("{quota} {CPU_PERIOD_US}")),
        false => {
            set(dir, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
            set(dir, "cpu.cfs_quota_us", &quota.to_string())
        }
    }
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|e| about(dir, &e)),
    }
}

/// Makes our folder in an old hierarchy, unless there is none or it is not ours to divide.
fn old(own: Option<&Path>, name: &str, what: &str, notes: &mut Vec<String>) -> Option<PathBuf> {
    let Some(own) = own else {
        notes.push(format!("no control group limits {what}"));
        return None;
    };
    let dir = own.join(name);
    match make(&dir) {
        Ok(()) => Some(dir),
        Err(e) => {
            notes.push(format!("no control group limits {what}: {e}"));
            None
        }
    }
}

/// Makes our folder in the unified tree and has it divide what can be limited, as far as the host
/// lets it. Returns the folder and the controllers it divides.
fn unified(own: &Path, name: &str) -> io::Result<(PathBuf, Vec<String>)> {
    // A daemon that was started by another one stands in that one's leaf.
    let in_leaf = own.file_name().is_some_and(|last| last == DAEMON);
    let base = if in_leaf { own.parent().unwrap_or(own) } else { own };
    let dir = base.join(name);
    make(&dir)?;
    let words = |file: &Path| -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    let offered = words(&base.join("cgroup.controllers"));
    let all = ["memory", "pids", "cpu"].map(str::to_owned);
    let mut wanted: Vec<String> = all.into_iter().filter(|c| offered.contains(c)).collect();
    let switch =
        |wanted: &[String]| wanted.iter().map(|c| format!("+{c}")).collect::<Vec<_>>().join(" ");
    let enabled = words(&base.join("cgroup.subtree_control"));
    if wanted.iter().any(|c| !enabled.contains(c)) {
        // The root of the whole tree may hold processes beside divided groups; it has no type.
        let is_root = !base.join("cgroup.type").exists();
        if !in_leaf && !is_root {
            let leaf = base.join(DAEMON);
            make(&leaf)?;
            set(&leaf, "cgroup.procs", "0")?;
        }
        let mut done = set(base, "cgroup.subtree_control", &switch(&wanted));
        if done.is_err() && wanted.iter().any(|c| c == "cpu") {
            // A real-time process keeps this one from being divided; the others matter more.
            wanted.retain(|c| c != "cpu");
            done = set(base, "cgroup.subtree_control", &switch(&wanted));
        }
        if let Err(e) = done {
            tracing::info!(error = %e, "other processes share this control group");
            if !in_leaf && !is_root {
                let _ = fs::write(base.join("cgroup.procs"), "0");
                let _ = fs::remove_dir(base.join(DAEMON));
            }
            return Ok((dir, Vec::new()));
        }
    }
    if !wanted.is_empty() {
        set(&dir, "cgroup.subtree_control", &switch(&wanted))?;
    }
    Ok((dir, wanted))
}

#[cfg(test)]
mod tests;
