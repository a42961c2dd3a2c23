//! Who keeps the agent sessions of sandboxes that have a runner.

use std::fmt;

use crate::ids::SandboxId;

/// Hears where runners of sandboxes answer, and what becomes of their sandboxes.
///
/// Calls come in the order in which things happened, some of them under a lock: they note what they
/// hear and return at once.
pub trait Runners: fmt::Debug + Send + Sync + 'static {
    /// Where the runner of a sandbox that is being started reaches its browser.
    fn cdp_url(&self, sandbox: &SandboxId) -> String;

    /// The runner of a sandbox is ready at `url`, for the first time or again.
    /// `stop_on_run_finished`: whether the sandbox is to end when a run has finished.
    fn ready(&self, sandbox: &SandboxId, url: &str, stop_on_run_finished: bool);

    /// The sandbox is parked, and its runner has ended.
    fn parked(&self, sandbox: &SandboxId);

    /// The sandbox has ended.
    fn gone(&self, sandbox: &SandboxId);

    /// Whether the sandbox is in use because a run is open.
    fn is_busy(&self, sandbox: &SandboxId) -> bool;
}
