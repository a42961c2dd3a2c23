//! Pure: sandboxes that have no process, and those that get another one.

use std::time::{Duration, SystemTime};

use lockkeeper_api::{DrainPolicy, ExpirePolicy};
use serde::{Deserialize, Serialize};

use super::admit::Waits;
use super::{AdmitRefusal, Change, IdleClock, Moment, Record, Registry, Sandbox, Timer, Tombstone};
use crate::driver::ProfileId;
use crate::ids::LifecycleId;
use crate::lifecycle::{Event, State, Stop};

/// When a sandbox is parked instead of ended, and who brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policies {
    /// What follows when its time to live or idle time is over.
    pub on_expire: ExpirePolicy,
    /// What follows when the node shuts down.
    pub on_drain: DrainPolicy,
    /// Whether a client that connects brings it back.
    pub auto_resume: bool,
}

impl Default for Policies {
    fn default() -> Self {
        let (on_expire, on_drain) = (ExpirePolicy::default(), DrainPolicy::default());
        Self { on_expire, on_drain, auto_resume: true }
    }
}

/// Its browser was closed cleanly, and no other one is ready yet.
#[derive(Debug, Clone, Copy)]
pub struct Park {
    /// Since when.
    pub at: Moment,
    /// Until when it is kept, on the clock that survives the daemon; `None` = for ever.
    pub until: Option<SystemTime>,
    /// Whether its profile is known to be durable.
    pub saved: bool,
}

impl<H: Clone> Sandbox<H> {
    /// Whether anything of it is left but a profile.
    pub fn occupies(&self, registry: &Registry<H>) -> bool {
        match self.state {
            State::Paused { .. } => {
                registry.lifecycles.get(&self.record.lifecycle).is_some_and(|o| !o.parked)
            }
            State::Requested
            | State::Starting
            | State::Running
            | State::Pausing { .. }
            | State::Checkpointing { .. }
            | State::Resuming { .. }
            | State::Stopping(_)
            | State::Stopped(_) => true,
        }
    }
}

impl<H: Clone> Registry<H> {
    /// The browser of this incarnation was closed cleanly: from here on its profile, and with it the
    /// sandbox, can outlive the daemon.
    pub fn note_closed(
        &mut self,
        lifecycle: &LifecycleId,
        profile: &ProfileId,
        keep: Duration,
        now: Moment,
    ) {
        let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else { return };
        let until = if keep.is_zero() { None } else { now.wall.checked_add(keep) };
        sandbox.record.profile = Some(profile.clone());
        sandbox.record.park = Some(Park { at: now, until, saved: false });
    }

    /// The sandbox runs, or will, on a kept profile.
    pub fn note_profile(&mut self, lifecycle: &LifecycleId, profile: Option<ProfileId>) {
        if let Some(sandbox) = self.by_lifecycle_mut(lifecycle) {
            sandbox.record.profile = profile;
        }
    }

    /// Its profile is durable, or it is not worth keeping.
    pub fn note_saved(&mut self, lifecycle: &LifecycleId, saved: bool) {
        let Some(sandbox) = self.by_lifecycle_mut(lifecycle) else { return };
        match (&mut sandbox.record.park, saved) {
            (Some(park), true) => park.saved = true,
            (park, false) => *park = None,
            (None, true) => {}
        }
    }

    /// A sandbox that an earlier daemon had parked. Takes no place.
    pub fn restore(&mut self, record: Record, handle: H, now: Moment) {
        let saved = record.park.is_some_and(|park| park.saved);
        let state = State::Paused { save_pending: !saved };
        let (id, lifecycle) = (record.id.clone(), record.lifecycle.clone());
        self.occupy(&lifecycle, &id, false);
        self.tally.by_state[state.word() as usize] += 1;
        let record = Record { seq: self.next_seq, ..record };
        self.next_seq += 1;
        let (idle, cleanup_errors) = (IdleClock::new(now.instant), Vec::new());
        let sandbox = Sandbox { record, state: state.clone(), cleanup_errors, handle, idle };
        self.sandboxes.insert(id, sandbox);
        self.released(&lifecycle);
        self.arrive(&lifecycle, &state, now);
        self.recount();
    }

