//! The calls of the driver, step by step.

use std::time::Duration;

use orchestrator::driver::{
    BoxFuture, Capabilities, Closed, Driver, DriverEvent, EventSink, Flavour, Kept, LaunchSpec,
    LifecycleId, ProbeError, ProfileError, ProfileId, ReclaimError, ReclaimReport, RestartChange,
    RestartError, Room, StartError, StopHow, StopReport,
};
use orchestrator::snapshots::{ArchiveSink, ArchiveSource};
use tokio_util::sync::CancellationToken;
use upstream::Cause;

use super::script::{Act, At, Point};
use super::{FakeDriver, Instance, lock};

impl FakeDriver {
    /// Does what the script says at a point; an error is what the step fails with.
    pub(super) async fn at(&self, point: Point, lifecycle: &LifecycleId) -> Result<(), String> {
        let act = {
            let state = lock(&self.state);
            let flags = state.instances.get(lifecycle).map(|instance| instance.spec.switches());
            drop(state);
            let flags = flags.unwrap_or_default();
            let at = At { point, lifecycle, flags: &flags };
            lock(&self.script).as_ref().map_or(Act::Go, |script| script(&at))
        };
        match act {
            Act::Go => Ok(()),
            Act::Hold(hold) => {
                hold.wait().await;
                Ok(())
            }
            Act::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Act::Hang => std::future::pending().await,
            Act::Fail(text) => Err(text),
            Act::Panic => panic!("the script panics at {point:?}"),
            Act::EndBrowser(cause) => {
                match point {
                    // Before its first answer an end is the failure of the start, not a crash.
                    Point::StartPrepared | Point::StartSpawned => self.forget_browser(lifecycle),
                    Point::StartReady
                    | Point::StopBegin
                    | Point::StopCleanup
                    | Point::Cancel
                    | Point::Probe
                    | Point::Restart
                    | Point::Room
                    | Point::CloseBegin
                    | Point::CloseEnd
                    | Point::SaveBegin
                    | Point::SaveEnd
                    | Point::ExportBegin
                    | Point::ExportEnd
                    | Point::Import
                    | Point::Forget => {
                        self.end_browser(lifecycle, cause).await;
                    }
                }
                Ok(())
            }
        }
    }

    async fn run_start(&self, spec: LaunchSpec, events: EventSink) -> Result<(), StartError> {
        let lifecycle = spec.lifecycle.clone();
        {
            let mut state = lock(&self.state);
            if let Some(profile) = spec.profile.as_ref().filter(|id| !state.profiles.contains(*id))
            {
                return Err(StartError::Directory(format!("there is no profile `{profile}`")));
            }
            let instance = Instance {
                spec,
                events: events.clone(),
                generation: 0,
                alive: false,
                stopped: false,
                crashes: 0,
            };
            state.instances.insert(lifecycle.clone(), instance);
        }
        self.at(Point::StartPrepared, &lifecycle).await.map_err(StartError::Directory)?;
        self.spawn(&lifecycle).ok_or(StartError::Cancelled)?;
        let _ = events.send(DriverEvent::Starting { generation: 1 }).await;
        self.at(Point::StartSpawned, &lifecycle).await.map_err(StartError::Spawn)?;
        tokio::time::sleep(self.start_time).await;
        if !self.is_alive(&lifecycle) && self.generation(&lifecycle) == 1 {
            let cause = Cause::Signalled { signal: 9 };
            return Err(StartError::Exited { cause, log_tail: "fake".to_owned() });
        }
        let _ = events.send(self.ready(&lifecycle)).await;
        self.at(Point::StartReady, &lifecycle).await.map_err(StartError::Spawn)?;
        if lock(&self.state).instances.contains_key(&lifecycle) {
            Ok(())
        } else {
            Err(StartError::Cancelled)
        }
    }
}

