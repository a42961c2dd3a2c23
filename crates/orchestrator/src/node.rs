//! Pure: the node's one door and what it says of itself.
//!
//! Status, `accepting` and readiness are computed from the same fields that admission reads, so they
//! cannot disagree with what is admitted.

use std::time::Instant;

pub use lockkeeper_api::NodeStatus;

/// Who closed the door, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// An operator; reversible.
    Operator,
    /// The end of the daemon; for good.
    Shutdown,
}

/// Whether new work gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Yes.
    Open,
    /// Still, while the status already says that it will not.
    Announcing {
        /// When the door closes; the shutdown closes it itself.
        until: Option<Instant>,
        /// Who closes it.
        by: ClosedBy,
    },
    /// No.
    Closed {
        /// Who closed it.
        by: ClosedBy,
    },
}

/// What is known of the node's fitness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its start has not finished; the step under way.
    Starting(&'static str),
    /// Fit.
    Fit,
    /// Fit, and waits to be promoted.
    Standby,
    /// A check of the node by itself failed; why.
    Unfit(String),
    /// An operator said that it is unfit.
    Marked,
}

/// The node's admission state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    door: Door,
    verdict: Verdict,
}

/// Why the door refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorRefusal {
    /// The node drains.
    #[error("the node is draining: it takes no new sandboxes, use another node")]
    Draining,
    /// The node waits to be promoted.
    #[error("the node is on standby: it takes no new sandboxes until an operator promotes it")]
    Standby,
    /// The node found itself unfit.
    #[error("the node is unhealthy: {0}")]
    Unhealthy(String),
    /// The node's start has not finished.
    #[error("the node is still starting ({0}), try again in a second")]
    NotReady(&'static str),
}

