//! The edge as the rest of the program sees it: routers, a list of sessions, an orderly end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use draingate::{Gate, Keeper};
use telemetry::commands::CommandRoom;
use telemetry::words::{Addressing, ContextDetail};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use wsproxy::Budget;

use crate::directory::{Authorize, Directory};
use crate::registry::{Registry, SessionInfo};
use crate::reports::Reports;
use crate::route::{self, Face};
use crate::serve;
use crate::settings::EdgeSettings;

/// How long sessions may take to end after they were stopped by force: both sides' Close, and the
/// verdict, which a stop makes immediate.
const FORCED_END: Duration = Duration::from_secs(4);
/// A deadline for those who set none: longer than any process lives.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The DevTools edge of a process.
///
/// It owns the task of every session. It is not `Clone`, so that one owner decides when sessions
/// end; its routers can be cloned and merged as one likes.
pub struct Edge {
    inner: Arc<Inner>,
    keeper: Keeper,
}

/// What every request and session of an edge shares.
pub(crate) struct Inner {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) authorize: Arc<dyn Authorize>,
    pub(crate) reports: Reports,
    pub(crate) relay_limits: Arc<wsproxy::Limits>,
    pub(crate) settings: EdgeSettings,
    pub(crate) budget: Budget,
    pub(crate) registry: Arc<Registry>,
    pub(crate) gate: Gate,
    pub(crate) stop: watch::Sender<Option<ContextDetail>>,
    /// When sessions are stopped that have had no quiet moment before, once they are to have one.
    pub(crate) quiet: watch::Sender<Option<std::time::Instant>>,
    /// For what clients do and is not told yet.
    pub(crate) command_room: CommandRoom,
    pub(crate) tasks: TaskTracker,
    /// Cut off what did not end in time after everything else.
    pub(crate) cut: CancellationToken,
}

/// How an edge ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeReport {
    /// Sessions that were open when the end began.
    pub open: usize,
    /// Sessions that had to be stopped by force at the deadline.
    pub forced: usize,
    /// Sessions that did not even end then and were cut.
    pub cut: usize,
}

impl Edge {
    /// An edge over the sandboxes of `directory`, which reports to `reports`: a
    /// [`Telemetry`](telemetry::Telemetry) handle, or one together with its
    /// [`CdpMetrics`](telemetry::metrics::CdpMetrics).
    ///
    /// The settings are taken as they are: check them with [`EdgeSettings::validate`].
    #[must_use]
    pub fn new(
        directory: Arc<dyn Directory>,
        authorize: Arc<dyn Authorize>,
        reports: impl Into<Reports>,
        settings: EdgeSettings,
    ) -> Self {
        let keeper = Keeper::new();
        let registry = Registry::new(settings.sessions_per_sandbox, settings.sessions_total);
        let inner = Inner {
            directory,
            authorize,
            reports: reports.into(),
            relay_limits: Arc::new(settings.relay.clone()),
            budget: Budget::new(settings.relay_memory),
            settings,
            registry: Arc::new(registry),
            gate: keeper.gate(),
            stop: watch::Sender::new(None),
            quiet: watch::Sender::new(None),
            command_room: CommandRoom::default(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner), keeper }
    }

    /// The routes of a host with many sandboxes: `/sandboxes/{id}` and everything below,
    /// `/devtools/browser/{id}`, `/connect`. Other paths are left to whom this is merged with.
    pub fn router(&self) -> Router {
        let face = Arc::new(Face::Shared { subdomains_of: None });
        [
            "/sandboxes/{id}",
            "/sandboxes/{id}/",
            "/sandboxes/{id}/{*rest}",
            "/devtools/browser/{id}",
            "/devtools/browser/{id}/",
            "/connect",
            "/connect/",
        ]
        .iter()
        .fold(Router::new(), |router, path| router.route(path, any(self.handler(&face))))
    }

    /// The routes of a listener on which every path is one sandbox: its own port
    /// ([`Addressing::Port`]), or the sidecar beside one browser ([`Addressing::Sidecar`]).
    pub fn fixed_router(&self, sandbox: &str, form: Addressing) -> Router {
        let face = Arc::new(Face::Fixed { sandbox: sandbox.to_owned(), form });
        Router::new().fallback(self.handler(&face))
    }

