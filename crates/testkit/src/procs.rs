//! What processes there are, read from `/proc`: the ground truth for "nothing is left".

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// One process, told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proc {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub started: u64,
    /// The kernel's short name.
    pub name: String,
}

struct Stat {
    proc: Proc,
    parent: i32,
    zombie: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold spaces and parentheses itself.
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let rest: Vec<&str> = text[close + 1..].split_whitespace().collect();
    Some(Stat {
        proc: Proc {
            pid,
            started: rest.get(19)?.parse().ok()?,
            name: text[open + 1..close].to_owned(),
        },
        parent: rest.get(1)?.parse().ok()?,
        zombie: rest.first() == Some(&"Z"),
    })
}

fn all() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(stat)
        .collect()
}

/// The live descendants of `root`, without `root` itself.
pub fn descendants(root: i32) -> BTreeSet<Proc> {
    let all = all();
    let mut children: BTreeMap<i32, Vec<&Stat>> = BTreeMap::new();
    for s in &all {
        children.entry(s.parent).or_default().push(s);
    }
    let (mut found, mut todo) = (BTreeSet::new(), vec![root]);
    while let Some(pid) = todo.pop() {
        for s in children.get(&pid).into_iter().flatten() {
            if !s.zombie && found.insert(s.proc.clone()) {
                todo.push(s.proc.pid);
            }
        }
    }
    found
}

/// Live processes that name `dir` in their command line or environment.
pub fn mentioning(dir: &Path) -> BTreeSet<Proc> {
    let needle = dir.as_os_str().as_encoded_bytes();
    let holds = |path: String| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|w| w == needle))
    };
    let own = std::process::id() as i32;
    all()
        .into_iter()
        .filter(|s| !s.zombie && s.proc.pid != own)
        .filter(|s| {
            holds(format!("/proc/{}/cmdline", s.proc.pid))
                || holds(format!("/proc/{}/environ", s.proc.pid))
        })
        .map(|s| s.proc)
        .collect()
}

/// Whether this very process (same start time) still runs.
pub fn is_alive(proc: &Proc) -> bool {
    stat(proc.pid).is_some_and(|s| !s.zombie && s.proc.started == proc.started)
}

/// Waits until none of `procs` runs.
///
/// # Errors
/// The ones that still run after `limit`.
pub fn wait_all_gone(procs: &BTreeSet<Proc>, limit: Duration) -> Result<(), Vec<Proc>> {
    let until = Instant::now() + limit;
    loop {
        let left: Vec<Proc> = procs.iter().filter(|p| is_alive(p)).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many descriptors a process has open; `None` once it has gone.
pub fn open_files(pid: i32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Resident memory of a process in bytes; `None` once it has gone.
pub fn resident(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Proportional set size of a process in bytes; `None` once it has gone or for lack of rights.
pub fn proportional(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|l| l.starts_with("Pss:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
