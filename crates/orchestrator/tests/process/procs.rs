//! The ground truth: what lives, by any sign.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A process that cannot be mistaken for a later one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) start: u64,
    pub(crate) zombie: bool,
    pub(crate) uid: u32,
    pub(crate) name: String,
}

/// Reads one process.
pub(crate) fn read(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let rest: Vec<&str> = stat[close + 1..].split_whitespace().collect();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(Process {
        pid,
        start: rest.get(19)?.parse().ok()?,
        zombie: rest.first() == Some(&"Z"),
        uid: uid.split_whitespace().next()?.parse().ok()?,
        name: stat[open + 1..close].to_owned(),
    })
}

/// Whether this very process lives.
pub(crate) fn is_alive(process: &Process) -> bool {
    read(process.pid).is_some_and(|now| now.start == process.start && !now.zombie)
}

/// Processes for which `test` holds.
pub(crate) fn all(test: impl Fn(&Process) -> bool) -> BTreeSet<Process> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).filter(test).collect()
}

/// Living processes that mention a path in arguments or environment.
pub(crate) fn mentioning(path: &Path) -> BTreeSet<Process> {
    let needle = path.as_os_str().as_bytes();
    let mentions = |pid: i32, file: &str| {
        fs::read(format!("/proc/{pid}/{file}"))
            .is_ok_and(|text| text.windows(needle.len()).any(|window| window == needle))
    };
    all(|p| !p.zombie && (mentions(p.pid, "cmdline") || mentions(p.pid, "environ")))
}

/// Waits until a fact holds. Returns how long that took.
pub(crate) fn wait_until(what: &str, limit: Duration, mut fact: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}
