//! Repeats of an operation on a sandbox: the same request id gets the first outcome.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Core, Orchestrator, now};

/// How long an outcome is remembered.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// At most so many outcomes of one operation; the oldest goes.
const MOST: usize = 1024;

type Answer<T> = watch::Receiver<Option<T>>;

/// The outcomes of one operation, by sandbox and request id.
#[derive(Debug)]
pub(super) struct Repeats<T>(HashMap<(String, String), (Instant, Answer<T>)>);

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Repeats<T> {
    fn find(&self, key: &(String, String), now: Instant) -> Option<Answer<T>> {
        let (at, answer) = self.0.get(key)?;
        (now.saturating_duration_since(*at) < KEPT).then(|| answer.clone())
    }

    fn note(&mut self, key: (String, String), answer: Answer<T>, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (at, _)| now.saturating_duration_since(*at) < KEPT);
        }
        if self.0.len() >= MOST
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, (at, _))| *at).map(|(k, _)| k.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(key, (now, answer));
    }
}

/// An operation that may be asked for again.
pub(super) struct Once<'a, T> {
    /// On which sandbox.
    pub(super) id: &'a str,
    /// What names the attempt; without it nothing is remembered.
    pub(super) request: Option<&'a str>,
    /// Where its outcomes are.
    pub(super) among: fn(&mut Core) -> &mut Repeats<T>,
    /// Whether an outcome is one to be given again: a refusal changed nothing, and the next attempt
    /// is a first one.
    pub(super) lasts: fn(&T) -> bool,
    /// What is said if the node ends before it does.
    pub(super) cut: fn() -> T,
}

impl Orchestrator {
    /// Does `work`, or waits for the one that was begun with the same words.
    pub(super) async fn once<T: Clone + Send + Sync + 'static>(
        &self,
        once: Once<'_, T>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let Once { id, request, among, lasts, cut } = once;
        let Some(request) = request else { return work.await };
        let key = (id.to_owned(), request.to_owned());
        let mut answer = {
            let mut core = self.shared.lock();
            let now = now().instant;
            match among(&mut core).find(&key, now) {
                Some(answer) => answer,
                None => {
                    let (sender, answer) = watch::channel(None);
                    among(&mut core).note(key.clone(), answer.clone(), now);
                    let shared = std::sync::Arc::clone(&self.shared);
                    // It goes on when whoever asked leaves: a repeat may come for its outcome.
                    self.shared.tasks.spawn(async move {
                        let outcome = tokio::select! {
                            () = shared.abandon.cancelled() => cut(),
                            outcome = work => outcome,
                        };
                        if !lasts(&outcome) {
                            among(&mut shared.lock()).0.remove(&key);
                        }
                        sender.send_replace(Some(outcome));
                    });
                    answer
                }
            }
        };
        match answer.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(cut),
            Err(_) => cut(),
        }
    }
}
