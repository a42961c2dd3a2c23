//! Calls about the node.

use lockkeeper_api::{ApiError, DrainRequest, NodeInfo, StatusRequest};

use super::Face;

impl Face {
    pub(crate) fn info(&self) -> NodeInfo {
        self.orchestrator.info()
    }

    pub(crate) fn set_status(&self, request: StatusRequest) -> Result<NodeInfo, ApiError> {
        self.orchestrator.set_status(request.status)?;
        Ok(self.info())
    }

    /// Answers at once: the drain itself is seen in later answers and in the reports.
    pub(crate) fn drain(&self, request: DrainRequest) -> Result<NodeInfo, ApiError> {
        self.orchestrator.drain(request.into())?;
        Ok(self.info())
    }
}
