//! Records: what of a change goes to disk, and what an earlier daemon left there.

use std::collections::HashSet;
use std::sync::Arc;

use telemetry::words::StopReason;
use upstream::Publisher;

use super::handles::Handles;
use super::task::{Incarnation, Life};
use super::{Shared, events, now};
use crate::driver::{OnExit, ProfileId, ReclaimError, ReclaimReport};
use crate::ids::LifecycleId;
use crate::lifecycle::{State, Stop};
use crate::records::{StoredRecord, Ticket};
use crate::registry::{Change, Moment, Record, Sandbox};

impl Shared {
    /// Puts a change on its way to disk. The caller holds the lock.
    pub(super) fn record(&self, change: &Change<Arc<Handles>>) {
        let gone = matches!(change.to, State::Stopped(_));
        if self.records.kept() {
            let bytes = (!gone).then(|| {
                let launch = &change.handle.launch();
                StoredRecord::of(&change.record, &change.to, launch, now()).to_json()
            });
            self.records.put(&change.record.id, bytes);
        }
    }

    /// Puts a sandbox as it is on its way to disk. The caller holds the lock.
    pub(super) fn record_of(&self, sandbox: &Sandbox<Arc<Handles>>) -> Ticket {
        let stored =
            StoredRecord::of(&sandbox.record, &sandbox.state, &sandbox.handle.launch(), now());
        self.records.put(&sandbox.record.id, Some(stored.to_json()))
    }