    /// Remembers a sandbox that an earlier daemon had and that has ended.
    pub fn remember(&mut self, record: Record, stop: Stop, now: Moment) {
        let tomb = Tombstone { record, stop, at: now, cleanup_errors: Vec::new() };
        self.tombs.insert(tomb);
        if let Some(at) = self.tombs.expire(now.instant) {
            self.timers.set(Timer::Tombs, at);
        }
    }

    /// Brings a parked sandbox back as the incarnation `next`: place and start slot in one step, or
    /// nothing. Without a free slot it waits for one as a create does.
    ///
    /// # Errors
    /// [`AdmitRefusal::Full`] and [`AdmitRefusal::Busy`].
    pub fn reenter(
        &mut self,
        id: &str,
        next: &LifecycleId,
        handle: H,
        waits: Waits,
        now: Moment,
    ) -> Result<Vec<Change<H>>, AdmitRefusal> {
        self.may_start(waits.queue, now.instant)?;
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return Ok(Vec::new()) };
        let last = std::mem::replace(&mut sandbox.record.lifecycle, next.clone());
        sandbox.handle = handle;
        sandbox.record.expires = None;
        let id = sandbox.record.id.clone();
        self.timers.clear(&Timer::Ttl(last.clone()));
        self.vacate_parked(&last);
        self.occupy(next, &id, false);
        self.queue_up(next, waits, now);
        let mut changes = Vec::new();
        self.apply_one(next, &Event::Resume, now, &mut changes);
        self.grant(now, &mut changes);
        Ok(changes)
    }

    /// The sandbox of `last`, whose processes are dead, goes on as the incarnation `next` in the same
    /// state and in the same place.
    pub fn renew(&mut self, last: &LifecycleId, next: &LifecycleId, handle: H) -> bool {
        let Some(sandbox) = self.by_lifecycle_mut(last) else { return false };
        sandbox.record.lifecycle = next.clone();
        sandbox.handle = handle;
        if let Some(occupant) = self.lifecycles.remove(last) {
            self.lifecycles.insert(next.clone(), occupant);
        }
        self.recount();
        true
    }

    /// Takes a start slot for the browser that will follow the present one of a running sandbox, in
    /// the same place. False if none is free or others wait for one.
    pub fn take_slot(&mut self, lifecycle: &LifecycleId) -> bool {
        let running = self.by_lifecycle(lifecycle).is_some_and(|s| s.state == State::Running);
        if !running || !self.queue.is_empty() || self.free_slots() == 0 {
            return false;
        }
        match self.lifecycles.get_mut(lifecycle).filter(|occupant| !occupant.slot) {
            Some(occupant) => {
                occupant.slot = true;
                self.tally.slots += 1;
                true
            }
            None => false,
        }
    }

    /// Files of an incarnation are left, though its sandbox goes on as another one.
    pub fn note_remains(&mut self) {
        self.tally.remains += 1;
    }

    /// They are gone, or given up.
    pub fn remains_ended(&mut self) {
        self.tally.remains -= 1;
    }

    /// Parked sandboxes whose save was cut short by a forced stop and goes on.
    pub fn saves_pending(&self) -> u64 {
        let pending = |sandbox: &&Sandbox<H>| {
            sandbox.state == State::Paused { save_pending: true } && sandbox.occupies(self)
        };
        self.sandboxes.values().filter(pending).count() as u64
    }

    /// Nothing of this incarnation is left. If it is the present one, its sandbox is parked: it keeps
    /// the name of its last incarnation, but no place.
    pub fn released(&mut self, lifecycle: &LifecycleId) {
        self.free_slot(lifecycle);
        let present = self.by_lifecycle(lifecycle).is_some();
        match self.lifecycles.get_mut(lifecycle) {
            Some(occupant) if present => {
                self.parked += usize::from(!std::mem::replace(&mut occupant.parked, true));
            }
            Some(_) => {
                self.lifecycles.remove(lifecycle);
            }
            None => {}
        }
        self.recount();
    }

    /// Forgets the name of a parked sandbox's last incarnation.
    pub(super) fn vacate_parked(&mut self, lifecycle: &LifecycleId) {
        if self.lifecycles.get(lifecycle).is_some_and(|occupant| occupant.parked) {
            self.lifecycles.remove(lifecycle);
            self.parked -= 1;
        }
    }
}