impl Driver for FakeDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities { flavours: Flavour::ALL.to_vec(), isolation: "none", limits_cpu: true }
    }

    fn start(
        &self,
        spec: LaunchSpec,
        events: EventSink,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move {
            let lifecycle = spec.lifecycle.clone();
            lock(&self.state).counts.starts += 1;
            let _call = Call::begin(self);
            // A call that hangs or panics leaves what it has made, as a real one would.
            let stubborn = {
                let at =
                    At { point: Point::Cancel, lifecycle: &lifecycle, flags: &spec.switches() };
                let act = lock(&self.script).as_ref().map_or(Act::Go, |script| script(&at));
                matches!(act, Act::Hang)
            };
            let outcome = tokio::select! {
                biased;
                outcome = self.run_start(spec, events) => outcome,
                () = cancel.cancelled(), if !stubborn => Err(StartError::Cancelled),
            };
            let mut state = lock(&self.state);
            match &outcome {
                Ok(()) => state.counts.started += 1,
                Err(_) => {
                    state.instances.remove(&lifecycle);
                }
            }
            outcome
        })
    }

    fn stop(&self, instance: LifecycleId, how: StopHow) -> BoxFuture<'_, StopReport> {
        Box::pin(async move {
            let _call = Call::begin(self);
            let known = {
                let mut state = lock(&self.state);
                state.counts.stops += 1;
                state.instances.get_mut(&instance).map(|found| {
                    found.stopped = true;
                    (found.alive, found.generation, found.events.clone())
                })
            };
            let Some((alive, generation, events)) = known else { return StopReport::default() };
            let mut report = StopReport::default();
            if let Err(text) = self.at(Point::StopBegin, &instance).await {
                report.errors.push(text);
                return report;
            }
            if alive {
                let cause = match how {
                    StopHow::Graceful => Cause::Exited { code: 0 },
                    StopHow::Fast => Cause::Signalled { signal: 15 },
                };
                if let Some(found) = lock(&self.state).instances.get_mut(&instance) {
                    found.alive = false;
                }
                report.exit = Some(cause);
                let exited = DriverEvent::BrowserExited {
                    generation,
                    cause,
                    expected: true,
                    uptime: Duration::from_secs(1),
                    relaunch_in: None,
                };
                let _ = events.send(exited).await;
            }
            match self.at(Point::StopCleanup, &instance).await {
                Ok(()) => {
                    lock(&self.state).instances.remove(&instance);
                }
                Err(text) => report.errors.push(text),
            }
            report
        })
    }

    fn kill(&self, instance: LifecycleId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _call = Call::begin(self);
            let mut state = lock(&self.state);
            state.counts.kills += 1;
            if let Some(found) = state.instances.get_mut(&instance) {
                found.alive = false;
                found.stopped = true;
            }
        })
    }

    fn room(&self, instance: LifecycleId) -> BoxFuture<'_, Result<Room, ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.room_of(&instance).await
        })
    }

    fn close_clean(
        &self,
        instance: LifecycleId,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Closed, ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.close_browser(&instance, limit).await
        })
    }

    fn save(
        &self,
        instance: LifecycleId,
        profile: ProfileId,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.keep(&instance, profile).await
        })
    }

    fn export(
        &self,
        profile: ProfileId,
        to: ArchiveSink,
    ) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.write_profile(profile, to).await
        })
    }

    fn import(
        &self,
        profile: ProfileId,
        from: ArchiveSource,
        _most: u64,
    ) -> BoxFuture<'_, Result<Kept, ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.read_profile(profile, from).await
        })
    }

    fn forget(&self, profile: ProfileId) -> BoxFuture<'_, Result<(), ProfileError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.drop_profile(profile).await
        })
    }

    fn kept(&self) -> BoxFuture<'_, Result<Vec<ProfileId>, ProfileError>> {
        Box::pin(async move { Ok(self.profiles()) })
    }

    fn restart_browser(
        &self,
        instance: LifecycleId,
        change: RestartChange,
    ) -> BoxFuture<'_, Result<u64, RestartError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            self.replace_browser(&instance, change).await
        })
    }

    fn probe(&self, instance: LifecycleId) -> BoxFuture<'_, Result<(), ProbeError>> {
        Box::pin(async move {
            let _call = Call::begin(self);
            lock(&self.state).counts.probes += 1;
            self.at(Point::Probe, &instance).await.map_err(ProbeError)?;
            match self.is_alive(&instance) {
                true => Ok(()),
                false => Err(ProbeError("it is dead".to_owned())),
            }
        })
    }

    fn reclaim(&self) -> BoxFuture<'_, Result<ReclaimReport, ReclaimError>> {
        Box::pin(async move { lock(&self.reclaim).clone() })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Counts a call for as long as it lasts, however it ends.
struct Call<'a>(&'a FakeDriver);

impl<'a> Call<'a> {
    fn begin(driver: &'a FakeDriver) -> Self {
        lock(&driver.state).counts.calls += 1;
        Self(driver)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).counts.calls -= 1;
    }
}
