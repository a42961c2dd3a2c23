//! Where events go beside their readers: a file of lines, an OTLP receiver.
//!
//! A sink is a reader of the log with a cursor of its own, which is kept on disk. It holds one batch
//! and no queue, so a far side that is down costs the log's retention and no memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Telemetry;
use crate::feed::{Feed, Stored};
use crate::metrics::SinkMetrics;
use crate::query::GapTold;

mod cursor;
mod jsonl;
mod otlp;
mod task;

#[cfg(test)]
mod tests;

pub use jsonl::JsonLines;
pub(crate) use otlp::Client;
pub use otlp::{BadEndpoint, Otlp};

use task::{Ends, SinkTask};

/// The sinks of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sinks {
    /// The folder that their cursors are kept in; it is made if it is not there. `None` if the log
    /// ends with the process, so that no place in it is worth keeping: each sink then begins with
    /// the first event.
    pub cursors: Option<PathBuf>,
    /// A file of lines, `jsonl` in the configuration.
    pub jsonl: Option<JsonLines>,
    /// An OTLP receiver, `otlp` in the configuration.
    pub otlp: Option<Otlp>,
}

impl Sinks {
    /// Their names in the configuration, and whether they are on at first.
    pub(crate) fn switches(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let jsonl = self.jsonl.as_ref().map(|sink| (jsonl::NAME, sink.enabled));
        jsonl.into_iter().chain(self.otlp.as_ref().map(|sink| (otlp::NAME, sink.enabled)))
    }

    /// Starts a task for each.
    pub(crate) fn start(self, parts: &Parts, tasks: &mut JoinSet<()>) {
        if let Some(settings) = self.jsonl {
            let ends = parts.ends(jsonl::NAME, self.cursors.as_deref());
            tasks.spawn(SinkTask::new(jsonl::Target::new(settings), ends).run());
        }
        if let Some(settings) = self.otlp {
            let ends = parts.ends(otlp::NAME, self.cursors.as_deref());
            tasks.spawn(SinkTask::new(otlp::Target::new(settings), ends).run());
        }
    }
}

/// What every sink's task works with.
pub(crate) struct Parts {
    pub(crate) feed: Arc<Feed>,
    pub(crate) telemetry: Telemetry,
    pub(crate) metrics: SinkMetrics,
    /// The names of those that are on.
    pub(crate) enabled: watch::Receiver<Vec<String>>,
    pub(crate) stop: watch::Receiver<Option<Instant>>,
}

impl Parts {
    fn ends(&self, name: &'static str, cursors: Option<&Path>) -> Ends {
        Ends {
            name,
            cursor: cursors.map(|folder| folder.join(format!("{name}.cursor"))),
            feed: Arc::clone(&self.feed),
            telemetry: self.telemetry.clone(),
            metrics: self.metrics.clone(),
            enabled: self.enabled.clone(),
            stop: self.stop.clone(),
        }
    }
}

/// How much is sent at once.
#[derive(Clone, Copy, Debug)]
struct BatchLimits {
    events: usize,
    bytes: usize,
    /// How long a batch that is not full waits for more.
    wait: Duration,
}

/// What is sent at once: maybe what is missing, then events.
struct Batch {
    epoch: String,
    gap: Option<GapTold>,
    events: Vec<Arc<Stored>>,
}

/// The far side accepted a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    /// Events of it that it refused for good.
    rejected: u64,
}

/// The far side did not accept a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// A word for metrics.
    pub(crate) cause: &'static str,
    /// For a person; no secret.
    pub(crate) error: String,
    pub(crate) then: Then,
}

/// What can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Try again, with growing pauses.
    Retry,
    /// Try again after this.
    RetryAfter(Duration),
    /// Try again with less at once.
    Split,
    /// Nothing: the batch is lost.
    Drop,
}

/// The far side of a sink.
trait Target: Send + 'static {
    fn limits(&self) -> BatchLimits;

    /// Sends a batch, and returns once the far side has it. It may be dropped at any point; the
    /// batch is sent again then.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = Result<Sent, Refused>> + Send;
}
