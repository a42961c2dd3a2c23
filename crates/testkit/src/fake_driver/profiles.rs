//! Profiles that are kept, without a byte of them.

use std::io::{Read, Write};
use std::time::Duration;

use orchestrator::driver::{Closed, DriverEvent, Kept, LifecycleId, ProfileError, ProfileId, Room};
use orchestrator::snapshots::{ArchiveSink, ArchiveSource};
use upstream::Cause;

use super::script::Point;
use super::{FakeDriver, lock};

/// Bytes that every fake profile has.
const BYTES: u64 = 4 << 20;

impl FakeDriver {
    /// Bytes that are free from now on; without this there is room for everything.
    pub fn set_free_disk(&self, bytes: u64) {
        lock(&self.state).free_disk = Some(bytes);
    }

    /// Profiles that are kept.
    pub fn profiles(&self) -> Vec<ProfileId> {
        lock(&self.state).profiles.iter().cloned().collect()
    }

    /// A profile that an earlier daemon kept.
    pub fn keep_profile(&self, profile: ProfileId) {
        lock(&self.state).profiles.insert(profile);
    }

    /// A kept profile vanishes.
    pub fn drop_kept(&self, profile: &ProfileId) {
        lock(&self.state).profiles.remove(profile);
    }

    /// The switches that an instance was launched with.
    pub fn flags(&self, lifecycle: &LifecycleId) -> Vec<String> {
        let state = lock(&self.state);
        state.instances.get(lifecycle).map(|found| found.spec.switches()).unwrap_or_default()
    }

    pub(super) async fn room_of(&self, instance: &LifecycleId) -> Result<Room, ProfileError> {
        self.at(Point::Room, instance).await.map_err(|cause| disk("looked at", cause))?;
        let state = lock(&self.state);
        if !state.instances.contains_key(instance) {
            return Err(ProfileError::Unknown(instance.to_string()));
        }
        Ok(Room { free: state.free_disk.unwrap_or(u64::MAX), profile: BYTES })
    }

    pub(super) async fn close_browser(
        &self,
        instance: &LifecycleId,
        limit: Duration,
    ) -> Result<Closed, ProfileError> {
        let told = self.at(Point::CloseBegin, instance).await;
        let known = {
            let mut state = lock(&self.state);
            state.instances.get_mut(instance).map(|found| {
                found.stopped = true;
                (std::mem::take(&mut found.alive), found.generation, found.events.clone())
            })
        };
        let Some((alive, generation, events)) = known else {
            return Err(ProfileError::Unknown(instance.to_string()));
        };
        let cause = match (&told, alive) {
            (Ok(()), true) => Cause::Exited { code: 0 },
            (Err(_), _) | (_, false) => Cause::Signalled { signal: 9 },
        };
        if alive {
            let uptime = limit;
            let exited = DriverEvent::BrowserExited {
                generation,
                cause,
                expected: true,
                uptime,
                relaunch_in: None,
            };
            let _ = events.send(exited).await;
        }
        self.at(Point::CloseEnd, instance).await.map_err(|cause| disk("closed", cause))?;
        Ok(match cause {
            Cause::Exited { code: 0 } => Closed::Cleanly { took: Duration::ZERO },
            cause => Closed::Otherwise { cause },
        })
    }

    pub(super) async fn keep(
        &self,
        instance: &LifecycleId,
        profile: ProfileId,
    ) -> Result<Kept, ProfileError> {
        self.at(Point::SaveBegin, instance).await.map_err(|cause| disk("kept", cause))?;
        {
            let mut state = lock(&self.state);
            let there = state.instances.get(instance).map(|found| found.alive);
            match there {
                Some(true) => return Err(ProfileError::InUse),
                None if !state.profiles.contains(&profile) => {
                    return Err(ProfileError::Unknown(profile.to_string()));
                }
                Some(false) | None => {}
            }
            state.profiles.insert(profile);
        }
        self.at(Point::SaveEnd, instance).await.map_err(|cause| disk("made durable", cause))?;
        Ok(Kept { bytes: BYTES })
    }

    pub(super) async fn write_profile(
        &self,
        profile: ProfileId,
        mut to: ArchiveSink,
    ) -> Result<(), ProfileError> {
        let instance = LifecycleId::new(profile.as_str());
        let begun = self.at(Point::ExportBegin, &instance).await;
        begun.map_err(|cause| disk("written", cause))?;
        if !lock(&self.state).profiles.contains(&profile) {
            return Err(ProfileError::Unknown(profile.to_string()));
        }
        let text = format!("the profile {profile}");
        let written = tokio::task::spawn_blocking(move || to.write_all(text.as_bytes())).await;
        let written = written.map_err(std::io::Error::other).and_then(|outcome| outcome);
        written.map_err(|e| disk("written", e.to_string()))?;
        self.at(Point::ExportEnd, &instance).await.map_err(|cause| disk("written", cause))
    }

    pub(super) async fn read_profile(
        &self,
        profile: ProfileId,
        mut from: ArchiveSource,
    ) -> Result<Kept, ProfileError> {
        let instance = LifecycleId::new(profile.as_str());
        self.at(Point::Import, &instance).await.map_err(|cause| disk("read", cause))?;
        lock(&self.state).profiles.insert(profile);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.await.map_err(std::io::Error::other).and_then(|outcome| outcome);
        let bytes = bytes.map_err(|e| disk("read", e.to_string()))?;
        match bytes.starts_with(b"the profile ") {
            true => Ok(Kept { bytes: BYTES }),
            false => Err(disk("read", "it is no profile of this driver".to_owned())),
        }
    }

    pub(super) async fn drop_profile(&self, profile: ProfileId) -> Result<(), ProfileError> {
        let instance = LifecycleId::new(profile.as_str());
        self.at(Point::Forget, &instance).await.map_err(|cause| disk("removed", cause))?;
        lock(&self.state).profiles.remove(&profile);
        Ok(())
    }
}

fn disk(doing: &'static str, cause: String) -> ProfileError {
    ProfileError::Disk { doing, cause }
}
