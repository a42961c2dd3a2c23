//! The one browser of this process as the edge sees it, and who may come to it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use devtoolsproxy::{
    Admitted, Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused,
    Target,
};
use http::StatusCode;
use http::request::Parts;
use service::Door;
use service::access::{Access, Need};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::{Phase, Upstream};

/// A directory with one entry, which is never deleted.
pub(crate) struct OneBrowser(pub(crate) Target);

impl Directory for OneBrowser {
    fn lookup(&self, id: &str) -> Result<Target, LookupError> {
        match id == &*self.0.id {
            true => Ok(self.0.clone()),
            false => Err(LookupError::Unknown),
        }
    }

    fn create_quick(
        &self,
        _options: QuickOptions,
        _cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>> {
        let text = "this is the address of one browser, and no other is started here";
        Box::pin(std::future::ready(Err(QuickRefused::Failed(text.to_owned()))))
    }

    fn delete_quick(&self, _id: Arc<str>, _lifecycle_id: Arc<str>) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Host, Origin and token in front of the browser.
pub(crate) struct Guard(pub(crate) Access);

impl Authorize for Guard {
    fn authorize(&self, parts: &Parts, peer: Option<SocketAddr>) -> Result<Admitted, Denied> {
        let denied = match self.0.check(parts, peer, &Need::DEVTOOLS) {
            Ok(principal) => return Ok(Admitted { until: principal.withdrawal() }),
            Err(denied) => denied,
        };
        let text = Cow::Owned(denied.to_string());
        Err(match denied.status() {
            StatusCode::BAD_REQUEST => Denied::BadHost(text),
            StatusCode::UNAUTHORIZED => Denied::Token(text),
            _ => Denied::Forbidden(text),
        })
    }
}

/// Whether a client that comes now is served: there is a browser, or there was one so short a time
/// ago that the client would be held until the next one comes.
pub(crate) struct BrowserDoor {
    pub(crate) upstream: Upstream,
    pub(crate) hold_max: Duration,
}

impl Door for BrowserDoor {
    fn refuses(&self) -> Option<&'static str> {
        match self.upstream.current().phase {
            Phase::Ready => None,
            Phase::Down { since, .. } => {
                let down = Instant::now().into_std().saturating_duration_since(since);
                (down >= self.hold_max).then_some("no_browser")
            }
            Phase::Starting | Phase::Gone { .. } => Some("no_browser"),
        }
    }
}
