//! Pure: answers about the node as messages.

use std::collections::BTreeMap;

use super::answers::{length, moment};
use super::{Blocker, Capacity, DrainReport, NodeInfo, NodeStatus, PoolStock, Slots};
use crate as api;

impl From<api::NodeStatus> for NodeStatus {
    fn from(status: api::NodeStatus) -> Self {
        match status {
            api::NodeStatus::Healthy => Self::Healthy,
            api::NodeStatus::Draining => Self::Draining,
            api::NodeStatus::Standby => Self::Standby,
            api::NodeStatus::Unhealthy => Self::Unhealthy,
        }
    }
}

fn by_word(states: BTreeMap<api::SandboxState, u64>) -> BTreeMap<String, u64> {
    states.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect()
}

impl From<api::NodeInfo> for NodeInfo {
    fn from(info: api::NodeInfo) -> Self {
        let stock = |(template, stock): (String, api::PoolStock)| {
            let api::PoolStock { size, idle, starting } = stock;
            (template, PoolStock { size, idle, starting })
        };
        let api::Capacity { max, used } = info.capacity;
        let capacity = Capacity { max, used };
        let api::Slots { max, used, queued } = info.slots;
        Self {
            node_id: info.node_id,
            version: info.version,
            status: NodeStatus::from(info.status).into(),
            accepting: info.accepting,
            changed_at: Some(moment(info.changed_at_ms)),
            phase: info.phase,
            drain_deadline: info.drain_deadline_ms.map(moment),
            capacity: Some(capacity),
            slots: Some(Slots { max, used, queued }),
            pool: info.pool.into_iter().map(stock).collect(),
            sandboxes: by_word(info.sandboxes),
            sessions: info.sessions,
            isolation: info.isolation,
            flavours: info.flavours,
            templates: info.templates,
            default_ttl: Some(length(info.default_ttl_ms)),
            max_ttl: Some(length(info.max_ttl_ms)),
        }
    }
}

impl From<api::DrainReport> for DrainReport {
    fn from(report: api::DrainReport) -> Self {
        Self {
            node_id: report.node_id,
            status: NodeStatus::from(report.status).into(),
            accepting: report.accepting,
            phase: report.phase,
            sandboxes: by_word(report.sandboxes),
            lifecycles: report.lifecycles,
            sessions: report.sessions,
            saves: report.saves,
            blocking: report.blocking,
            blockers: report.blockers.into_iter().map(Blocker::from).collect(),
            deadline: report.deadline_ms.map(moment),
            budget_left: report.budget_left_ms.map(length),
        }
    }
}

impl From<api::DrainView> for Blocker {
    fn from(view: api::DrainView) -> Self {
        Self {
            id: view.id,
            state: view.state.as_str().to_owned(),
            age: Some(length(view.age_ms)),
            sessions: view.sessions,
            expires_in: view.expires_in_ms.map(length),
        }
    }
}
