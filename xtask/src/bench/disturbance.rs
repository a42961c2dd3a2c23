//! Whether other processes were busy while a sample was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

/// `/proc` counts in these on every Linux that can run the daemon.
const TICKS_A_SECOND: f64 = 100.0;

/// The processor time of the machine and of our own tree of processes, at one moment.
///
/// Only time in user mode and time stolen by the host count: time in the kernel for our own packets
/// is booked to the machine by some kernels and to us by others, and whoever disturbs a sample is
/// in user mode too.
pub(crate) struct Watch {
    at: Instant,
    machine: u64,
    ours: u64,
}

impl Watch {
    /// The moment is now.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn start() -> Result<Self> {
        let machine = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
        Ok(Self {
            at: Instant::now(),
            machine: busy(&machine).context("/proc/stat has no line of all processors")?,
            ours: tree(),
        })
    }

    /// Cores that other processes used since: 1.0 is one core all the time.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn others(&self) -> Result<f64> {
        let now = Self::start()?;
        let ours = now.ours.saturating_sub(self.ours);
        let others = now.machine.saturating_sub(self.machine).saturating_sub(ours);
        let seconds = (now.at - self.at).as_secs_f64();
        Ok(others as f64 / TICKS_A_SECOND / seconds.max(1.0 / TICKS_A_SECOND))
    }
}

/// Ticks in user mode, nice or not, and stolen ones, of all processors.
fn busy(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
    Some(ticks.first()? + ticks.get(1)? + ticks.get(7).unwrap_or(&0))
}

/// Ticks in user mode of this process and all below it, those that have ended included.
fn tree() -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut ticks = BTreeMap::new();
    for pid in entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok()) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        if let Some((parent, used)) = stat.ok().as_deref().and_then(used) {
            children.entry(parent).or_default().push(pid);
            ticks.insert(pid, used);
        }
    }
    let (mut seen, mut todo) = (BTreeSet::new(), vec![std::process::id()]);
    while let Some(pid) = todo.pop() {
        if seen.insert(pid) {
            todo.extend(children.get(&pid).into_iter().flatten());
        }
    }
    seen.iter().filter_map(|pid| ticks.get(pid)).sum()
}

/// The parent, and the ticks in user mode of a process and of those it has waited for.
fn used(stat: &str) -> Option<(u32, u64)> {
    // The name is in parentheses and may hold spaces and parentheses itself.
    let rest: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let number = |i: usize| rest.get(i)?.parse::<u64>().ok();
    Some((rest.get(1)?.parse().ok()?, number(11)? + number(13)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_user_nice_and_stolen_ticks_count() {
        assert_eq!(busy("cpu  10 20 3 4 5 6 7 800 1 2\ncpu0 1 1 1 1\n"), Some(830));
        assert_eq!(busy("intr 1 2 3\n"), None);
    }

    #[test]
    fn a_process_brings_the_time_of_those_it_waited_for() {
        let stat = "77 (a (b) c) S 12 77 77 0 -1 4194304 1 2 3 4 50 60 7 80 20 0 1 0 900 1 1";
        assert_eq!(used(stat), Some((12, 57)));
    }

    #[test]
    fn own_work_is_no_disturbance() {
        let (own, machine) = (tree(), Instant::now());
        let mut sum = 0_u64;
        while machine.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(tree() > own, "the time of this process is not counted as ours");
    }
}
