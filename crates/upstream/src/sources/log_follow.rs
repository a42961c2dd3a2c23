//! The log that another supervisor writes for its browser.

use std::path::PathBuf;

use tokio::time::sleep;

use super::notice::Notice;
use super::restart::{End, Progress, Restarts, guarded};
use super::watch::{Newest, watch};
use super::{FILE_TICK, Timing};
use crate::announce::{AnnounceScanner, PrefixForm};
use crate::backoff::Backoff;
use crate::checker::{Checker, Origin, Rules};
use crate::counts::UrlRefusal;
use crate::publish::Publisher;
use crate::tail::{NamedFile, Tail};
use crate::url::UrlPolicy;

/// Follows announcements in a log through rotation, truncation and lines of any length. An
/// announced address counts only when the browser there confirms its instance id. Cannot know why
/// a browser ended.
///
/// With an expected port in the policy, another instance that answers at that port is the next
/// generation even if its line was lost. Without, it is not: anybody may listen on a free port.
#[derive(Debug)]
pub struct LogFollow {
    disk: NamedFile,
    tail: Tail<<NamedFile as crate::tail::Disk>::File>,
    newest: Newest,
    checker: Checker,
    restarts: Restarts,
}

impl LogFollow {
    /// What this source says about [`Upstream::restart_expected`](crate::Upstream): the writer of
    /// the log is a supervisor.
    pub const RESTART_EXPECTED: bool = true;

    /// A source that reads the log at `path`, which need not exist yet.
    pub fn new(path: PathBuf, form: PrefixForm, policy: UrlPolicy, timing: Timing) -> Self {
        let rules = Rules {
            origin: Origin::Announced,
            ready_every: timing.verify_interval,
            waiting_every: FILE_TICK,
            adopt: policy.expected_port.is_some(),
            start_timeout: timing.start_timeout,
        };
        Self {
            disk: NamedFile(path),
            tail: Tail::new(AnnounceScanner::new(policy, form)),
            newest: Newest::new(Vec::new()),
            checker: Checker::new(rules),
            restarts: Restarts::default(),
        }
    }

    /// Reports to `publisher` until nobody will start another browser.
    ///
    /// # Cancel safety
    /// Dropping the future stops the source; at most one short read of the file is finished in the
    /// background. It may be run again and goes on where it was, without a replay.
    pub async fn run(&mut self, publisher: &Publisher) {
        loop {
            let progress = Progress::default();
            let Self { disk, tail, newest, checker, .. } = self;
            let once = async {
                tokio::select! {
                    end = read(disk, tail, newest, publisher, &progress) => end,
                    end = watch(publisher, checker, Some(newest), &progress) => end,
                }
            };
            let outcome = guarded(once).await;
            if !self.restarts.again(publisher, "log_follow", &progress, outcome).await {
                return;
            }
        }
    }
}

/// Reads whatever is new at each wake. Never ends by itself unless a wake fails as a whole.
async fn read(
    disk: &NamedFile,
    tail: &mut Tail<<NamedFile as crate::tail::Disk>::File>,
    newest: &Newest,
    publisher: &Publisher,
    progress: &Progress,
) -> End {
    let mut backoff = Backoff::new();
    let mut notice = Notice::of(&disk.0);
    let mut told = None;
    loop {
        // The wake works on a copy, so that what is kept is always the result of a whole wake.
        let (mut copy, path) = (tail.clone(), disk.clone());
        let work = tokio::task::spawn_blocking(move || {
            let woken = copy.wake(&path);
            (copy, woken)
        });
        let Ok((copy, woken)) = work.await else {
            return End::Failed("the reader of the log panicked");
        };
        *tail = copy;
        for (refused, times) in woken.refused {
            publisher.refused_url(UrlRefusal::Form(refused.why), &refused.host, times);
        }
        publisher.counters().long_lines.add(woken.long_lines);
        if !woken.announced.is_empty() {
            newest.send_replace(woken.announced);
        }
        let error = woken.error.map(|error| error.kind());
        if error != told {
            // Once for each change: a missing file is asked for again and again.
            tracing::info!(path = %disk.0.display(), ?error, "log file");
            told = error;
        }
        if error.is_some() && !tail.is_open() {
            sleep(backoff.failed(fastrand::u32(..))).await;
            if notice.is_none() {
                notice = Notice::of(&disk.0);
            }
        } else {
            backoff.succeeded();
            progress.made();
            tokio::select! {
                () = sleep(FILE_TICK) => {}
                () = Notice::changed(&mut notice) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
