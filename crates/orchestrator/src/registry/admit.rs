//! Pure: who gets in, who waits, who is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockkeeper_api::SandboxState;

use super::{
    BrowserRecord, Change, IdleClock, Moment, Occupant, Policies, Record, Registry, Sandbox, Timer,
};
use crate::driver::Flavour;
use crate::ids::{ExecutionId, LifecycleId, SandboxId};
use crate::lifecycle::{Event, State};

/// A sandbox that asks to be admitted.
#[derive(Debug, Clone)]
pub struct NewSandbox {
    /// Its name.
    pub id: SandboxId,
    /// Its first incarnation.
    pub lifecycle: LifecycleId,
    /// Its execution.
    pub execution: ExecutionId,
    /// The template it is made from.
    pub template: Arc<str>,
    /// Its browser family.
    pub flavour: Flavour,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Time to live; zero = no limit.
    pub ttl: Duration,
    /// How long it may be unused; zero = for ever.
    pub idle: Duration,
    /// When it is parked and who brings it back.
    pub policies: Policies,
    /// How long its start may take.
    pub waits: Waits,
}

/// How long a start may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// How long it may wait for a start slot; zero = not at all.
    pub queue: Duration,
    /// How long it may take until it is ready, the queue included.
    pub ready: Duration,
}

/// How a sandbox got in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// With a start slot.
    Starting,
    /// It waits for one.
    Queued,
}

/// Why a sandbox was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitRefusal {
    /// The id is in use.
    #[error("a sandbox with the id `{id}` exists and is {state}; delete it first or take another id", state = state.as_str())]
    Exists {
        /// The id.
        id: SandboxId,
        /// Where that sandbox stands.
        state: SandboxState,
    },
    /// No capacity.
    #[error("all {max} places for sandboxes are taken; try again in {retry:?}, or another node")]
    Full {
        /// The limit.
        max: usize,
        /// When the next time to live ends, between 1 and 60 seconds.
        retry: Duration,
    },
    /// No start slot, and no place to wait for one.
    #[error(
        "{queued} creates already wait for a start slot; try again in {retry:?}, or another node"
    )]
    Busy {
        /// How many wait.
        queued: usize,
        /// A mean start times the queue, between 1 and 60 seconds.
        retry: Duration,
    },
}

/// The bounds of a hint to try again.
const HINT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a start is expected to take before one has been seen.
const FIRST_START: Duration = Duration::from_secs(1);

impl<H: Clone> Registry<H> {
    /// Reserves id, capacity and start slot in one step, or nothing. A sandbox that has to wait for
    /// its slot already has its place.
    ///
    /// # Errors
    /// See [`AdmitRefusal`].
    pub fn admit(
        &mut self,
        new: NewSandbox,
        handle: H,
        now: Moment,
    ) -> Result<Admission, AdmitRefusal> {
        let admission = self.may_admit(&new, now.instant)?;
        let slot = admission == Admission::Starting;
        self.tombs.forget(&new.id);
        self.occupy(&new.lifecycle, &new.id, slot);
        if slot {
            self.start_deadline(&new.lifecycle, new.waits, now);
        } else {
            self.queue_up(&new.lifecycle, new.waits, now);
        }
        let state = if slot { State::Starting } else { State::Requested };
        self.tally.by_state[state.word() as usize] += 1;
        let id = new.id.clone();
        let record = Record { started: slot.then_some(now), ..self.record(new, now) };
        let idle = IdleClock::new(now.instant);
        let cleanup_errors = Vec::new();
        self.sandboxes.insert(id, Sandbox { record, state, cleanup_errors, handle, idle });
        self.recount();
        Ok(admission)
    }

    /// The record of a sandbox that has just been admitted.
    pub(super) fn record(&mut self, new: NewSandbox, now: Moment) -> Record {
        let seq = self.next_seq;
        self.next_seq += 1;
        Record {
            seq,
            id: new.id,
            lifecycle: new.lifecycle,
            execution: new.execution,
            template: new.template,
            flavour: new.flavour,
            labels: new.labels,
            ttl: new.ttl,
            idle: new.idle,
            created: now,
            started: None,
            ready: None,
            expires: None,
            warm: false,
            policies: new.policies,
            profile: None,
            park: None,
            browser: BrowserRecord::default(),
        }
    }

    /// Takes a place, and a start slot if there is one for it.
    pub(super) fn occupy(&mut self, lifecycle: &LifecycleId, sandbox: &SandboxId, slot: bool) {
        let occupant = Occupant { sandbox: sandbox.clone(), slot, parked: false };
        self.lifecycles.insert(lifecycle.clone(), occupant);
        self.tally.slots += u64::from(slot);
    }

