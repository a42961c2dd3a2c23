//! Pure: what an event or a deadline does to the indices.

use std::time::Instant;

use lockkeeper_api::{ExpirePolicy, SandboxState};

use super::{Change, Due, IdleClock, Moment, Registry, Sandbox, Timer, Tombstone};
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State, Step};

impl<H: Clone> Registry<H> {
    /// Tells an incarnation that something happened, and says what changed: first itself, then those
    /// that got its start slot. A late event of an incarnation that is no more changes nothing.
    pub fn apply(&mut self, lifecycle: &LifecycleId, event: &Event, now: Moment) -> Vec<Change<H>> {
        let mut changes = Vec::new();
        self.apply_one(lifecycle, event, now, &mut changes);
        self.grant(now, &mut changes);
        changes
    }

    pub(super) fn apply_one(
        &mut self,
        lifecycle: &LifecycleId,
        event: &Event,
        now: Moment,
        changes: &mut Vec<Change<H>>,
    ) {
        let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else { return };
        let Step::To(next) = sandbox.state.step(event) else { return };
        let from = std::mem::replace(&mut sandbox.state, next.clone());
        match &next {
            State::Starting | State::Resuming { queued: false } => {
                sandbox.record.started = Some(now);
            }
            State::Running if sandbox.record.ready.is_none() => sandbox.record.ready = Some(now),
            State::Running
            | State::Requested
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Paused { .. }
            | State::Resuming { queued: true }
            | State::Stopping(_)
            | State::Stopped(_) => {}
        }
        self.tally.by_state[from.word() as usize] -= 1;
        self.tally.by_state[next.word() as usize] += 1;
        self.leave(lifecycle, &from, &next, now);
        self.arrive(lifecycle, &next, now);
        // Read after both: the record now has its deadlines.
        if let Some(sandbox) = self.by_lifecycle(lifecycle) {
            let (record, handle) = (sandbox.record.clone(), sandbox.handle.clone());
            let (to, cause) = (next.clone(), event.clone());
            changes.push(Change { record, from, to, cause, handle });
        }
        if let State::Stopped(_) = next {
            self.bury(lifecycle, now);
        }
        self.recount();
    }

    fn leave(&mut self, lifecycle: &LifecycleId, from: &State, to: &State, now: Moment) {
        match from {
            State::Requested => self.leave_queue(lifecycle),
            State::Resuming { queued: true } => {
                self.leave_queue(lifecycle);
                if !matches!(to, State::Resuming { .. }) {
                    self.timers.clear(&Timer::Start(lifecycle.clone()));
                }
            }
            State::Starting | State::Resuming { queued: false } => {
                self.timers.clear(&Timer::Start(lifecycle.clone()));
                if *to == State::Running {
                    self.note_start_time(lifecycle, now);
                    self.free_slot(lifecycle);
                }
            }
            State::Running => {
                self.timers.clear(&Timer::Ttl(lifecycle.clone()));
                self.timers.clear(&Timer::Idle(lifecycle.clone()));
                let occupant = self.lifecycles.get(lifecycle);
                if let Some(id) = occupant.map(|occupant| occupant.sandbox.clone()) {
                    self.live.remove(&id);
                }
            }
            State::Paused { .. } => self.timers.clear(&Timer::Ttl(lifecycle.clone())),
            State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Stopping(_)
            | State::Stopped(_) => {}
        }
    }

    fn leave_queue(&mut self, lifecycle: &LifecycleId) {
        self.queue.retain(|waiting| waiting != lifecycle);
        self.timers.clear(&Timer::Queue(lifecycle.clone()));
    }

