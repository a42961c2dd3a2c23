//! What the faces of the API share: every call from a checked request to what is answered. REST and
//! gRPC only read requests and write answers.

mod errors;
mod node;
mod sandboxes;
mod snapshots;

use std::sync::Arc;

use lockkeeper_api::{ApiError, Mistakes, SandboxAfter};

use crate::Orchestrator;
use crate::urls::{OwnPorts, UrlBuilder};

/// At most so many sandboxes or snapshots in one page.
pub(crate) const PAGE_MAX: u64 = 1000;

/// Who sent a request: an extension that the access checks in front may set, told in why a sandbox
/// ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// The calls of the API.
#[derive(Clone)]
pub(crate) struct Face {
    pub(crate) orchestrator: Orchestrator,
    urls: Arc<UrlBuilder>,
    ports: Option<Arc<dyn OwnPorts>>,
}

impl Face {
    pub(crate) fn new(
        orchestrator: &Orchestrator,
        urls: UrlBuilder,
        ports: Option<Arc<dyn OwnPorts>>,
    ) -> Self {
        Self { orchestrator: orchestrator.clone(), urls: Arc::new(urls), ports }
    }

    fn node_id(&self) -> String {
        self.orchestrator.config().node_id.clone()
    }
}

/// Wrong fields of a request about a sandbox that is left as it is.
pub(crate) fn wrong(mistakes: &Mistakes) -> ApiError {
    ApiError::bad_request(SandboxAfter::Untouched, mistakes)
}

/// The length of a page that was asked for, if it may be so long.
pub(crate) fn page_limit(limit: u64) -> Result<usize, String> {
    match usize::try_from(limit) {
        Ok(limit) if (1..=PAGE_MAX).contains(&(limit as u64)) => Ok(limit),
        _ => Err(format!("{limit} is not between 1 and {PAGE_MAX}")),
    }
}
