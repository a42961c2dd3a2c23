//! Looking after sessions: their listeners, stops, and the end of those that nobody uses.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use eventlog::micros;
use telemetry::events::SessionStopped;

use super::{Held, Sessions, SessionsError};
use crate::SessionKey;
use crate::session::OnStop;

impl Sessions {
    /// Starts the listeners of all sessions, and looks after them until it is dropped.
    ///
    /// # Cancel safety
    /// Listeners stay as they are.
    pub async fn run(&self) {
        // A process may have ended between the end of a run and the stop that follows from it.
        let all: Vec<_> = self.table().values().cloned().collect();
        for held in all.iter().filter(|held| held.has_unanswered_run()) {
            self.run_finished(held).await;
        }
        let all: Vec<_> =
            self.table().values().filter(|held| !held.is_stopped()).cloned().collect();
        let setups =
            all.iter().filter_map(|held| Some((held.session.key().clone(), self.setup(held)?)));
        let start = self.registry.start_all(setups.collect());
        let stop = async {
            loop {
                self.finished.notified().await;
                let all: Vec<_> = self.table().values().cloned().collect();
                for held in all.iter().filter(|held| held.session.take_finished()) {
                    self.run_finished(held).await;
                }
            }
        };
        let keep = async {
            start.await;
            self.registry.run().await;
        };
        let tidy = async {
            loop {
                tokio::time::sleep(self.options.registry.sweep_every).await;
                self.delete_idle(SystemTime::now()).await;
            }
        };
        // None of them ends.
        tokio::select! {
            () = keep => {}
            () = stop => {}
            () = tidy => {}
        }
    }

    /// Deletes sessions that were neither used nor changed for [`Options::idle`](super::Options),
    /// with their logs. Gives how many.
    ///
    /// # Cancel safety
    /// Those that it has deleted are gone.
    pub async fn delete_idle(&self, now: SystemTime) -> usize {
        let idle = i64::try_from(self.options.idle.as_millis()).unwrap_or(i64::MAX);
        let before = (micros(now) / 1_000).saturating_sub(idle);
        let all: Vec<_> = self.table().values().cloned().collect();
        let mut deleted = 0;
        for held in all.iter().filter(|held| held.is_idle_since(before)) {
            let key = held.session.key();
            match self.delete_for(key, false, "idle").await {
                Ok(true) => {
                    tracing::info!(session.id = ?key, "a session that nobody used was deleted");
                    deleted += 1;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %error, session.id = ?key, "an idle session stays");
                }
            }
        }
        deleted
    }

    /// A run has finished: its session stops if it was told to.
    async fn run_finished(&self, held: &Held) {
        let key = held.session.key();
        if !held.settings().settings().stop_on_run_finished || held.is_stopped() {
            return;
        }
        let noted = held.session.note("stop", Bytes::from_static(b"{\"cause\":\"run_finished\"}"));
        let kept = async {
            noted.await.map_err(|_| SessionsError::Draining)?;
            self.rest(held).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(error = %error, session.id = ?key, "the stop of a session was not kept");
        }
        held.stopped.store(true, Ordering::Relaxed);
        let teller = held.session.teller();
        teller.publish(SessionStopped { session: teller.session.clone() });
        self.registry.cancel(key).await;
        if let Some(OnStop(heard)) = &self.observe.stopped {
            heard(key);
        }
    }

    /// Stops a session whose runner is away for a while: nobody listens to it until the next put.
    /// False if there is none.
    ///
    /// # Errors
    /// It could not be kept that it has stopped; it has until the process ends.
    ///
    /// # Cancel safety
    /// The session has stopped or has not, and can be stopped again.
    pub async fn stop(&self, key: &SessionKey) -> Result<bool, SessionsError> {
        let Some(held) = self.find(key) else { return Ok(false) };
        held.stopped.store(true, Ordering::Relaxed);
        self.registry.cancel(key).await;
        self.rest(&held).await.map(|()| true)
    }

    async fn rest(&self, held: &Held) -> Result<(), SessionsError> {
        let _one = self.changes.lock().await;
        self.keep(held.session.key(), Some(held.settings().settings()), true).await
    }
}