    pub(super) fn arrive(&mut self, lifecycle: &LifecycleId, to: &State, now: Moment) {
        match to {
            State::Running => {
                let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else { return };
                let id = sandbox.record.id.clone();
                sandbox.idle = IdleClock::new(now.instant);
                sandbox.record.park = None;
                let ready = sandbox.record.ready.unwrap_or(now).instant;
                if sandbox.record.expires.is_none() && !sandbox.record.ttl.is_zero() {
                    sandbox.record.expires = ready.checked_add(sandbox.record.ttl);
                }
                let expires = sandbox.record.expires;
                let idle = sandbox.idle.next_check(sandbox.record.idle);
                self.live.insert(id, lifecycle.clone());
                if let Some(at) = expires {
                    self.timers.set(Timer::Ttl(lifecycle.clone()), at);
                }
                if let Some(at) = idle {
                    self.timers.set(Timer::Idle(lifecycle.clone()), at);
                }
            }
            State::Paused { .. } => {
                let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else { return };
                // Its time to live counts anew from when it is ready again.
                sandbox.record.ready = None;
                let until = sandbox.record.park.and_then(|park| park.until);
                let left = until.map(|at| at.duration_since(now.wall).unwrap_or_default());
                let ends = left.and_then(|left| now.instant.checked_add(left));
                sandbox.record.expires = ends;
                if let Some(at) = ends {
                    self.timers.set(Timer::Ttl(lifecycle.clone()), at);
                }
            }
            State::Starting
            | State::Requested
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Resuming { .. }
            | State::Stopping(_)
            | State::Stopped(_) => {}
        }
    }

    /// Takes an ended sandbox out of every index and remembers it.
    fn bury(&mut self, lifecycle: &LifecycleId, now: Moment) {
        self.free_slot(lifecycle);
        self.timers.clear(&Timer::Start(lifecycle.clone()));
        let Some(occupant) = self.lifecycles.remove(lifecycle) else { return };
        self.parked -= usize::from(occupant.parked);
        let Some(sandbox) = self.sandboxes.remove(&occupant.sandbox) else { return };
        self.tally.by_state[SandboxState::Stopped as usize] -= 1;
        if let State::Stopped(stop) = sandbox.state {
            let Sandbox { record, cleanup_errors, .. } = sandbox;
            self.tombs.insert(Tombstone { record, stop, at: now, cleanup_errors });
            if let Some(at) = self.tombs.expire(now.instant) {
                self.timers.set(Timer::Tombs, at);
            }
        }
    }

    /// Ends a sandbox whose time is over, or says that it is to be parked.
    pub(super) fn expired(&mut self, lifecycle: LifecycleId, event: Event, now: Moment) -> Due<H> {
        match self.by_lifecycle(&lifecycle).map(|sandbox| sandbox.record.policies.on_expire) {
            Some(ExpirePolicy::Pause) => Due::Park(lifecycle, event),
            Some(ExpirePolicy::Stop) | None => Due::Changed(self.apply(&lifecycle, &event, now)),
        }
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Handles one deadline that has come; `None` when there is no more.
    pub fn pop_due(&mut self, now: Moment) -> Option<Due<H>> {
        Some(match self.timers.pop_due(now.instant)? {
            Timer::Queue(lifecycle) => {
                Due::Changed(self.apply(&lifecycle, &Event::QueueDeadline, now))
            }
            Timer::Start(lifecycle) => {
                let detail = "not ready within the time for a create".to_owned();
                Due::Changed(self.apply(&lifecycle, &Event::StartDeadline { detail }, now))
            }
            Timer::Ttl(lifecycle) => {
                let parked = self.by_lifecycle(&lifecycle).is_some_and(|s| s.record.park.is_some());
                if parked {
                    let detail = "it was parked for longer than it is kept".to_owned();
                    Due::Changed(self.apply(&lifecycle, &Event::PausedTtl { detail }, now))
                } else {
                    let detail = "its time to live has passed".to_owned();
                    self.expired(lifecycle, Event::Ttl { detail }, now)
                }
            }
            Timer::Idle(lifecycle) => match self.by_lifecycle(&lifecycle) {
                Some(sandbox) => {
                    let handle = sandbox.handle.clone();
                    Due::CheckIdle(lifecycle, handle)
                }
                None => Due::Changed(Vec::new()),
            },
            Timer::Tombs => {
                if let Some(at) = self.tombs.expire(now.instant) {
                    self.timers.set(Timer::Tombs, at);
                }
                Due::Changed(Vec::new())
            }
        })
    }
}
