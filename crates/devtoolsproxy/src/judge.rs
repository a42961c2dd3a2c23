//! The last seconds of a session: looks for the facts that are missing, tells the client as soon
//! as they allow it, and ends with the verdict.

use std::time::Instant;

use telemetry::words::ContextDetail;
use tokio::sync::oneshot;
use upstream::{Cause, Changes, Upstream, UpstreamState, Verify};

use crate::browser;
use crate::close_code::{self, ClientClose};
use crate::facts::{Alive, End, Facts, TargetSeen, UpstreamEnd};
use crate::route::Endpoint;
use crate::settings::EdgeSettings;
use crate::stops::Stops;
use crate::verdict::{self, Decision, Verdict};

/// What is known of a session whose relay has ended.
pub(crate) struct Case<'a> {
    pub(crate) end: &'a End,
    pub(crate) ended_at: Instant,
    pub(crate) dialled: u64,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) upstream: &'a Upstream,
    pub(crate) settings: &'a EdgeSettings,
}

/// The verdict, and what was known when it was given.
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) at: Instant,
    /// How the browser of this session ended, if that is known.
    pub(crate) cause: Option<Cause>,
    /// The browser that came after it, if one did.
    pub(crate) newer: Option<u64>,
}

impl Case<'_> {
    /// Follows the facts until they give a verdict, at most the confirm window.
    pub(crate) async fn judge(
        &self,
        changes: &mut Changes,
        stops: &mut Stops,
        tell: oneshot::Sender<ClientClose>,
    ) -> Judged {
        if matches!(self.end, End::Upstream(UpstreamEnd::Closed { .. } | UpstreamEnd::Lost)) {
            self.upstream.hint();
        }
        let mut tell = Some(tell);
        let mut alive = Alive::NotAsked;
        let mut state = changes.current();
        loop {
            let now = tokio::time::Instant::now().into_std();
            let facts = self.facts(&state, stops.current(), alive, now);
            if let Some(close) = close_code::decide(&facts, self.settings.use_1014)
                && let Some(tell) = tell.take()
            {
                // The one who listens may have stopped listening: the client is gone.
                let _ = tell.send(close);
            }
            let next = match verdict::resolve(&facts) {
                Decision::Given(verdict) => {
                    let newer = (state.generation > self.dialled && state.is_ready())
                        .then_some(state.generation);
                    return Judged { verdict, at: now, cause: facts.how_it_ended(), newer };
                }
                Decision::Ask => Next::Ask,
                Decision::Wait { until } => Next::Wait(until),
            };
            let answer = async {
                match next {
                    Next::Ask => Some(self.ask().await),
                    Next::Wait(until) => {
                        tokio::time::sleep_until(until.into()).await;
                        None
                    }
                }
            };
            tokio::select! {
                biased;
                _ = stops.wait() => {}
                newer = changes.changed() => {
                    // Whoever was asked before was asked about another state.
                    alive = Alive::NotAsked;
                    state = newer;
                }
                answer = answer => alive = answer.unwrap_or(alive),
            }
        }
    }

    fn facts<'a>(
        &'a self,
        state: &'a UpstreamState,
        stop: Option<ContextDetail>,
        alive: Alive,
        now: Instant,
    ) -> Facts<'a> {
        Facts {
            end: self.end,
            ended_at: self.ended_at,
            dialled: self.dialled,
            state,
            restart_expected: self.upstream.restart_expected(),
            stop,
            alive,
            waits: self.settings.waits,
            now,
        }
    }

    /// Asks the browser whether it is still the same, and for the socket of a page whether the
    /// page is still there.
    async fn ask(&self) -> Alive {
        match self.upstream.verify(self.dialled).await {
            Verify::SameAlive => Alive::Same(match (self.endpoint, self.upstream.current().url) {
                (Endpoint::Browser, _) => TargetSeen::NotAPage,
                (Endpoint::Page { target }, Some(url)) => {
                    let (look, max) = (self.settings.list_look, self.settings.fetch_body_max);
                    browser::look_for(&url, target, look, max).await
                }
                (Endpoint::Page { .. }, None) => TargetSeen::NotKnown,
            }),
            Verify::OtherAlive { .. } | Verify::Refused | Verify::NoAnswer => Alive::No,
        }
    }
}

enum Next {
    Ask,
    Wait(Instant),
}
