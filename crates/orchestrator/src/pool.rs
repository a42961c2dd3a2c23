//! Pure: the browsers that wait for a create, never used by anybody.
//!
//! Each template may keep some: started, proven to answer, without a sandbox id. A create whose
//! launch would be the same gets one handed out; what is handed out never comes back. The pool says
//! when to start another, whom to ask whether it still answers, and who has to go; its shell does
//! so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockkeeper_api::PoolStock;

use crate::driver::{LaunchSpec, LifecycleId};

/// How often a member is asked whether it still answers.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);

/// A member that waited this long is replaced, so that none grows stale.
pub const OLDEST: Duration = Duration::from_secs(30 * 60);

/// The wait after the first failure of a template; each further one doubles it up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What one template keeps.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub template: Arc<str>,
    /// How many members.
    pub size: usize,
    /// How each of them is launched; the incarnation in it means nothing.
    pub launch: LaunchSpec,
}

/// What the node wants of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Members are started.
    Fill,
    /// None is started, starts in flight are cancelled, idle ones may be handed out.
    Keep,
    /// None is left.
    Empty,
}

#[derive(Debug)]
struct Shelf {
    target: Target,
    failures: u32,
    /// No start before this.
    not_before: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Idle {
        since: Instant,
        probe_at: Instant,
    },
    /// It was told to go, or has failed; it is being cleaned up.
    Ending,
}

#[derive(Debug)]
struct Member<H> {
    shelf: usize,
    /// Rises with every member.
    seq: u64,
    stage: Stage,
    handle: H,
}

/// See the module.
#[derive(Debug)]
pub struct Pool<H> {
    shelves: Vec<Shelf>,
    members: BTreeMap<LifecycleId, Member<H>>,
    mode: Mode,
    /// Creates that wait for the place of a member: while there are any, none is started.
    waiting: usize,
    next_seq: u64,
}

impl<H: Clone> Pool<H> {
    /// A pool without members that starts none before it is told to [`Mode::Fill`].
    pub fn new(targets: Vec<Target>) -> Self {
        let shelf = |target| Shelf { target, failures: 0, not_before: None };
        Self {
            shelves: targets.into_iter().filter(|t| t.size > 0).map(shelf).collect(),
            members: BTreeMap::new(),
            mode: Mode::Keep,
            waiting: 0,
            next_seq: 1,
        }
    }

    /// Changes what is wanted; returns those who have to go now.
    pub fn set_mode(&mut self, mode: Mode) -> Vec<H> {
        self.mode = mode;
        self.end_where(|stage| match (mode, stage) {
            (Mode::Fill, Stage::Starting | Stage::Idle { .. }) | (_, Stage::Ending) => false,
            (Mode::Keep, stage) => stage == Stage::Starting,
            (Mode::Empty, Stage::Starting | Stage::Idle { .. }) => true,
        })
    }

    fn end_where(&mut self, goes: impl Fn(Stage) -> bool) -> Vec<H> {
        let going = self.members.values_mut().filter(|member| goes(member.stage));
        going
            .map(|member| {
                member.stage = Stage::Ending;
                member.handle.clone()
            })
            .collect()
    }

    /// The template that lacks a member and may start one now. One starts at a time for each.
    pub fn wants_start(&self, now: Instant) -> Option<&Target> {
        let free = self.mode == Mode::Fill && self.waiting == 0;
        let wants = |(index, shelf): &(usize, &Shelf)| {
            let PoolStock { size, idle, starting } = self.stock(*index);
            starting == 0 && idle < size && shelf.not_before.is_none_or(|at| at <= now)
        };
        let mut shelves = self.shelves.iter().enumerate();
        shelves.find(|shelf| free && wants(shelf)).map(|(_, shelf)| &shelf.target)
    }

    /// A member of this template is being started.
    pub fn started(&mut self, template: &str, lifecycle: LifecycleId, handle: H) {
        let Some(shelf) = self.shelves.iter().position(|s| &*s.target.template == template) else {
            return;
        };
        let member = Member { shelf, seq: self.next_seq, stage: Stage::Starting, handle };
        self.next_seq += 1;
        self.members.insert(lifecycle, member);
    }

    /// It answers; false if it has to go all the same.
    pub fn ready(&mut self, lifecycle: &LifecycleId, now: Instant) -> bool {
        let Some(member) = self.members.get_mut(lifecycle) else { return false };
        match member.stage {
            Stage::Starting => {
                member.stage = Stage::Idle { since: now, probe_at: now + PROBE_EVERY };
                true
            }
            Stage::Idle { .. } => true,
            Stage::Ending => false,
        }
    }

    /// Its start failed, it ended by itself or does not answer: it goes, and the next start of its
    /// template waits. False if it is not the pool's any more, or was told to go before.
    pub fn failed(&mut self, lifecycle: &LifecycleId, now: Instant) -> bool {
        let Some(member) = self.members.get_mut(lifecycle) else { return false };
        if member.stage == Stage::Ending {
            return false;
        }
        member.stage = Stage::Ending;
        let shelf = &mut self.shelves[member.shelf];
        let doublings = shelf.failures.min(16);
        shelf.failures += 1;
        let wait = BACK_OFF.0.saturating_mul(1 << doublings).min(BACK_OFF.1);
        shelf.not_before = Some(now + wait);
        true
    }