    /// Waits until the present record of this incarnation's sandbox is on disk.
    ///
    /// # Errors
    /// One line for a person.
    pub(super) async fn durable(&self, lifecycle: &LifecycleId) -> Result<(), String> {
        if !self.records.kept() {
            return Ok(());
        }
        let ticket = {
            let core = self.lock();
            core.registry.by_lifecycle(lifecycle).map(|sandbox| self.record_of(sandbox))
        };
        match ticket {
            Some(ticket) => self.records.durable(&ticket).await.map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }

    /// The same for a sandbox that is about to run: from then on its browser's end is its own, and
    /// it is no longer parked.
    pub(super) async fn durable_as_running(&self, lifecycle: &LifecycleId) -> Result<(), String> {
        if !self.records.kept() {
            return Ok(());
        }
        let ticket = {
            let core = self.lock();
            core.registry.by_lifecycle(lifecycle).map(|sandbox| {
                let record = Record { park: None, ..sandbox.record.clone() };
                let launch = &sandbox.handle.launch();
                let stored = StoredRecord::of(&record, &State::Running, launch, now());
                self.records.put(&record.id, Some(stored.to_json()))
            })
        };
        match ticket {
            Some(ticket) => self.records.durable(&ticket).await.map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }

    /// Ends what an earlier daemon left running, and goes on with what it had parked.
    ///
    /// # Errors
    /// When any of it cannot be read; nothing was ended then, or everything that could be.
    pub(super) async fn take_over(self: &Arc<Self>) -> Result<ReclaimReport, ReclaimError> {
        let driver = Arc::clone(&self.driver);
        let stored = self.records.read().await.map_err(|e| ReclaimError(e.to_string()))?;
        let mut parked = Vec::new();
        let mut ended = Vec::new();
        for mut record in stored {
            match self.rescue(&mut record).await {
                true => parked.push(record),
                false => ended.push(record),
            }
        }
        let report = driver.reclaim().await?;
        let kept = driver.kept().await.map_err(|e| ReclaimError(e.to_string()))?;
        let known: HashSet<ProfileId> = kept.iter().cloned().collect();
        let mut in_use = HashSet::new();
        for record in parked {
            match record.profile.as_deref().map(ProfileId::new) {
                Some(profile) if known.contains(&profile) => {
                    in_use.insert(profile);
                    self.restore(&record)?;
                }
                Some(_) | None => ended.push(record),
            }
        }
        let told: HashSet<&str> = ended.iter().map(|record| record.lifecycle.as_str()).collect();
        for lifecycle in report.ended.iter().filter(|id| !told.contains(id.as_str())) {
            // A member of a pool, or the last remains of a sandbox that is parked.
            events::node_restart(&self.telemetry, None, lifecycle, None);
        }
        for profile in kept.into_iter().filter(|profile| !in_use.contains(profile)) {
            if let Err(error) = driver.forget(profile.clone()).await {
                // The next start tries again.
                tracing::error!(%profile, %error, "a profile that nobody needs is still there");
            }
        }
        for record in &ended {
            self.bury_old(record)?;
        }
        Ok(report)
    }

    /// Whether a sandbox of an earlier daemon is parked: its browser was closed cleanly and its
    /// profile is kept. A save that was cut short is finished.
    async fn rescue(&self, stored: &mut StoredRecord) -> bool {
        let (Some(park), Some(profile), None) =
            (&mut stored.park, &stored.profile, &stored.stop_reason)
        else {
            return false;
        };
        if park.saved {
            return true;
        }
        let lifecycle = LifecycleId::new(stored.lifecycle.as_str());
        match self.driver.save(lifecycle, ProfileId::new(profile.as_str())).await {
            Ok(_) => park.saved = true,
            Err(error) => {
                tracing::error!(sandbox.id = stored.id, %error, "a cut save could not be finished");
            }
        }
        // Whether there is a profile at all is seen later.
        true
    }

    fn restore(self: &Arc<Self>, stored: &StoredRecord) -> Result<(), ReclaimError> {
        let now = now();
        let record = stored.record(now).map_err(ReclaimError)?;
        let publisher = Publisher::new(stored.launch.on_crash() == OnExit::Relaunch);
        let state = State::Paused { save_pending: !record.park.is_some_and(|park| park.saved) };
        let handles = Arc::new(Handles::new(
            record.id.clone(),
            record.lifecycle.clone(),
            state,
            publisher.upstream(),
            stored.launch.clone(),
            self.metrics.as_ref(),
        ));
        // Nothing gets in before it is resumed, and that is another incarnation.
        handles.part_sessions();
        let mut core = self.lock();
        core.registry.restore(record, Arc::clone(&handles), now);
        if let Some(sandbox) = core.registry.by_lifecycle(&handles.lifecycle) {
            self.record_of(sandbox);
        }
        self.journal_present(&mut core, &handles.lifecycle);
        self.settled(&mut core);
        drop(core);
        let life = Life::new(Arc::clone(self), Incarnation::new(handles, publisher));
        self.tasks.spawn(life.run(None));
        Ok(())
    }

    /// Tells the end of a sandbox that an earlier daemon had, and remembers it.
    fn bury_old(&self, stored: &StoredRecord) -> Result<(), ReclaimError> {
        let now = now();
        let record = stored.record(now).map_err(ReclaimError)?;
        let stop = old_stop(stored);
        let lifetime = record.ready.map(|ready| since(ready, now));
        let told = Some((&stop, lifetime));
        events::node_restart(&self.telemetry, Some(record.id.as_str()), &record.lifecycle, told);
        let mut core = self.lock();
        self.records.put(&record.id, None);
        core.registry.remember(record, stop, now);
        self.settled(&mut core);
        Ok(())
    }
}

fn since(then: Moment, now: Moment) -> std::time::Duration {
    now.wall.duration_since(then.wall).unwrap_or_default()
}

/// The reason that it had, if it was ending already; else the death of its daemon.
fn old_stop(stored: &StoredRecord) -> Stop {
    let labels = stored.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let labels = labels.collect::<Vec<_>>().join(", ");
    let labels = if labels.is_empty() { "none".to_owned() } else { labels };
    let what = format!(
        "the daemon died while it was {state}; its successor ended what was left (template \
         {template}, labels: {labels})",
        state = stored.state.as_str(),
        template = stored.template,
    );
    let reason = stored.stop_reason.as_deref().and_then(|word| word.parse().ok());
    Stop::new(reason.unwrap_or(StopReason::NodeRestart), what)
}
