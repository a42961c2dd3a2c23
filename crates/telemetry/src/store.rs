//! The configuration in force, and its changes one at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use eventlog::micros;
use tokio::sync::watch;

use crate::Telemetry;
use crate::config::{BadChange, Config};
use crate::events::ConfigChanged;
use crate::handle::Intake;

/// The configuration in force.
pub(crate) struct ConfigStore {
    state: Mutex<Applied>,
    intake: Arc<Intake>,
    telemetry: Telemetry,
    /// The names of the sinks that are on.
    sinks: watch::Sender<Vec<String>>,
}

/// A configuration and when it came into force.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) config: Config,
    /// Microseconds since 1970; later for each change.
    pub(crate) at: i64,
}

impl ConfigStore {
    pub(crate) fn new(config: Config, intake: Arc<Intake>, telemetry: Telemetry) -> Self {
        intake.set_excluded(config.control.excluded_methods.clone());
        let sinks = watch::Sender::new(config.sinks_on());
        let state = Applied { config, at: micros(SystemTime::now()) };
        Self { state: Mutex::new(state), intake, telemetry, sinks }
    }

    /// The names of the sinks that are on, and every change of them.
    pub(crate) fn sinks(&self) -> watch::Receiver<Vec<String>> {
        self.sinks.subscribe()
    }

    pub(crate) fn current(&self) -> Applied {
        self.state().clone()
    }

    /// Changes it as `change` says, for the next event that is published, and gives it before and
    /// after. No other change comes in between.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&Config) -> Result<Config, BadChange>,
    ) -> Result<(Applied, Applied), BadChange> {
        let mut state = self.state();
        let before = state.clone();
        let config = change(&before.config)?;
        let changed = before.config.differences(&config);
        state.at = micros(SystemTime::now()).max(before.at + 1);
        state.config = config;
        self.intake.set_excluded(state.config.control.excluded_methods.clone());
        self.intake.set_categories(state.config.bits());
        self.sinks.send_replace(state.config.sinks_on());
        let after = state.clone();
        drop(state);
        if !changed.is_empty() {
            let changed = changed.into_iter().map(Into::into).collect();
            self.telemetry.publish(None, ConfigChanged { changed });
        }
        Ok((before, after))
    }

    /// A panic inside the lock cannot leave the configuration half changed.
    fn state(&self) -> MutexGuard<'_, Applied> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
