//! What an instance and its runner use, and what they said last.

use std::fs;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::engine::Engine;
use super::hunt::blocking;
use super::instance::Instance;
use super::memory::used_by;
use super::runner;
use crate::driver::{Inspection, LifecycleId};

impl Engine {
    /// Looks at an instance; `None` if there is none. It reads the files of each of its processes,
    /// so it is for people who ask.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub(crate) async fn inspect(self: &Arc<Self>, lifecycle: &LifecycleId) -> Option<Inspection> {
        let instance = self.instance(lifecycle)?;
        let beside = self.instance(&runner::instance_of(lifecycle));
        let mut pids = Vec::new();
        let mut listed = true;
        for owner in [Some(&instance), beside.as_ref()].into_iter().flatten() {
            let Some(owner) = owner.owner.get() else { continue };
            match self.hunter.find(owner).await {
                Ok(found) => pids.extend(found.iter().map(|process| process.pid)),
                Err(e) => {
                    self.hunter.warn(&e);
                    listed = false;
                }
            }
        }
        let room = self.room(lifecycle).await.ok();
        let used = blocking(move || {
            let memory = pids.iter().map(|pid| used_by(*pid)).sum::<u64>();
            let cpu: u64 = pids.iter().filter_map(|pid| ticks_of(*pid)).sum();
            Ok((memory, cpu, pids.len() as u64))
        });
        let used = used.await.ok().filter(|_| listed);
        Some(Inspection {
            memory: used.map(|(memory, _, _)| memory),
            cpu: used.map(|(_, cpu, _)| of_ticks(cpu)),
            processes: used.map(|(_, _, count)| count),
            profile: room.map(|room| room.profile),
            log_tail: tail(&instance),
            runner_log_tail: beside.as_deref().map(tail),
        })
    }
}

fn tail(instance: &Instance) -> String {
    instance.log.lock().unwrap_or_else(PoisonError::into_inner).tail()
}

fn ticks_of(pid: i32) -> Option<u64> {
    parse_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The fields utime, stime, cutime and cstime of `/proc/<pid>/stat`, added up: proc_pid_stat(5). The
/// program's name may hold spaces and brackets: what follows the last closing one counts.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().skip(11).take(4).collect();
    let [_, _, _, _] = fields[..] else { return None };
    fields.iter().map(|field| field.parse::<u64>().ok()).sum()
}

fn of_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_a_process_and_of_its_dead_children() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 7 0 99 1 1";
        assert_eq!(parse_ticks(stat), Some(124));
        assert_eq!(parse_ticks("42 (a) S 1 2 3"), None);
        assert_eq!(parse_ticks(""), None);
    }

    #[test]
    fn our_own_is_read() {
        let me = std::process::id().cast_signed();
        assert!(ticks_of(me).is_some() && used_by(me) > 0);
    }
}
