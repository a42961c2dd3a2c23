//! Pure: the places of browsers that wait for a create.
//!
//! A member of the pool takes a place like every other incarnation, and a start slot while it is
//! being started. It has no sandbox until it is handed out.

use super::Sandbox;
use super::{AdmitRefusal, BrowserRecord, Change, IdleClock, Moment, NewSandbox, Record, Registry};
use crate::ids::{LifecycleId, SandboxId};
use crate::lifecycle::{Event, State};

impl<H: Clone> Registry<H> {
    /// Reserves a place and a start slot for a member, if nobody else wants them.
    pub fn reserve_member(&mut self, lifecycle: &LifecycleId) -> bool {
        let room = self.occupied() + self.replaced.len() < self.bounds.max_sandboxes;
        if !room || !self.queue.is_empty() || self.free_slots() == 0 {
            return false;
        }
        self.members.insert(lifecycle.clone(), true);
        self.tally.slots += 1;
        self.recount();
        true
    }

    /// The start of a member has ended, well or not: its slot goes to who waits for one.
    pub fn member_started(&mut self, lifecycle: &LifecycleId, now: Moment) -> Vec<Change<H>> {
        let member = self.members.get_mut(lifecycle);
        if let Some(slot) = member.or_else(|| self.replaced.get_mut(lifecycle))
            && std::mem::take(slot)
        {
            self.tally.slots -= 1;
        }
        let mut changes = Vec::new();
        self.grant(now, &mut changes);
        changes
    }

    /// Nothing of a member is left: its place is free.
    pub fn release_member(&mut self, lifecycle: &LifecycleId, now: Moment) -> Vec<Change<H>> {
        let mut changes = self.member_started(lifecycle, now);
        self.members.remove(lifecycle);
        if self.replaced.remove(lifecycle).is_some() {
            self.remains_ended();
            self.grant(now, &mut changes);
        }
        self.recount();
        changes
    }

    /// Whether every place is taken.
    pub fn is_full(&self) -> bool {
        self.occupied() >= self.bounds.max_sandboxes
    }

    /// The place of a member that was told to go is free at once, for somebody who is started only
    /// when nothing of the member is left.
    pub fn replace_member(&mut self, lifecycle: &LifecycleId) {
        if let Some((lifecycle, slot)) = self.members.remove_entry(lifecycle) {
            self.replaced.insert(lifecycle, slot);
            self.note_remains();
            self.recount();
        }
    }

    /// Whether a sandbox of that id may be made.
    ///
    /// # Errors
    /// [`AdmitRefusal::Exists`].
    pub fn id_is_free(&self, id: &SandboxId) -> Result<(), AdmitRefusal> {
        match self.sandboxes.get(id) {
            Some(taken) => Err(AdmitRefusal::Exists { id: id.clone(), state: taken.state.word() }),
            None => Ok(()),
        }
    }

    /// Makes the member `new.lifecycle` the browser of a sandbox that is ready at once. Its place
    /// stays the same one.
    ///
    /// # Errors
    /// [`AdmitRefusal::Exists`]; the member stays one.
    pub fn adopt(
        &mut self,
        new: NewSandbox,
        browser: BrowserRecord,
        handle: H,
        now: Moment,
    ) -> Result<Vec<Change<H>>, AdmitRefusal> {
        self.id_is_free(&new.id)?;
        let lifecycle = new.lifecycle.clone();
        self.members.remove(&lifecycle);
        self.tombs.forget(&new.id);
        self.occupy(&lifecycle, &new.id, false);
        let record = Record { started: Some(now), warm: true, browser, ..self.record(new, now) };
        let state = State::Starting;
        self.tally.by_state[state.word() as usize] += 1;
        let (idle, cleanup_errors) = (IdleClock::new(now.instant), Vec::new());
        let sandbox = Sandbox { record, state, cleanup_errors, handle, idle };
        self.sandboxes.insert(sandbox.record.id.clone(), sandbox);
        let mut changes = Vec::new();
        self.apply_one(&lifecycle, &Event::Ready, now, &mut changes);
        Ok(changes)
    }
}
