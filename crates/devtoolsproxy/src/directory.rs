//! What the edge asks of the rest of the program: which sandboxes exist, and who may come in.
//!
//! Both are traits so that the edge knows neither how sandboxes are run nor how access is
//! configured; the binary supplies them.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use draingate::Gate;
use http::request::Parts;
use telemetry::words::ContextDetail;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use upstream::Upstream;

/// A boxed future, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One sandbox as the edge sees it. All of it belongs to one lifecycle: after a pause and resume
/// the directory gives another target for the same id.
#[derive(Clone)]
pub struct Target {
    /// The user's id of the sandbox; it is what clients see in URLs.
    pub id: Arc<str>,
    /// The incarnation that this target belongs to.
    pub lifecycle_id: Arc<str>,
    /// Where its browser is.
    pub upstream: Upstream,
    /// Admission of sessions to this incarnation. Its owner begins the drain when it wants no new
    /// session, and waits on it for the last one to end.
    pub gate: Gate,
    /// Why sessions must end, once set. The owner sets it before it touches the browser, and sets
    /// none when the browser ended by itself.
    pub stop: watch::Receiver<Option<ContextDetail>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("id", &self.id)
            .field("lifecycle_id", &self.lifecycle_id)
            .finish_non_exhaustive()
    }
}

/// Why there is no target for an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No sandbox has this id.
    #[error("no such sandbox")]
    Unknown,
    /// It is parked and is not brought back by this request.
    #[error("this sandbox is paused: {why}")]
    Paused {
        /// Why not, for a client to read.
        why: Cow<'static, str>,
        /// When it is worth trying again; absent if somebody has to resume it first.
        retry_after: Option<Duration>,
    },
    /// It existed and has ended.
    #[error("this sandbox has ended: {why}")]
    Stopped {
        /// Why, in one word that a client may see (`request`, `ttl`, `browser_crashed`).
        why: Cow<'static, str>,
    },
}

/// What a client of `/connect` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuickOptions {
    /// The parameters of its query in order, decoded, without the token. The directory decides
    /// which it knows and refuses the others by name.
    pub params: Vec<(String, String)>,
    /// How long the client may be held. The directory gives up the start before that.
    pub wait: Duration,
}

/// Why no sandbox was made for a quick connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuickRefused {
    /// A parameter that is unknown or wrong; the text names it.
    #[error("{0}")]
    BadOptions(String),
    /// The node takes no new sandboxes.
    #[error("this node is draining and starts no new sandbox")]
    Draining,
    /// No room for another sandbox.
    #[error("no capacity for another sandbox")]
    NoCapacity {
        /// When it is worth trying again, if that is known.
        retry_after: Option<Duration>,
    },
    /// Too many sandboxes are starting.
    #[error("too many sandboxes are starting")]
    Busy {
        /// When it is worth trying again, if that is known.
        retry_after: Option<Duration>,
    },
    /// It was started and failed; the text says what failed, without paths or secrets.
    #[error("{0}")]
    Failed(String),
    /// It did not become ready in time.
    #[error("the sandbox did not become ready in time")]
    TimedOut,
    /// The start was ended, for this reason.
    #[error("the start of the sandbox was cancelled")]
    Cancelled(ContextDetail),
}

/// The sandboxes of this process.
pub trait Directory: Send + Sync + 'static {
    /// The sandbox with this id, for a client that comes to use it: one that is parked may be
    /// brought back by this, and its target then says that its browser is starting.
    ///
    /// # Errors
    /// [`LookupError`] says whether it never existed or has ended.
    fn lookup(&self, id: &str) -> Result<Target, LookupError>;

    /// Makes a sandbox for one socket. It is owned by the edge, which gives it back through
    /// [`Directory::delete_quick`] exactly once.
    ///
    /// `cancel` fires when the client has left: what was begun may then be given up. The future is
    /// always run to its end; a target that comes out all the same is deleted by the edge.
    fn create_quick(
        &self,
        options: QuickOptions,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>>;

    /// Ends a sandbox that [`Directory::create_quick`] made: `lifecycle_id` names the incarnation,
    /// so that a later sandbox under the same id is left alone. Ends when the deletion is under
    /// way; it need not wait for the cleanup.
    fn delete_quick(&self, id: Arc<str>, lifecycle_id: Arc<str>) -> BoxFuture<'_, ()>;
}

/// Whether a request may come in at all.
pub trait Authorize: Send + Sync + 'static {
    /// Checks Host, Origin and token. It is asked first on every route, before the path is read.
    ///
    /// # Errors
    /// [`Denied`] with a text that is safe to show: no token, no Host of the request.
    fn authorize(&self, parts: &Parts, peer: Option<SocketAddr>) -> Result<Admitted, Denied>;
}

/// That a request may come in, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Cancelled when whoever sent it may no longer: its session ends as
    /// [`ContextDetail::AuthRevoked`] then. `None` if that cannot happen.
    pub until: Option<CancellationToken>,
}

/// Why a request may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 400: there is no usable Host.
    #[error("{0}")]
    BadHost(Cow<'static, str>),
    /// 401: the token is missing or wrong.
    #[error("{0}")]
    Token(Cow<'static, str>),
    /// 403: this Host or Origin is refused.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
}
