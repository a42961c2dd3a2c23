//! `info`, `drain`, `undrain`.

use lockkeeper_api::{DrainRequest, NodeInfo, NodeStatus, StatusRequest};
use serde_json::Value;

use crate::args::Drain;
use crate::client::Node;
use crate::failure::Failure;
use crate::output::Output;
use crate::sandboxes::{now_ms, typed};
use crate::show;

pub(crate) fn info(node: &Node, output: &mut Output) -> Result<(), Failure> {
    let answer = node.get("/v1/node", &[])?;
    print(node, output, answer)
}

pub(crate) fn drain(node: &Node, output: &mut Output, drain: &Drain) -> Result<(), Failure> {
    let request =
        DrainRequest { announce: drain.announce, deadline: drain.deadline, force: drain.force };
    let answer = node.post("/v1/node/drain", &request)?;
    print(node, output, answer)
}

pub(crate) fn undrain(node: &Node, output: &mut Output) -> Result<(), Failure> {
    let answer = node.put("/v1/node/status", &StatusRequest { status: NodeStatus::Healthy })?;
    print(node, output, answer)
}

fn print(node: &Node, output: &mut Output, answer: Value) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&answer);
    }
    output.list(&facts(&typed(node, answer)?))
}

fn facts(info: &NodeInfo) -> Vec<(&'static str, String)> {
    let now = now_ms();
    let accepting = if info.accepting { "takes sandboxes" } else { "takes no sandboxes" };
    let since = show::since(now, info.changed_at_ms);
    let mut facts = vec![
        ("node", info.node_id.clone()),
        ("version", info.version.clone()),
        ("status", format!("{} for {since}, {accepting}", info.status.as_str())),
        ("phase", info.phase.clone()),
    ];
    if let Some(at) = info.drain_deadline_ms {
        facts.push(("drain ends in", show::span(at.saturating_sub(now))));
    }
    let states: Vec<String> =
        info.sandboxes.iter().map(|(state, n)| format!("{n} {}", state.as_str())).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    facts.extend([
        ("sandboxes", states),
        ("capacity", format!("{} of {} taken", info.capacity.used, info.capacity.max)),
        (
            "start slots",
            format!(
                "{} of {} taken, {} waiting",
                info.slots.used, info.slots.max, info.slots.queued
            ),
        ),
        ("sessions", info.sessions.to_string()),
        ("isolation", info.isolation.clone()),
        ("flavours", info.flavours.join(", ")),
        ("templates", info.templates.join(", ")),
        (
            "time to live",
            format!(
                "{}, at most {}",
                show::limit(info.default_ttl_ms),
                show::limit(info.max_ttl_ms)
            ),
        ),
    ]);
    facts
}