    /// It has answered again: its template is sound.
    pub fn answered(&mut self, lifecycle: &LifecycleId) {
        if let Some(member) = self.members.get(lifecycle) {
            self.shelves[member.shelf].failures = 0;
        }
    }

    /// Hands the longest waiting member out that was launched as `launch` says. It is the pool's no
    /// more.
    pub fn take(&mut self, template: &str, launch: &LaunchSpec) -> Option<(LifecycleId, H)> {
        let fits = |target: &Target| {
            let lifecycle = launch.lifecycle.clone();
            &*target.template == template
                && LaunchSpec { lifecycle, ..target.launch.clone() } == *launch
        };
        let shelf = self.shelves.iter().position(|shelf| fits(&shelf.target))?;
        let lifecycle = self
            .oldest(|member| member.shelf == shelf && matches!(member.stage, Stage::Idle { .. }))?;
        self.shelves[shelf].failures = 0;
        self.members.remove_entry(&lifecycle).map(|(lifecycle, member)| (lifecycle, member.handle))
    }

    /// Tells one member to go, so that its place is free for a create: one that waits, or else one
    /// that is being started.
    pub fn evict(&mut self) -> Option<(LifecycleId, H)> {
        let idle = self.oldest(|member| matches!(member.stage, Stage::Idle { .. }));
        let victim = idle.or_else(|| self.oldest(|member| member.stage == Stage::Starting))?;
        let member = self.members.get_mut(&victim)?;
        member.stage = Stage::Ending;
        Some((victim, member.handle.clone()))
    }

    /// Whether the place of a member will be free soon.
    pub fn is_ending(&self) -> bool {
        self.members.values().any(|member| member.stage == Stage::Ending)
    }

    fn oldest(&self, fits: impl Fn(&Member<H>) -> bool) -> Option<LifecycleId> {
        let fitting = self.members.iter().filter(|(_, member)| fits(member));
        fitting.min_by_key(|(_, member)| member.seq).map(|(lifecycle, _)| lifecycle.clone())
    }

    /// A create waits for the place of a member.
    pub fn wait_begins(&mut self) {
        self.waiting += 1;
    }

    /// It has it, or waits no more.
    pub fn wait_ends(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Those who are to be asked now whether they still answer.
    pub fn due_probes(&mut self, now: Instant) -> Vec<H> {
        let mut due = Vec::new();
        for member in self.members.values_mut() {
            if let Stage::Idle { probe_at, .. } = &mut member.stage
                && *probe_at <= now
            {
                *probe_at = now + PROBE_EVERY;
                due.push(member.handle.clone());
            }
        }
        due
    }

    /// Those who waited for too long; of a template one at a time, and only while it lacks none, so
    /// that there is always somebody to hand out.
    pub fn due_retirements(&mut self, now: Instant) -> Vec<H> {
        let mut due = Vec::new();
        for shelf in 0..self.shelves.len() {
            let PoolStock { size, idle, .. } = self.stock(shelf);
            let old = |member: &Member<H>| match member.stage {
                Stage::Idle { since, .. } => member.shelf == shelf && since + OLDEST <= now,
                Stage::Starting | Stage::Ending => false,
            };
            if idle == size
                && let Some(lifecycle) = self.oldest(old)
                && let Some(member) = self.members.get_mut(&lifecycle)
            {
                member.stage = Stage::Ending;
                due.push(member.handle.clone());
            }
        }
        due
    }

    /// Nothing is left of it.
    pub fn gone(&mut self, lifecycle: &LifecycleId) {
        self.members.remove(lifecycle);
    }

    /// When something will be due that is not yet.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let starts = self.shelves.iter().filter_map(|shelf| shelf.not_before);
        let members = self.members.values().flat_map(|member| match member.stage {
            Stage::Idle { since, probe_at } => [Some(probe_at), Some(since + OLDEST)],
            Stage::Starting | Stage::Ending => [None, None],
        });
        starts.chain(members.flatten()).filter(|at| *at > now).min()
    }

    fn stock(&self, shelf: usize) -> PoolStock {
        let of = |stage: fn(Stage) -> bool| {
            let members = self.members.values();
            members.filter(|member| member.shelf == shelf && stage(member.stage)).count() as u64
        };
        PoolStock {
            size: self.shelves[shelf].target.size as u64,
            idle: of(|stage| matches!(stage, Stage::Idle { .. })),
            starting: of(|stage| stage == Stage::Starting),
        }
    }

    /// How many members each template has.
    pub fn stocks(&self) -> impl Iterator<Item = (&str, PoolStock)> {
        let all = self.shelves.iter().enumerate();
        all.map(|(index, shelf)| (&*shelf.target.template, self.stock(index)))
    }

    /// Every member, those that are being cleaned up too.
    pub fn handles(&self) -> impl Iterator<Item = &H> {
        self.members.values().map(|member| &member.handle)
    }
}

#[cfg(test)]
mod tests;