    /// Waits for a start slot behind those that came before.
    pub(super) fn queue_up(&mut self, lifecycle: &LifecycleId, waits: Waits, now: Moment) {
        self.queue.push_back(lifecycle.clone());
        if let Some(at) = now.instant.checked_add(waits.queue.min(waits.ready)) {
            self.timers.set(Timer::Queue(lifecycle.clone()), at);
        }
        self.start_deadline(lifecycle, waits, now);
    }

    fn start_deadline(&mut self, lifecycle: &LifecycleId, waits: Waits, now: Moment) {
        if let Some(at) = now.instant.checked_add(waits.ready) {
            self.timers.set(Timer::Start(lifecycle.clone()), at);
        }
    }

    /// What [`Self::admit`] would say now; changes nothing.
    ///
    /// # Errors
    /// See [`AdmitRefusal`].
    pub fn may_admit(&self, new: &NewSandbox, now: Instant) -> Result<Admission, AdmitRefusal> {
        self.id_is_free(&new.id)?;
        self.may_start(new.waits.queue, now)
    }

    /// Whether there is a place for one more incarnation, and a start slot or a place in the queue.
    ///
    /// # Errors
    /// [`AdmitRefusal::Full`] and [`AdmitRefusal::Busy`].
    pub fn may_start(&self, queue: Duration, now: Instant) -> Result<Admission, AdmitRefusal> {
        if self.occupied() >= self.bounds.max_sandboxes {
            let max = self.bounds.max_sandboxes;
            return Err(AdmitRefusal::Full { max, retry: self.full_hint(now) });
        }
        let slot = self.queue.is_empty() && self.free_slots() > 0 && self.room_to_start();
        if !slot && (queue.is_zero() || self.queue.len() >= self.bounds.queue_len) {
            let queued = self.queue.len();
            return Err(AdmitRefusal::Busy { queued, retry: self.busy_hint() });
        }
        Ok(if slot { Admission::Starting } else { Admission::Queued })
    }

    pub(super) fn free_slot(&mut self, lifecycle: &LifecycleId) {
        if let Some(occupant) = self.lifecycles.get_mut(lifecycle).filter(|o| o.slot) {
            occupant.slot = false;
            self.tally.slots -= 1;
        }
    }

    /// Gives free slots to those that wait, in the order in which they came.
    pub(super) fn grant(&mut self, now: Moment, changes: &mut Vec<Change<H>>) {
        while self.free_slots() > 0
            && self.room_to_start()
            && let Some(next) = self.queue.front().cloned()
        {
            if let Some(occupant) = self.lifecycles.get_mut(&next) {
                occupant.slot = true;
                self.tally.slots += 1;
            }
            self.apply_one(&next, &Event::SlotGranted, now, changes);
        }
    }

    pub(super) fn free_slots(&self) -> usize {
        self.bounds.start_slots.saturating_sub(self.tally.slots as usize)
    }

    /// Counts a start that has just become ready into the mean of the latest eight or so.
    pub(super) fn note_start_time(&mut self, lifecycle: &LifecycleId, now: Moment) {
        let cold = self.by_lifecycle(lifecycle).filter(|sandbox| !sandbox.record.warm);
        let Some(started) = cold.and_then(|sandbox| sandbox.record.started) else {
            return;
        };
        let took = now.instant.saturating_duration_since(started.instant);
        self.mean_start = Some(match self.mean_start {
            Some(mean) => (mean * 7 + took) / 8,
            None => took,
        });
    }

    fn full_hint(&self, now: Instant) -> Duration {
        // The end of a parked one frees no place.
        let places = self.sandboxes.values().filter(|s| s.record.park.is_none());
        let ends = places.filter_map(|sandbox| sandbox.record.expires).min();
        ends.map_or(HINT.1, |at| at.saturating_duration_since(now)).clamp(HINT.0, HINT.1)
    }

    /// When a slot may be free: also the hint of a create that waited in vain.
    pub fn busy_hint(&self) -> Duration {
        let waiting = u32::try_from(self.queue.len() + 1).unwrap_or(u32::MAX);
        let slots = u32::try_from(self.bounds.start_slots.max(1)).unwrap_or(u32::MAX);
        let mean = self.mean_start.unwrap_or(FIRST_START);
        mean.saturating_mul(waiting).checked_div(slots).unwrap_or(HINT.1).clamp(HINT.0, HINT.1)
    }
}
