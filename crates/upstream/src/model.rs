//! Pure: every step from one state to the next. No clock, socket or task.

use std::time::Instant;

use crate::state::{Cause, Ended, Fact, Phase, UpstreamState};
use crate::url::WsUrl;

/// What readers see, and the little more that a step needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    state: UpstreamState,
    /// The newest address that was ever ready, and whose it was.
    last_url: Option<(u64, WsUrl)>,
    /// `last_end` as it was before the newest instance went down, for the case that the newest
    /// instance turns out to live.
    end_before: Option<Ended>,
}

/// What a fact did. The effects of a step are these: publish the new state, or count a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state has changed; readers were told.
    Published,
    /// The fact is true and already known.
    Unchanged,
    /// The state had moved on since the fact was observed, so the fact is about another state.
    Stale,
    /// No transition allows this fact in this phase.
    Refused(Refusal),
}

/// A step that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fact} is no step from {phase}")]
pub struct Refusal {
    /// [`Phase::kind`] at that time.
    pub phase: &'static str,
    /// [`Fact::kind`].
    pub fact: &'static str,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// Generation 0: nothing is known.
    pub const fn new() -> Self {
        Self { state: UpstreamState::unknown(), last_url: None, end_before: None }
    }

    /// What readers see.
    pub const fn state(&self) -> &UpstreamState {
        &self.state
    }

    /// The address of the newest instance, also while it is down. `None` if it was never ready.
    pub fn newest_url(&self) -> Option<&WsUrl> {
        self.last_url
            .as_ref()
            .filter(|(generation, _)| *generation == self.state.generation)
            .map(|(_, url)| url)
    }

    /// The newest address that was ever ready, whichever instance it belonged to.
    pub fn last_url(&self) -> Option<&WsUrl> {
        self.last_url.as_ref().map(|(_, url)| url)
    }

    fn starting(mut self) -> (Self, Applied) {
        self.state.generation += 1;
        self.state.phase = Phase::Starting;
        (self, Applied::Published)
    }

    /// The instance `generation` is ready at `url`.
    fn ready(mut self, generation: u64, url: WsUrl) -> (Self, Applied) {
        self.state.generation = generation;
        self.state.phase = Phase::Ready;
        self.state.url = Some(url.clone());
        self.last_url = Some((generation, url));
        self.end_before = self.state.last_end;
        (self, Applied::Published)
    }

    /// The newest instance lives after all, so it has not ended.
    fn same_again(mut self, url: WsUrl) -> (Self, Applied) {
        self.state.last_end = self.end_before;
        let generation = self.state.generation;
        self.ready(generation, url)
    }

    fn down(mut self, cause: Cause, now: Instant) -> (Self, Applied) {
        self.record_end(cause, now);
        self.state.url = None;
        self.state.phase = Phase::Down { since: now, cause };
        (self, Applied::Published)
    }

    fn gone(mut self, cause: Cause, now: Instant) -> (Self, Applied) {
        self.record_end(cause, now);
        self.state.url = None;
        self.state.phase = Phase::Gone { cause };
        (self, Applied::Published)
    }

    /// Remembers the end of the newest instance; the first report fixes the time.
    fn record_end(&mut self, cause: Cause, now: Instant) {
        let generation = self.state.generation;
        match &mut self.state.last_end {
            Some(end) if end.generation == generation => end.cause = end.cause.merged_with(cause),
            // Generation 0 is no instance, so nothing has ended.
            _ if generation == 0 => {}
            other => *other = Some(Ended { generation, cause, at: now }),
        }
    }

    /// A second report of the end that `Down` already tells.
    fn told_again(mut self, since: Instant, known: Cause, told: Cause) -> (Self, Applied) {
        let cause = known.merged_with(told);
        if cause == known {
            return (self, Applied::Unchanged);
        }
        self.record_end(cause, since);
        self.state.phase = Phase::Down { since, cause };
        (self, Applied::Published)
    }

    /// The end of an instance that is no longer the newest.
    fn late_end(mut self, generation: u64, cause: Cause, now: Instant) -> (Self, Applied) {
        let last = self.state.last_end;
        let updated = match last {
            Some(end) if end.generation > generation => return (self, Applied::Unchanged),
            Some(end) if end.generation == generation => {
                Ended { cause: end.cause.merged_with(cause), ..end }
            }
            Some(_) | None => Ended { generation, cause, at: now },
        };
        if last == Some(updated) {
            return (self, Applied::Unchanged);
        }
        self.state.last_end = Some(updated);
        self.end_before = Some(updated);
        (self, Applied::Published)
    }

