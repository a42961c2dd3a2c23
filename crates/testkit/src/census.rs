//! What a process holds: the ground truth for "nothing leaked".

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::procs;

/// Descriptors by kind, threads and live descendants of one process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    pid: i32,
    /// Open descriptors by kind: `socket`, `pipe`, `anon_inode`, `file`.
    pub descriptors: BTreeMap<String, usize>,
    /// Threads.
    pub threads: usize,
    /// Live descendants.
    pub descendants: usize,
}

impl Census {
    /// Takes it now; everything is zero for a process that is gone.
    pub fn of(pid: i32) -> Self {
        let mut descriptors = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            // A descriptor that was closed meanwhile is not counted.
            let Ok(link) = std::fs::read_link(entry.path()) else { continue };
            let link = link.to_string_lossy().into_owned();
            let kind = link.split_once(':').map_or("file", |(kind, _)| kind);
            *descriptors.entry(kind.to_owned()).or_default() += 1;
        }
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        Self { pid, descriptors, threads, descendants: procs::descendants(pid).len() }
    }

    /// Waits until the process holds no more of anything than it did at this census.
    ///
    /// # Errors
    /// What it still holds more of after `limit`.
    pub fn wait_until_back(&self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let now = Self::of(self.pid);
            let more = self.more_in(&now);
            if more.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("leaked: {}; before: {self}, now: {now}", more.join(", ")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn more_in(&self, now: &Self) -> Vec<String> {
        let kinds = now.descriptors.iter().map(|(kind, count)| {
            (kind.as_str(), *count, self.descriptors.get(kind).copied().unwrap_or(0))
        });
        kinds
            .chain([
                ("threads", now.threads, self.threads),
                ("descendants", now.descendants, self.descendants),
            ])
            .filter(|(_, now, before)| now > before)
            .map(|(what, now, before)| format!("{} {what}", now - before))
            .collect()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid: _, descriptors, threads, descendants } = self;
        write!(f, "{descriptors:?}, {threads} threads, {descendants} descendants")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_more_and_what_is_closed_is_not() {
        let before = Census::of(std::process::id() as i32);
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let leak = before.wait_until_back(Duration::ZERO).unwrap_err();
        assert!(leak.contains("1 socket"), "{leak}");
        drop(socket);
        before.wait_until_back(Duration::from_secs(20)).unwrap();
    }
}
