//! How much memory a sandbox uses, where no control group counts and limits it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::hunt::{Hunter, blocking};
use super::owner::Owner;

/// How often memory is added up. A page that takes all of it faster than this is left to the
/// kernel.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// The proportional share in `/proc/<pid>/smaps_rollup`, in bytes: pages that several processes
/// share are counted once in all.
fn parse_pss(rollup: &str) -> Option<u64> {
    kib(rollup, "Pss:")
}

/// What a process has for itself, from `/proc/<pid>/status`, in bytes: for processes that may not
/// be looked into. It leaves shared files out, so it is rather too low.
fn parse_own(status: &str) -> Option<u64> {
    Some(kib(status, "RssAnon:")? + kib(status, "RssShmem:")?)
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

pub(super) fn used_by(pid: i32) -> u64 {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let share = read("smaps_rollup").as_deref().and_then(parse_pss);
    share.or_else(|| read("status").as_deref().and_then(parse_own)).unwrap_or(0)
}

impl Hunter {
    /// Bytes of memory that the processes of a sandbox use.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub(crate) async fn memory(&self, owner: &Arc<Owner>) -> io::Result<u64> {
        let pids: Vec<i32> = self.find(owner).await?.iter().map(|process| process.pid).collect();
        blocking(move || Ok(pids.into_iter().map(used_by).sum())).await
    }

    /// Returns when a sandbox uses more than `limit` bytes.
    pub(crate) async fn over(&self, owner: &Arc<Owner>, limit: u64) -> u64 {
        loop {
            tokio::time::sleep(SAMPLE_EVERY).await;
            match self.memory(owner).await {
                Ok(used) if used > limit => return used,
                Ok(_) => {}
                Err(e) => self.warn(&e),
            }
        }
    }
}

#[cfg(test)]
mod tests;
