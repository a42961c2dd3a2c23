//! Restarts that somebody asks for.

use std::time::Duration;

use orchestrator::driver::{DriverEvent, LifecycleId, RestartChange, RestartError};
use upstream::Cause;

use super::script::Point;
use super::{FakeDriver, lock};

impl FakeDriver {
    pub(super) async fn replace_browser(
        &self,
        lifecycle: &LifecycleId,
        change: RestartChange,
    ) -> Result<u64, RestartError> {
        let (events, generation, old) = {
            let mut state = lock(&self.state);
            let Some(found) = state.instances.get_mut(lifecycle).filter(|i| i.alive && !i.stopped)
            else {
                return Err(RestartError::Gone);
            };
            found.alive = false;
            let old = found.spec.flags.clone();
            found.spec.flags = change.flags.unwrap_or_else(|| old.clone());
            (found.events.clone(), found.generation, old)
        };
        let _ = events.send(DriverEvent::RestartRequested { generation }).await;
        let exited = DriverEvent::BrowserExited {
            generation,
            cause: Cause::Exited { code: 0 },
            expected: true,
            uptime: Duration::from_secs(1),
            relaunch_in: Some(Duration::ZERO),
        };
        let _ = events.send(exited).await;
        // A script sees the new switches; what fails with them runs again with the old ones.
        let failed = self.at(Point::Restart, lifecycle).await.err();
        if failed.is_some()
            && let Some(found) = lock(&self.state).instances.get_mut(lifecycle)
        {
            found.spec.flags = old;
        }
        self.spawn(lifecycle).ok_or(RestartError::Gone)?;
        let generation = self.generation(lifecycle);
        let _ = events.send(DriverEvent::Starting { generation }).await;
        tokio::time::sleep(self.start_time).await;
        let _ = events.send(self.ready(lifecycle)).await;
        match failed {
            None => Ok(generation),
            Some(why) => Err(RestartError::Restored { why, generation }),
        }
    }
}
