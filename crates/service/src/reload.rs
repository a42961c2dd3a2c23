//! Files whose content is taken again when it changes, while the daemon runs.
//!
//! They are looked at each second: that works on every file system, over renames and over the
//! symbolic links by which clusters replace the files of a secret, all of which defeat change events.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Something made out of files.
pub trait Reload: Send + Sync + 'static {
    /// What it is, for a log line: `the tokens`.
    fn name(&self) -> &'static str;

    /// The files it is made of.
    fn paths(&self) -> Vec<PathBuf>;

    /// Makes it again out of what the files say now; blocks as long as reading them does.
    ///
    /// # Errors
    /// What is wrong with them, for a person. What was made before has to stay then.
    fn reload(&self) -> Result<(), String>;
}

/// What tells that a file is another one, or has other content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(u64, i64, i64, u64)>>);

impl Stamp {
    /// How the files are now. Take it before they are read: what changes in between is seen later.
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
        };
        Self(paths.iter().map(|path| stamp(path)).collect())
    }
}

/// One source, and how its files were when they were last read.
struct Watched {
    source: Arc<dyn Reload>,
    seen: Stamp,
}

impl Watched {
    fn look(&mut self) {
        let now = Stamp::of(&self.source.paths());
        if now == self.seen {
            return;
        }
        self.seen = now;
        let name = self.source.name();
        match self.source.reload() {
            Ok(()) => tracing::info!("{name} were read again"),
            Err(error) => tracing::error!("{name} stay as they were: {error}"),
        }
    }
}

/// Watches files until it is dropped. Their stamps were taken before they were first read.
///
/// # Cancel safety
/// A read that has begun ends in the background.
pub(crate) async fn watch(sources: Vec<(Arc<dyn Reload>, Stamp)>) {
    let mut watched: Vec<_> =
        sources.into_iter().map(|(source, seen)| Watched { source, seen }).collect();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = tokio::task::spawn_blocking(move || {
            watched.iter_mut().for_each(Watched::look);
            watched
        });
        match looked.await {
            Ok(back) => watched = back,
            // A source that panics is a defect; the others would be lost with it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
