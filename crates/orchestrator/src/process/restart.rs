//! A restart that somebody asked for: a new browser, or the old one again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::launch::{Browser, Home};
use super::supervise::{State, Supervisor};
use crate::driver::{DriverEvent, RestartChange, RestartError, StartError};

/// How long a browser with new options may take to its first answer.
const COMES_UP: Duration = Duration::from_secs(15);

/// One restart on its way to the task that runs the instance.
#[derive(Debug)]
pub(crate) struct Restart {
    change: RestartChange,
    answer: oneshot::Sender<Result<u64, RestartError>>,
}

/// The place of the one restart that an instance may have.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<Busy>,
    asked: Notify,
}

#[derive(Debug, Default)]
enum Busy {
    #[default]
    Free,
    Asked(Restart),
    UnderWay,
    /// Nobody will do one any more.
    Closed,
}

impl Desk {
    /// Asks for a restart and waits for what becomes of it.
    ///
    /// # Errors
    /// See [`RestartError`].
    ///
    /// # Cancel safety
    /// The restart goes on when the future is dropped.
    pub(crate) async fn ask(&self, change: RestartChange) -> Result<u64, RestartError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.lock();
            match *state {
                Busy::Free => *state = Busy::Asked(Restart { change, answer }),
                Busy::Asked(_) | Busy::UnderWay => return Err(RestartError::Busy),
                Busy::Closed => return Err(RestartError::Gone),
            }
        }
        self.asked.notify_one();
        answered.await.unwrap_or(Err(RestartError::Gone))
    }

    /// Waits for one that is asked for.
    ///
    /// # Cancel safety
    /// Leaves what is asked for in its place when dropped.
    pub(crate) async fn next(&self) -> Restart {
        loop {
            if let Some(restart) = self.take() {
                return restart;
            }
            self.asked.notified().await;
        }
    }

    fn take(&self) -> Option<Restart> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, Busy::UnderWay) {
            Busy::Asked(restart) => Some(restart),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The restart is over: the next one may come.
    fn done(&self) {
        let mut state = self.lock();
        if matches!(*state, Busy::UnderWay) {
            *state = Busy::Free;
        }
    }

    /// Nobody will restart anything any more; refuses one that nobody has taken.
    pub(crate) fn close(&self) {
        *self.lock() = Busy::Closed;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Busy> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervisor {
    /// Stops the browser that runs, after saying why, and starts the one that was asked for.
    pub(crate) async fn restart(
        &mut self,
        home: &Home,
        browser: Browser,
        restart: Restart,
    ) -> State {
        // First of all, so that no session takes the end for a crash.
        self.outbox.push(DriverEvent::RestartRequested { generation: self.generation() });
        self.stop_browser(home, browser, Some(Duration::ZERO)).await;
        self.start_as_asked(home, restart).await
    }

    /// Starts the browser that was asked for in place of one that has ended, or that one again.
    pub(crate) async fn start_as_asked(&mut self, home: &Home, restart: Restart) -> State {
        let Restart { change, answer } = restart;
        let old_flags = self.spec.flags.clone();
        let old_limit = self.spec.start_timeout;
        self.spec.flags = change.flags.unwrap_or_else(|| old_flags.clone());
        self.spec.start_timeout = old_limit.min(COMES_UP);
        let first = self.launch(home, std::future::pending()).await;
        self.spec.start_timeout = old_limit;
        let (next, outcome) = match first {
            Ok(browser) => (State::Running(browser), Ok(self.generation())),
            Err(failed) if failed.error == StartError::Cancelled => {
                (self.handle_end(failed.cause, true, failed.uptime), Err(RestartError::Gone))
            }
            Err(failed) => {
                self.spec.flags = old_flags;
                self.push_exit(failed.cause, false, failed.uptime, Some(Duration::ZERO));
                let why = failed.error.to_string();
                match self.launch(home, std::future::pending()).await {
                    Ok(browser) => {
                        let generation = self.generation();
                        let restored = RestartError::Restored { why, generation };
                        (State::Running(browser), Err(restored))
                    }
                    Err(failed) => {
                        let again = failed.error.to_string();
                        let ended = failed.error == StartError::Cancelled;
                        let next = self.handle_end(failed.cause, ended, failed.uptime);
                        let error = match ended {
                            true => RestartError::Gone,
                            false => RestartError::Down { why, again },
                        };
                        (next, Err(error))
                    }
                }
            }
        };
        self.instance.desk.done();
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_restart_at_a_time_and_the_next_after_it() {
        let desk = Desk::default();
        let mut first = Box::pin(desk.ask(RestartChange::default()));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert_eq!(desk.ask(RestartChange::default()).await, Err(RestartError::Busy), "asked");
        let restart = desk.next().await;
        assert_eq!(desk.ask(RestartChange::default()).await, Err(RestartError::Busy), "under way");
        desk.done();
        restart.answer.send(Ok(2)).unwrap();
        assert_eq!(first.await, Ok(2));
        let mut second = Box::pin(desk.ask(RestartChange::default()));
        assert!(futures_util::poll!(&mut second).is_pending());
        desk.close();
        assert_eq!(second.await, Err(RestartError::Gone), "nobody takes it any more");
        assert_eq!(desk.ask(RestartChange::default()).await, Err(RestartError::Gone));
    }
}
