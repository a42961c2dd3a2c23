//! Pure: a sandbox as its file has it. Moments are on the wall's clock, in Unix milliseconds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockkeeper_api::SandboxState;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::driver::{Flavour, LaunchLimits, LaunchSpec, LifecycleId, OnExit, ProfileId};
use crate::ids::{ExecutionId, SandboxId};
use crate::lifecycle::State;
use crate::registry::{BrowserRecord, Moment, Park, Policies, Record};

/// The form of the files; a file of another form is refused, not guessed at.
const FORM: u32 = 1;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRecord {
    form: u32,
    pub(crate) id: String,
    pub(crate) lifecycle: String,
    pub(crate) execution: String,
    pub(crate) template: String,
    pub(crate) state: SandboxState,
    /// Why it is ending, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop_reason: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    ttl_ms: u64,
    idle_ms: u64,
    policies: Policies,
    created_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    /// The kept profile that it runs from, or will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// Present from the clean close of its browser until the next one is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) park: Option<StoredPark>,
    pub(crate) launch: Launch,
}

/// Since when it is parked, and until when at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPark {
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    /// Whether its profile is known to be durable.
    pub(crate) saved: bool,
}

/// How its browser is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    flavour: Flavour,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pids: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fixed: Vec<String>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    on_crash: OnExit,
    on_close: OnExit,
}

impl Launch {
    pub(crate) fn of(spec: &LaunchSpec) -> Self {
        // Named one by one, so that a new part of a launch is not forgotten here.
        let LaunchSpec {
            lifecycle: _,
            flavour,
            browser,
            limits: LaunchLimits { memory, pids, cpu },
            profile: _,
            fixed,
            flags,
            env,
            on_crash,
            on_close,
            start_timeout: _,
            crash_max: _,
            crash_window: _,
            // Told anew at each start, from the template.
            runner: _,
        } = spec;
        Self {
            flavour: *flavour,
            browser: browser.clone(),
            memory: *memory,
            pids: *pids,
            cpu: *cpu,
            fixed: fixed.clone(),
            flags: flags.clone(),
            env: env.clone(),
            on_crash: *on_crash,
            on_close: *on_close,
        }
    }

    pub(crate) fn set_flags(&mut self, flags: Vec<String>) {
        self.flags = flags;
    }

    pub(crate) fn on_crash(&self) -> OnExit {
        self.on_crash
    }

    /// What the driver is told; with `profile` to run on a kept one.
    pub(crate) fn spec(
        &self,
        lifecycle: LifecycleId,
        profile: Option<ProfileId>,
        config: &Config,
    ) -> LaunchSpec {
        let Self { flavour, browser, memory, pids, cpu, fixed, flags, env, on_crash, on_close } =
            self.clone();
        let limits = LaunchLimits { memory, pids, cpu };
        let Config { create_timeout: start_timeout, crash_max, crash_window, .. } = *config;
        LaunchSpec {
            lifecycle,
            flavour,
            browser,
            limits,
            profile,
            fixed,
            flags,
            env,
            on_crash,
            on_close,
            start_timeout,
            crash_max,
            crash_window,
            runner: None,
        }
    }
}

impl StoredRecord {
    pub(crate) fn of(record: &Record, state: &State, launch: &Launch, now: Moment) -> Self {
        Self {
            form: FORM,
            id: record.id.to_string(),
            lifecycle: record.lifecycle.to_string(),
            execution: record.execution.as_str().to_owned(),
            template: record.template.to_string(),
            state: state.word(),
            stop_reason: state.stop().map(|stop| stop.reason.as_str().to_owned()),
            labels: record.labels.clone(),
            ttl_ms: millis(record.ttl),
            idle_ms: millis(record.idle),
            policies: record.policies,
            created_at_ms: unix_ms(record.created.wall),
            ready_at_ms: record.ready.map(|ready| unix_ms(ready.wall)),
            expires_at_ms: record
                .expires
                .map(|at| unix_ms(now.wall + at.saturating_duration_since(now.instant))),
            profile: record.profile.as_ref().map(ToString::to_string),
            park: record.park.map(|park| StoredPark {
                at_ms: unix_ms(park.at.wall),
                until_ms: park.until.map(unix_ms),
                saved: park.saved,
            }),
            launch: launch.clone(),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them: nothing here can fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let stored: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if stored.form != FORM {
            return Err(format!("its form is {}, this version reads form {FORM}", stored.form));
        }
        stored.id.parse::<SandboxId>().map_err(|error| format!("its id {error}"))?;
        Ok(stored)
    }

    /// What the registry keeps of it. The numbering starts anew with every daemon.
    ///
    /// # Errors
    /// When its id is none.
    pub(crate) fn record(&self, now: Moment) -> Result<Record, String> {
        let moment = |ms: u64| moment(ms, now);
        Ok(Record {
            seq: 0,
            id: self.id.parse().map_err(|e: crate::ids::SandboxIdError| e.to_string())?,
            lifecycle: LifecycleId::new(self.lifecycle.as_str()),
            execution: ExecutionId::stored(&self.execution),
            template: self.template.as_str().into(),
            flavour: self.launch.flavour,
            labels: self.labels.clone(),
            ttl: Duration::from_millis(self.ttl_ms),
            idle: Duration::from_millis(self.idle_ms),
            policies: self.policies,
            created: moment(self.created_at_ms),
            started: None,
            ready: self.ready_at_ms.map(moment),
            expires: None,
            warm: false,
            profile: self.profile.as_deref().map(ProfileId::new),
            park: self.park.as_ref().map(|park| Park {
                at: moment(park.at_ms),
                until: park.until_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms)),
                saved: park.saved,
            }),
            browser: BrowserRecord::default(),
        })
    }
}

/// The steady clock's view of a moment that an earlier daemon saw. One before the start of the host
/// counts as now.
fn moment(ms: u64, now: Moment) -> Moment {
    let wall = UNIX_EPOCH + Duration::from_millis(ms);
    let ago = now.wall.duration_since(wall).unwrap_or_default();
    Moment { instant: now.instant.checked_sub(ago).unwrap_or(now.instant), wall }
}

fn unix_ms(at: SystemTime) -> u64 {
    millis(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