    fn refuse(self, fact: &Fact) -> (Self, Applied) {
        let refusal = Refusal { phase: self.state.phase.kind(), fact: fact.kind() };
        (self, Applied::Refused(refusal))
    }
}

/// The one function that makes every transition.
///
/// `now` is used only where a new end is recorded. A refused step returns the model as it was.
pub fn step(model: Model, fact: Fact, now: Instant) -> (Model, Applied) {
    let generation = model.state.generation;
    // The end of a named instance is either the end of the newest one, or a late notice.
    let fact = match fact {
        Fact::EndedOf { generation: named, cause } if named == generation => Fact::Ended { cause },
        other => other,
    };
    match (model.state.phase, fact) {
        (Phase::Gone { .. }, fact @ Fact::EndedOf { .. }) => model.refuse(&fact),
        (
            Phase::Starting | Phase::Ready | Phase::Down { .. },
            Fact::EndedOf { generation: named, cause },
        ) => {
            if named == 0 || named > generation {
                model.refuse(&Fact::EndedOf { generation: named, cause })
            } else {
                model.late_end(named, cause, now)
            }
        }

        // Generation 0 stands for "nothing known", so the first instance is number 1.
        (Phase::Starting, Fact::Starting) if generation == 0 => model.starting(),
        (Phase::Starting, fact @ Fact::Starting) => model.refuse(&fact),
        (Phase::Starting, Fact::Ready { url }) => model.ready(generation.max(1), url),
        (Phase::Starting, Fact::RestartRequested) => model.down(Cause::RestartRequested, now),
        (Phase::Starting, Fact::Ended { cause }) => model.down(cause, now),
        (Phase::Starting, Fact::GaveUp { cause }) => model.gone(cause, now),
        (Phase::Starting, fact @ Fact::Alive) => model.refuse(&fact),

        (Phase::Ready, fact @ Fact::Starting) => model.refuse(&fact),
        (Phase::Ready, Fact::Ready { url }) => {
            if model.state.url.as_ref() == Some(&url) {
                (model, Applied::Unchanged)
            } else {
                model.ready(generation + 1, url)
            }
        }
        (Phase::Ready, Fact::RestartRequested) => model.down(Cause::RestartRequested, now),
        (Phase::Ready, Fact::Ended { cause }) => model.down(cause, now),
        (Phase::Ready, Fact::GaveUp { cause }) => model.gone(cause, now),
        (Phase::Ready, Fact::Alive) => (model, Applied::Unchanged),

        (Phase::Down { .. }, Fact::Starting) => model.starting(),
        (Phase::Down { cause, .. }, Fact::Ready { url }) => {
            // An end that was only guessed is taken back; one that somebody knows is not.
            if !cause.is_known() && model.newest_url() == Some(&url) {
                model.same_again(url)
            } else {
                model.ready(generation + 1, url)
            }
        }
        (Phase::Down { since, cause }, Fact::RestartRequested) => {
            model.told_again(since, cause, Cause::RestartRequested)
        }
        (Phase::Down { since, cause: known }, Fact::Ended { cause }) => {
            model.told_again(since, known, cause)
        }
        (Phase::Down { since, cause: known }, Fact::GaveUp { cause }) => {
            model.gone(final_cause(known, cause), since)
        }
        (Phase::Down { cause, .. }, fact @ Fact::Alive) => match model.newest_url().cloned() {
            Some(url) if !cause.is_known() => model.same_again(url),
            Some(_) | None => model.refuse(&fact),
        },

        (Phase::Gone { cause: known }, Fact::GaveUp { cause }) if known == cause => {
            (model, Applied::Unchanged)
        }
        (
            Phase::Gone { .. },
            fact @ (Fact::Starting
            | Fact::Ready { .. }
            | Fact::RestartRequested
            | Fact::Ended { .. }
            | Fact::GaveUp { .. }
            | Fact::Alive),
        ) => model.refuse(&fact),
    }
}

/// Why nobody goes on, when the instance was already down for the cause `known`.
const fn final_cause(known: Cause, told: Cause) -> Cause {
    match (known, told) {
        (known, Cause::UnknownExit) => known,
        // The exit that follows an ordered stop says nothing new.
        (
            Cause::RestartRequested,
            Cause::Exited { .. } | Cause::Signalled { .. } | Cause::OomKilled,
        ) => Cause::RestartRequested,
        (_, told) => told,
    }
}

#[cfg(test)]
mod tests;
