//! What the pool wants done, and how a member becomes a sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lockkeeper_api::{CreateRequest, PoolStock};
use telemetry::fields;

use super::handles::Handles;
use super::member::{Member, MemberHandle};
use super::{Core, Orchestrator, Shared, events};
use crate::config::Config;
use crate::driver::{Capabilities, LaunchSpec};
use crate::ids::random_lifecycle;
use crate::launch::Plan;
use crate::lifecycle::State;
use crate::node::NodeStatus;
use crate::pool::{Mode, Pool, Target};
use crate::records::Launch;
use crate::registry::{AdmitRefusal, Moment, NewSandbox};

/// What each template keeps: launched as a create would that says nothing but the template's name.
pub(super) fn targets(config: &Config, capabilities: &Capabilities) -> Vec<Target> {
    let mut targets = Vec::new();
    for (name, template) in config.templates.iter().filter(|(_, template)| template.pool > 0) {
        let request = CreateRequest { template: Some(name.clone()), ..CreateRequest::default() };
        match Plan::new(request, config, capabilities) {
            Ok(plan) => targets.push(Target {
                template: plan.template.clone(),
                size: template.pool,
                launch: plan.launch_spec(random_lifecycle(), config),
            }),
            Err(error) => {
                tracing::error!(template = name, %error, "no browsers are kept for this template");
            }
        }
    }
    targets
}

impl Core {
    pub(super) fn pool_stocks(&self) -> BTreeMap<String, PoolStock> {
        self.pool.stocks().map(|(name, stock)| (name.to_owned(), stock)).collect()
    }

    fn pool_mode(&self) -> Mode {
        if self.pool_ends {
            return Mode::Empty;
        }
        match (self.drain.phase(), self.node.status()) {
            // Creates that were let in may still be handed one.
            (Some(_), _) => Mode::Keep,
            (None, _) if !self.node.started() => Mode::Keep,
            (None, NodeStatus::Healthy | NodeStatus::Standby) => Mode::Fill,
            (None, NodeStatus::Draining) if self.node.accepting() => Mode::Keep,
            (None, NodeStatus::Draining) => Mode::Empty,
            (None, NodeStatus::Unhealthy) => Mode::Keep,
        }
    }
}

impl Shared {
    /// Does what the pool wants now and says when it will want something again. The caller holds
    /// the lock.
    pub(super) fn tend_pool(
        self: &Arc<Self>,
        core: &mut Core,
        now: Moment,
    ) -> Option<std::time::Instant> {
        self.hold_pool(core);
        core.pool.due_probes(now.instant).iter().for_each(|member| member.ask());
        core.pool.due_retirements(now.instant).iter().for_each(|member| member.end());
        while let Some(target) = core.pool.wants_start(now.instant) {
            let lifecycle = random_lifecycle();
            if !core.registry.reserve_member(&lifecycle) {
                // Whoever frees a place or a slot wakes this again.
                break;
            }
            let launch = LaunchSpec { lifecycle: lifecycle.clone(), ..target.launch.clone() };
            let template = Arc::clone(&target.template);
            tracing::debug!({ fields::LIFECYCLE_ID } = %lifecycle, %template, "pool start");
            let (member, handle) = Member::new(Arc::clone(self), launch);
            core.pool.started(&template, lifecycle, handle);
            self.tasks.spawn(member.run());
            self.told_tally(core);
        }
        core.pool.next_deadline(now.instant)
    }

    /// Ends what the node's state leaves no room for: at once, before anything else is decided.
    pub(super) fn hold_pool(&self, core: &mut Core) {
        let mode = core.pool_mode();
        core.pool.set_mode(mode).iter().for_each(|member| member.end());
    }

    /// Hands a member out to a new sandbox, which is ready at once; `None` if there is none that
    /// was launched as `launch` says. The caller holds the lock.
    ///
    /// # Errors
    /// [`AdmitRefusal::Exists`].
    pub(super) fn hand_out(
        &self,
        core: &mut Core,
        new: &NewSandbox,
        launch: &LaunchSpec,
        id_is_known: bool,
        now: Moment,
    ) -> Result<Option<Arc<Handles>>, AdmitRefusal> {
        core.registry.id_is_free(&new.id)?;
        let Some((lifecycle, member)) = core.pool.take(&new.template, launch) else {
            return Ok(None);
        };
        let new = NewSandbox { lifecycle: lifecycle.clone(), ..new.clone() };
        let (upstream, metrics) = (member.upstream().clone(), self.metrics.as_ref());
        let launch = Launch::of(launch);
        let mut handles =
            Handles::new(new.id.clone(), lifecycle, State::Starting, upstream, launch, metrics);
        handles.id_is_known = id_is_known;
        let handles = Arc::new(handles);
        let (browser, started) = member.browser();
        let changes = core.registry.adopt(new, browser, Arc::clone(&handles), now)?;
        if let Some(change) = changes.first() {
            events::created(self, &change.record);
        }
        if let Some(started) = started {
            events::browser_adopted(self, &handles, started);
        }
        self.tell(core, &changes);
        member.hand_over(Arc::clone(&handles));
        Ok(Some(handles))
    }

    /// Tells a member to go so that its place is free for a create. False if no place will be.
    /// The caller holds the lock.
    pub(super) fn evict_member(&self, core: &mut Core) -> bool {
        match core.pool.evict() {
            Some((_, member)) => {
                member.end();
                true
            }
            None => core.pool.is_ending(),
        }
    }

    /// Frees a place on a full node for a sandbox that can wait in the queue: a member is told to
    /// go, and whoever takes its place is started when it has gone. The caller holds the lock.
    pub(super) fn replace_member(&self, core: &mut Core) {
        if core.registry.is_full()
            && let Some((lifecycle, member)) = core.pool.evict()
        {
            member.end();
            core.registry.replace_member(&lifecycle);
        }
    }
}

/// A create that waits for the place of a member. While there is one, the pool starts none.
pub(super) struct Waiter<'a>(&'a Shared);

impl<'a> Waiter<'a> {
    /// The caller holds the lock on `core`.
    pub(super) fn new(shared: &'a Shared, core: &mut Core) -> Self {
        core.pool.wait_begins();
        Self(shared)
    }

    /// Waits until there may be a place; false if there is none in this time.
    pub(super) async fn place(&self, deadline: tokio::time::Instant) -> bool {
        let max = self.0.config.max_sandboxes as u64;
        let mut tally = self.0.tally.subscribe();
        let free = tally.wait_for(|tally| tally.lifecycles < max);
        // The sender lives in `shared`.
        tokio::time::timeout_at(deadline, free).await.is_ok()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut core = self.0.lock();
        core.pool.wait_ends();
        self.0.settled(&mut core);
    }
}

impl Orchestrator {
    /// Ends the browsers that wait for a create; their cleanup is waited for with everybody's.
    /// A create that was let in before is served without them from now on.
    pub fn end_pool(&self) {
        let mut core = self.shared.lock();
        core.pool_ends = true;
        self.shared.hold_pool(&mut core);
        self.shared.settled(&mut core);
    }

    /// How many browsers wait for a create, by template.
    pub fn pool(&self) -> BTreeMap<String, PoolStock> {
        self.shared.lock().pool_stocks()
    }
}

/// A pool of this node.
pub(super) type Members = Pool<Arc<MemberHandle>>;

/// How long a member that is asked may take to answer.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(3);
