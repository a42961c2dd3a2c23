//! Follows the browser: runs the source of its address and tells what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use devtoolsproxy::Edge;
use telemetry::Telemetry;
use telemetry::metrics::{BrowserMetrics, UpstreamMetrics};
use telemetry::words::UpstreamSource;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use upstream::sources::{Fixed, HttpPoll, LogFollow, PortFile};
use upstream::{Hints, Publisher, RefusedUrls, Upstream};

use crate::history::{History, Told};

/// How often the addresses that were refused are looked at: a refusal is no change of the state.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// How the browser is found.
#[derive(Debug)]
pub(crate) enum Source {
    /// In a log.
    Log(Box<LogFollow>),
    /// In its port file.
    PortFile(Box<PortFile>),
    /// At a known place.
    Poll(Box<HttpPoll>),
    /// By a setting.
    Fixed(Box<Fixed>),
}

impl Source {
    /// Its word in events.
    pub(crate) fn word(&self) -> UpstreamSource {
        match self {
            Self::Log(_) => UpstreamSource::LogFollow,
            Self::PortFile(_) => UpstreamSource::PortFile,
            Self::Poll(_) => UpstreamSource::HttpPoll,
            Self::Fixed(_) => UpstreamSource::Fixed,
        }
    }

    async fn run(&mut self, publisher: &Publisher) {
        match self {
            Self::Log(source) => source.run(publisher).await,
            Self::PortFile(source) => source.run(publisher).await,
            Self::Poll(source) => source.run(publisher).await,
            Self::Fixed(source) => source.run(publisher).await,
        }
    }
}

/// What tells of the browser.
pub(crate) struct Teller {
    pub(crate) sandbox: Arc<str>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) telemetry: Telemetry,
    pub(crate) upstreams: UpstreamMetrics,
    pub(crate) browsers: BrowserMetrics,
}

/// Runs the source and the teller until `stop`. The publisher lives as long as this does, so stop it
/// after the sessions: without it they see that the browser is gone.
///
/// # Errors
/// When the source ends by itself: nobody would notice a new browser.
pub(crate) async fn follow(
    publisher: Publisher,
    mut source: Source,
    history: History,
    teller: Teller,
    stop: CancellationToken,
) -> Result<(), &'static str> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        () = tell(publisher.upstream(), publisher.hints(), history, teller) => Ok(()),
        () = source.run(&publisher) => Err("nothing looks for the browser any more"),
    }
}

async fn tell(upstream: Upstream, mut hints: Hints, mut history: History, teller: Teller) {
    let mut changes = upstream.changes();
    let mut state = changes.current();
    let mut phase = teller.upstreams.endpoint(state.phase.kind());
    let mut counted = RefusedUrls::default();
    let mut look = interval(COUNTS_EVERY);
    loop {
        phase.move_to(state.phase.kind());
        let now = Instant::now().into_std();
        for told in history.handle(&state, now, |generation| teller.sessions(generation)) {
            teller.tell(told);
        }
        state = loop {
            tokio::select! {
                biased;
                () = hints.hinted() => {
                    let now = Instant::now().into_std();
                    history.handle_lost(now, |generation| teller.sessions(generation));
                }
                state = changes.changed() => break state,
                _ = look.tick() => {
                    let now = upstream.counts().refused_urls;
                    teller.count(counted, now);
                    counted = now;
                }
            }
        };
    }
}

impl Teller {
    fn tell(&self, told: Told) {
        let sandbox = Some(&*self.sandbox);
        match told {
            Told::Started(event) => self.telemetry.publish(sandbox, event),
            Told::Exited(event) => {
                self.upstreams.generation_ended(event.exit.kind.as_str());
                self.browsers.exited(&event);
                self.telemetry.publish(sandbox, event);
            }
            Told::Restarted(event) => {
                self.browsers.restarted(&event);
                self.telemetry.publish(sandbox, event);
            }
        }
    }

    /// The open sessions of an instance.
    fn sessions(&self, generation: u64) -> u64 {
        let all = self.edge.sessions();
        let of_it = all.iter().filter(|session| session.generation == Some(generation));
        u64::try_from(of_it.count()).unwrap_or(u64::MAX)
    }

    fn count(&self, before: RefusedUrls, now: RefusedUrls) {
        for ((kind, before), (_, now)) in before.by_kind().into_iter().zip(now.by_kind()) {
            for _ in before..now {
                self.upstreams.url_refused(kind);
            }
        }
    }
}
