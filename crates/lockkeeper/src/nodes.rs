//! `info`, `drain`, `undrain`.

use lockkeeper_api::{
    DrainReport, DrainRequest, NodeInfo, NodeStatus, SandboxState, StatusRequest,
};
use serde_json::Value;

use crate::args::Drain;
use crate::client::Node;
use crate::failure::Failure;
use crate::output::{Output, plain};
use crate::progress::Progress;
use crate::sandboxes::{now_ms, typed};
use crate::show;
use crate::sse::messages;

pub(crate) fn info(node: &Node, output: &mut Output) -> Result<(), Failure> {
    let answer = node.get("/v1/node", &[])?;
    print(node, output, answer)
}

pub(crate) fn drain(
    node: &Node,
    output: &mut Output,
    drain: &Drain,
    waits: bool,
) -> Result<(), Failure> {
    let request =
        DrainRequest { announce: drain.announce, deadline: drain.deadline, force: drain.force };
    let answer = node.post("/v1/node/drain", &request)?;
    if !drain.wait {
        return print(node, output, answer);
    }
    wait_drained(node, waits)?;
    print(node, output, node.get("/v1/node", &[])?)
}

/// Waits until the drain has nothing to wait for any more.
fn wait_drained(node: &Node, waits: bool) -> Result<(), Failure> {
    let stream = node.stream("/v1/node/drain/events", &[], None)?;
    let mut wait = None;
    for message in messages(stream) {
        let report: DrainReport = match serde_json::from_str(&message.data) {
            Ok(report) => report,
            Err(_) => continue,
        };
        if report.status != NodeStatus::Draining {
            let text = "the drain was ended by somebody else before it had finished";
            return Err(Failure::Interrupted(text.to_owned()));
        }
        if drained(&report) {
            return Ok(());
        }
        // The old line is wiped before the new one is written.
        drop(wait.take());
        wait = Some(Progress::start(in_the_way(&report), waits));
    }
    Err(Failure::Interrupted("the node has ended before the drain was seen to finish".to_owned()))
}

fn drained(report: &DrainReport) -> bool {
    let alive = |(state, n): (&SandboxState, &u64)| *n > 0 && *state != SandboxState::Paused;
    report.lifecycles == 0 && !report.accepting && !report.sandboxes.iter().any(alive)
}

/// How many are in the way, and the oldest of them.
fn in_the_way(report: &DrainReport) -> String {
    let mut text = format!("draining: {} left", report.blocking.max(report.lifecycles));
    if let Some(oldest) = report.blockers.first() {
        let id = plain(&oldest.id);
        text.push_str(&format!(
            ", {id} is {} with {} sessions",
            oldest.state.as_str(),
            oldest.sessions
        ));
    }
    if let Some(left) = report.budget_left_ms {
        text.push_str(&format!(", the rest is stopped in {}", show::span(left)));
    }
    text
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