    /// Puts the subdomains of `parent` in front of `rest`: a request whose Host is
    /// `{id}.{parent}` or `{id}--{key}.{parent}` is that sandbox's whatever its path, every other
    /// request goes on to `rest`.
    pub fn with_subdomains(&self, parent: &str, rest: Router) -> Router {
        let face = Arc::new(Face::Shared { subdomains_of: Some(parent.to_owned()) });
        let parent: Arc<str> = parent.into();
        let inner = Arc::clone(&self.inner);
        let dispatch = move |request: Request| {
            let (inner, face) = (Arc::clone(&inner), Arc::clone(&face));
            let (rest, parent) = (rest.clone(), Arc::clone(&parent));
            async move {
                let host = serve::host(request.headers(), request.uri());
                match host.and_then(|host| route::subdomain_id(&parent, host)) {
                    Some(_) => serve::serve(inner, face, request).await,
                    None => match rest.oneshot(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    },
                }
            }
        };
        Router::new().fallback(dispatch)
    }

    fn handler(
        &self,
        face: &Arc<Face>,
    ) -> impl Fn(Request) -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>>
    + Clone
    + Send
    + Sync
    + 'static
    + use<> {
        let (inner, face) = (Arc::clone(&self.inner), Arc::clone(face));
        move |request| Box::pin(serve::serve(Arc::clone(&inner), Arc::clone(&face), request))
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The sessions now, the oldest first, those that are being connected included.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.inner.registry.list()
    }

    /// How many sessions there are now.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.inner.registry.count()
    }

    /// Stops every session, present and future, for this reason: clients are told, and requests
    /// that wait for a browser are refused. The first reason stays. Never waits.
    pub fn stop_all(&self, why: ContextDetail) {
        self.inner.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }

    /// Stops every session, present and future, each at its first quiet moment: when none of its
    /// commands is outstanding and no data has passed for `relay.quiet_for`; at `by` in any case.
    /// Until then it is served. Clients are told as for [`ContextDetail::NodeDrain`], and the event
    /// says which of the two it was. A later call can only make `by` earlier. Never waits.
    pub fn stop_when_quiet(&self, by: Option<Instant>) {
        let by = by.unwrap_or_else(|| Instant::now() + NEVER).into_std();
        self.inner.quiet.send_if_modified(|quiet| {
            let earlier = quiet.is_none_or(|was| by < was);
            if earlier {
                *quiet = Some(by);
            }
            earlier
        });
    }

    /// Takes no new session from now on; sessions that are open go on. Never waits.
    pub fn begin_drain(&self) {
        self.keeper.begin_drain();
    }

    /// Ends the edge: takes no new session, waits for the open ones until `deadline`, then stops
    /// what is left with [`ContextDetail::ForcedStop`], and cuts what has not ended 4 s later.
    /// When it returns, no task of this edge is left and every session's event was handed over.
    ///
    /// It does not tell sessions to end before the deadline; [`Edge::stop_all`], or the owners of
    /// the sandboxes, do.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the edge closed for new sessions; it can be called again.
    pub async fn shutdown(&self, deadline: Instant) -> EdgeReport {
        self.keeper.begin_drain();
        self.inner.tasks.close();
        let mut report = EdgeReport { open: self.session_count(), ..EdgeReport::default() };
        let ended = || async {
            tokio::join!(self.inner.gate.drained(), self.inner.tasks.wait());
        };
        if timeout_at(deadline, ended()).await.is_ok() {
            return report;
        }
        report.forced = self.session_count();
        self.stop_all(ContextDetail::ForcedStop);
        if timeout(FORCED_END, ended()).await.is_ok() {
            return report;
        }
        report.cut = self.session_count();
        self.inner.cut.cancel();
        ended().await;
        report
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("sessions", &self.session_count()).finish_non_exhaustive()
    }
}

impl Drop for Edge {
    /// Sessions must not outlive their owner; an orderly end is [`Edge::shutdown`].
    fn drop(&mut self) {
        self.inner.cut.cancel();
    }
}

impl Inner {
    /// Runs a task that the edge owns: it ends by itself or is cut at the very end.
    pub(crate) fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        drop(self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = task => {}
            }
        }));
    }
}

/// Marks a request whose socket is TLS; whoever terminates TLS in this process puts it into the
/// request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;
