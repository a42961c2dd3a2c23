//! What a client does with its browser, told while somebody wants to know: from the relay's tap to
//! a worker of the session, which begins with the first message that is wanted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use telemetry::commands::{self, CommandCounts, CommandTally, CommandTap, FLUSH};
use tokio::sync::oneshot;
use tokio::time::timeout;
use wsproxy::{Tap, TapMessage};

use crate::edge::Inner;

#[cfg(test)]
mod tests;

/// The worker of a session, if it ever needed one.
#[derive(Debug, Default)]
pub(crate) struct Commands(Mutex<Option<Worker>>);

#[derive(Debug)]
struct Worker {
    tally: CommandTally,
    /// Ends with the worker, whichever way that ends.
    ended: oneshot::Receiver<()>,
    /// Dropping it ends the worker.
    _wanted: oneshot::Sender<()>,
}

impl Commands {
    /// Waits until everything is told, at most [`FLUSH`], and gives the counts. The tap has to be
    /// gone by then.
    pub(crate) async fn end(&self) -> CommandCounts {
        let worker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Worker { tally, ended, _wanted }) = worker else {
            return CommandCounts::default();
        };
        // Whether it has ended, failed or hangs: what waits for it counts as dropped.
        let _ = timeout(FLUSH, ended).await;
        tally.counts()
    }
}

/// The relay's end.
pub(crate) struct Watched {
    edge: Arc<Inner>,
    session: Of,
    commands: Arc<Commands>,
    tap: Option<CommandTap>,
}

/// Whose commands they are.
#[derive(Debug, Clone)]
pub(crate) struct Of {
    pub(crate) sandbox: Arc<str>,
    pub(crate) connection_id: Arc<str>,
    pub(crate) generation: u64,
}

impl Watched {
    pub(crate) fn new(edge: Arc<Inner>, session: Of, commands: Arc<Commands>) -> Self {
        Self { edge, session, commands, tap: None }
    }

    /// The tap, and with the first call its worker.
    fn tap(&mut self) -> &mut CommandTap {
        let Self { edge, session, commands, tap } = self;
        tap.get_or_insert_with(|| {
            let session = commands::Session {
                sandbox: Some((&session.sandbox).into()),
                connection_id: (&session.connection_id).into(),
                generation: session.generation,
            };
            let (tap, worker) = edge.reports.commands(session, &edge.command_room);
            let (done, ended) = oneshot::channel();
            let (wanted, mut unwanted) = oneshot::channel::<()>();
            let begun = Worker { tally: tap.tally(), ended, _wanted: wanted };
            *commands.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
            edge.own(async move {
                tokio::select! {
                    biased;
                    _ = &mut unwanted => {}
                    _ = worker.run() => {}
                }
                drop(done);
            });
            tap
        })
    }
}

impl Tap for Watched {
    fn is_armed(&self) -> bool {
        self.edge.reports.wants_commands()
    }

    fn reserve(&mut self, bytes: usize) -> usize {
        self.tap().reserve(bytes)
    }

    fn offer(&mut self, message: TapMessage) {
        self.tap().offer(message.head, message.len);
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("session", &self.session).finish_non_exhaustive()
    }
}
