//! Services without which the daemon is none: their ends are never lost.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::shutdown::Failure;
use crate::{BoxFuture, panic_text};

/// How long an aborted task may take to notice.
pub(crate) const ABORT_BOUND: Duration = Duration::from_millis(250);

/// How a critical service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CriticalEnd {
    pub(crate) name: &'static str,
    pub(crate) outcome: Result<(), String>,
}

impl CriticalEnd {
    /// Before it was told to end, any end is a failure.
    pub(crate) fn too_early(self) -> Failure {
        let text = match self.outcome {
            Ok(()) => "ended before it was told to".to_owned(),
            Err(text) => text,
        };
        Failure { name: self.name, text }
    }
}

/// Owns the tasks of the critical services. A result stays in the set until it is read.
#[derive(Default)]
pub(crate) struct Criticals {
    tasks: JoinSet<Result<(), String>>,
    names: HashMap<Id, &'static str>,
}

impl Criticals {
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        service: BoxFuture<'static, Result<(), String>>,
    ) {
        let task = self.tasks.spawn(service);
        self.names.insert(task.id(), name);
    }

    /// The next one that ends; waits for ever when there is none.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(crate) async fn next(&mut self) -> CriticalEnd {
        match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, outcome))) => CriticalEnd { name: self.name(id), outcome },
            Some(Err(error)) => {
                let name = self.name(error.id());
                let text = match error.try_into_panic() {
                    Ok(panic) => format!("panicked: {}", panic_text(&*panic)),
                    Err(error) => error.to_string(),
                };
                CriticalEnd { name, outcome: Err(text) }
            }
        }
    }

    /// Waits until all have ended, adding failures, and cuts the rest: their names.
    pub(crate) async fn finish(
        &mut self,
        until: Instant,
        failures: &mut Vec<Failure>,
    ) -> Vec<&'static str> {
        while !self.names.is_empty() {
            match timeout_at(until, self.next()).await {
                Ok(end) => failures.extend(failure_at_the_end(end)),
                Err(_) => break,
            }
        }
        self.tasks.abort_all();
        // What waits ends at once when it is aborted; what blocks its thread is left to the runtime.
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout_at(Instant::now() + ABORT_BOUND, gone).await;
        let mut stuck: Vec<_> = self.names.drain().map(|(_, name)| name).collect();
        stuck.sort_unstable();
        stuck
    }

    fn name(&mut self, id: Id) -> &'static str {
        self.names.remove(&id).unwrap_or("unknown")
    }
}

/// Once closing has begun, an end without an error is what was asked for.
pub(crate) fn failure_at_the_end(end: CriticalEnd) -> Option<Failure> {
    let CriticalEnd { name, outcome } = end;
    outcome.err().map(|text| Failure { name, text })
}