/// Why a status was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Only a healthy node can be put on standby.
    #[error("a draining node cannot be put on standby, set it to healthy first")]
    Transition,
    /// The daemon is ending.
    #[error("the node is shutting down, its status no longer changes")]
    ShuttingDown,
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// A node whose start has not finished.
    pub fn new() -> Self {
        Self { door: Door::Open, verdict: Verdict::Starting("starting") }
    }

    /// Lets work in or says why not.
    ///
    /// # Errors
    /// See [`DoorRefusal`].
    pub fn admit(&self) -> Result<(), DoorRefusal> {
        match (&self.door, &self.verdict) {
            (Door::Closed { .. }, _) => Err(DoorRefusal::Draining),
            (Door::Open | Door::Announcing { .. }, Verdict::Fit) => Ok(()),
            (_, Verdict::Standby) => Err(DoorRefusal::Standby),
            (_, Verdict::Unfit(why)) => Err(DoorRefusal::Unhealthy(why.clone())),
            (_, Verdict::Marked) => Err(DoorRefusal::Unhealthy("an operator said so".to_owned())),
            (_, Verdict::Starting(step)) => Err(DoorRefusal::NotReady(step)),
        }
    }

    /// What the node says of itself.
    pub fn status(&self) -> NodeStatus {
        match (&self.door, &self.verdict) {
            (Door::Closed { .. } | Door::Announcing { .. }, _) => NodeStatus::Draining,
            (Door::Open, Verdict::Fit | Verdict::Starting(_)) => NodeStatus::Healthy,
            (Door::Open, Verdict::Standby) => NodeStatus::Standby,
            (Door::Open, Verdict::Unfit(_) | Verdict::Marked) => NodeStatus::Unhealthy,
        }
    }

    /// Whether its start has finished.
    pub fn started(&self) -> bool {
        !matches!(self.verdict, Verdict::Starting(_))
    }

    /// Whether new work gets in.
    pub fn accepting(&self) -> bool {
        self.admit().is_ok()
    }

    /// Whether load balancers should send work here.
    pub fn ready(&self) -> bool {
        self.door == Door::Open && self.verdict == Verdict::Fit
    }

    /// The door.
    pub fn door(&self) -> Door {
        self.door
    }

    /// What is known of the node's fitness.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Whether the daemon is ending.
    pub fn shutting_down(&self) -> bool {
        matches!(
            self.door,
            Door::Closed { by: ClosedBy::Shutdown }
                | Door::Announcing { by: ClosedBy::Shutdown, .. }
        )
    }

    /// An operator sets the status. The same status again changes nothing.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub fn set_status(&mut self, wanted: NodeStatus) -> Result<(), StatusError> {
        if self.shutting_down() {
            return Err(StatusError::ShuttingDown);
        }
        let announcing = matches!(self.door, Door::Announcing { .. });
        let now = self.status();
        match wanted {
            NodeStatus::Draining if announcing || now != NodeStatus::Draining => {
                self.door = Door::Closed { by: ClosedBy::Operator };
            }
            NodeStatus::Standby if now == NodeStatus::Draining => {
                return Err(StatusError::Transition);
            }
            NodeStatus::Healthy if now != NodeStatus::Healthy => {
                self.door = Door::Open;
                self.settle(Verdict::Fit);
            }
            NodeStatus::Standby if now != NodeStatus::Standby => self.settle(Verdict::Standby),
            NodeStatus::Unhealthy if now != NodeStatus::Unhealthy => {
                self.door = Door::Open;
                self.settle(Verdict::Marked);
            }
            NodeStatus::Draining
            | NodeStatus::Healthy
            | NodeStatus::Standby
            | NodeStatus::Unhealthy => {}
        }
        Ok(())
    }

    /// A start that has not finished is not finished by a call.
    fn settle(&mut self, verdict: Verdict) {
        match self.verdict {
            Verdict::Starting(_) => {}
            Verdict::Fit | Verdict::Standby | Verdict::Unfit(_) | Verdict::Marked => {
                self.verdict = verdict;
            }
        }
    }

    /// An operator's drain that lets work in until `until`.
    ///
    /// # Errors
    /// [`StatusError::ShuttingDown`].
    pub fn announce(&mut self, until: Instant) -> Result<(), StatusError> {
        if self.shutting_down() {
            return Err(StatusError::ShuttingDown);
        }
        match self.door {
            // A closed door is not opened by a slower way to close it.
            Door::Closed { .. } => {}
            Door::Open | Door::Announcing { .. } => {
                self.door = Door::Announcing { until: Some(until), by: ClosedBy::Operator };
            }
        }
        Ok(())
    }

    /// The operator's announced time, if it has one.
    pub fn closes_at(&self) -> Option<Instant> {
        match self.door {
            Door::Announcing { until, by: ClosedBy::Operator } => until,
            Door::Announcing { by: ClosedBy::Shutdown, .. } | Door::Open | Door::Closed { .. } => {
                None
            }
        }
    }

    /// Closes the door if its announced time has come.
    pub fn expire(&mut self, now: Instant) {
        if self.closes_at().is_some_and(|until| until <= now) {
            self.door = Door::Closed { by: ClosedBy::Operator };
        }
    }

    /// The daemon announces its end. A door that an operator closed stays closed.
    pub fn shutdown_announce(&mut self) {
        self.door = match self.door {
            Door::Open | Door::Announcing { .. } => {
                Door::Announcing { until: None, by: ClosedBy::Shutdown }
            }
            Door::Closed { .. } => Door::Closed { by: ClosedBy::Shutdown },
        };
    }

    /// The daemon ends: closed for good.
    pub fn shutdown_close(&mut self) {
        self.door = Door::Closed { by: ClosedBy::Shutdown };
    }

    /// The start goes on with `step`.
    pub fn starting(&mut self, step: &'static str) {
        if matches!(self.verdict, Verdict::Starting(_)) {
            self.verdict = Verdict::Starting(step);
        }
    }

    /// A check of the node by itself.
    pub fn judge(&mut self, fitness: Result<(), String>) {
        match (fitness, &self.verdict) {
            // What an operator said stays until an operator says otherwise.
            (_, Verdict::Marked) | (Ok(()), Verdict::Fit | Verdict::Standby) => {}
            (Err(why), _) => self.verdict = Verdict::Unfit(why),
            (Ok(()), Verdict::Starting(_) | Verdict::Unfit(_)) => self.verdict = Verdict::Fit,
        }
    }
}

#[cfg(test)]
mod tests;
