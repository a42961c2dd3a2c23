//! The runner of a sandbox: what it is told at its start, and what follows from its end.

use telemetry::events::{SandboxRunnerExited, SandboxRunnerReady};
use telemetry::fields;
use telemetry::value::{Id, Millis};

use super::events::exit;
use super::task::Life;
use super::{Orchestrator, Shared, now};
use crate::browsers::{RunnerExited, RunnerReady};
use crate::driver::RunnerSpec;
use crate::ids::SandboxId;
use crate::lifecycle::Event;
use crate::templates::RunnerTemplate;

impl Shared {
    /// The runner of sandboxes of a template, as it is now: a parked sandbox that comes back after a
    /// change of the settings gets the changed one.
    fn runner_of(&self, template: &str) -> Option<&RunnerTemplate> {
        self.config.templates.get(template)?.runner.as_ref()
    }

    /// Whether a run is open.
    pub(super) fn runs(&self, sandbox: &SandboxId) -> bool {
        self.config.runners.as_ref().is_some_and(|runners| runners.is_busy(sandbox))
    }
}

impl Life {
    fn runner_template(&self) -> Option<&RunnerTemplate> {
        let template = {
            let core = self.shared.lock();
            core.registry.by_lifecycle(&self.handles.lifecycle)?.record.template.clone()
        };
        self.shared.runner_of(&template)
    }

    /// What the driver is to start beside the browser.
    pub(super) fn runner_spec(&self) -> Option<RunnerSpec> {
        let template = self.runner_template()?;
        let sandbox = &self.handles.sandbox;
        let cdp_url = self.shared.config.runners.as_ref().map(|runners| runners.cdp_url(sandbox));
        template.spec(sandbox.as_str(), cdp_url)
    }

    pub(super) fn runner_ready(&self, ready: RunnerReady) {
        let (shared, sandbox) = (&self.shared, &self.handles.sandbox);
        let stops = self.runner_template().is_some_and(|template| template.stop_on_run_finished);
        let event = SandboxRunnerReady {
            lifecycle_id: Some(Id::from(self.handles.lifecycle.as_str())),
            start_ms: Millis(ready.start_time),
            pid: ready.pid,
        };
        shared.telemetry.publish(Some(sandbox.as_str()), event);
        if let Some(runners) = &shared.config.runners {
            runners.ready(sandbox, &ready.url, stops);
        }
    }

    pub(super) fn runner_exited(&self, exited: &RunnerExited) {
        let event = SandboxRunnerExited {
            lifecycle_id: Some(Id::from(self.handles.lifecycle.as_str())),
            exit: exit(exited.cause),
            expected: exited.expected,
            uptime_ms: Millis(exited.uptime),
            restart_in_ms: exited.restart_in.map(Millis),
        };
        self.shared.telemetry.publish(Some(self.handles.sandbox.as_str()), event);
        let for_good = !exited.expected && exited.restart_in.is_none();
        let ends = self.runner_spec().is_some_and(|spec| spec.ends_with_it());
        if for_good && ends {
            self.apply(&Event::RunnerExited { detail: format!("runner {}", exited.cause) });
        } else if for_good {
            tracing::warn!(
                { fields::SANDBOX_ID } = %self.handles.sandbox,
                cause = %exited.cause,
                "a runner is given up; its sandbox goes on without"
            );
        }
    }
}

impl Orchestrator {
    /// An agent session has heard of its runner: its sandbox is in use. An unknown one has ended before.
    pub fn runner_active(&self, id: &str) {
        self.shared.lock().registry.touch(id, now());
        self.shared.timer.notify_one();
    }

    /// An agent session asks for the end of its sandbox, as its run has finished. An unknown one has
    /// ended before.
    pub fn run_finished(&self, id: &str) {
        let shared = &self.shared;
        let mut core = shared.lock();
        let Some(sandbox) = core.registry.sandbox(id) else { return };
        let lifecycle = sandbox.record.lifecycle.clone();
        let event = Event::RunFinished { detail: "stop_on_run_finished".to_owned() };
        let changes = core.registry.apply(&lifecycle, &event, now());
        shared.tell(&mut core, &changes);
    }
}
