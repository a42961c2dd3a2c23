//! `checkpoint`, `snapshots`.

use lockkeeper_api::{CheckpointView, SnapshotList, SnapshotView};
use serde_json::{Value, json};

use crate::args::{Operation, SnapshotCommand};
use crate::client::Node;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::sandboxes::{now_ms, operation, outcome_of_all, typed};
use crate::show::{self, NOTHING};

pub(crate) fn save(
    node: &Node,
    output: &mut Output,
    save: &Operation,
    waits: bool,
) -> Result<(), Failure> {
    let wait = Progress::start(format!("saving {}", save.id), waits);
    let answer = operation(node, save, "checkpoint");
    drop(wait);
    let answer = answer?;
    if output.is_json() {
        return output.json(&answer);
    }
    let made: CheckpointView = typed(node, answer)?;
    let mut facts = vec![("snapshot", made.snapshot.id.clone())];
    facts.push(("size", show::bytes(made.snapshot.bytes)));
    facts.push(("sandbox", format!("{}  {}", made.sandbox.id, made.sandbox.state.as_str())));
    facts.push(("lifecycle", made.sandbox.lifecycle_id));
    output.list(&facts)
}

pub(crate) fn run(
    node: &Node,
    output: &mut Output,
    command: Option<SnapshotCommand>,
) -> Result<(), Failure> {
    match command {
        None | Some(SnapshotCommand::Ls) => list(node, output),
        Some(SnapshotCommand::Get { id }) => {
            let answer = node.get(&Node::snapshot(&id), &[])?;
            match output.is_json() {
                true => output.json(&answer),
                false => output.list(&facts(&typed(node, answer)?)),
            }
        }
        Some(SnapshotCommand::Rm { ids }) => remove(node, output, &ids),
    }
}

fn list(node: &Node, output: &mut Output) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = Vec::new();
    let mut snapshots: Vec<Value> = Vec::new();
    loop {
        let mut page = node.get("/v1/snapshots", &query)?;
        if let Some(Value::Array(found)) = page.get_mut("snapshots").map(Value::take) {
            snapshots.extend(found);
        }
        let Some(next) = page["next"].as_str() else { break };
        query = vec![("after", next.to_owned())];
    }
    if output.is_json() {
        return output.json(&Value::Array(snapshots));
    }
    let whole = json!({ "snapshots": snapshots, "node_id": "" });
    let views: SnapshotList = typed(node, whole)?;
    let now = now_ms();
    let row = |view: &SnapshotView| {
        vec![
            view.id.clone(),
            view.sandbox_id.clone(),
            view.template.clone(),
            show::since(now, view.created_at_ms),
            show::bytes(view.bytes),
            view.browser.clone().unwrap_or_else(|| NOTHING.to_owned()),
        ]
    };
    let rows: Vec<_> = views.snapshots.iter().map(row).collect();
    output.table(&["ID", "SANDBOX", "TEMPLATE", "AGE", "SIZE", "BROWSER"], &rows)
}

/// Removes each; one that cannot be removed does not keep the others.
fn remove(node: &Node, output: &mut Output, ids: &[String]) -> Result<(), Failure> {
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        match node.delete(&Node::snapshot(id), &[]) {
            Ok(answer) if output.is_json() => answers.push(answer),
            Ok(answer) => {
                let view: SnapshotView = typed(node, answer)?;
                output.line(&format!("{}  removed", view.id))?;
            }
            Err(failure) => failures.push(failure),
        }
    }
    if output.is_json() {
        output.json(&Value::Array(answers))?;
    }
    outcome_of_all(failures, ids.len(), output)
}

fn facts(view: &SnapshotView) -> Vec<(&'static str, String)> {
    let now = now_ms();
    let mut facts = vec![("id", view.id.clone()), ("sandbox", view.sandbox_id.clone())];
    facts.push(("template", format!("{} ({})", view.template, view.flavour)));
    facts.extend(view.browser.clone().map(|browser| ("browser", browser)));
    facts.push(("created", format!("{} ago", show::since(now, view.created_at_ms))));
    if let Some(at) = view.expires_at_ms {
        facts.push(("removed in", show::span(at.saturating_sub(now))));
    }
    let unpacked = show::bytes(view.unpacked_bytes);
    facts.push(("size", format!("{}, unpacked {unpacked}", show::bytes(view.bytes))));
    facts.push(("sha256", view.sha256.clone()));
    facts.extend(view.labels.iter().map(|(key, value)| ("label", format!("{key}={value}"))));
    facts.push(("lifecycle", view.lifecycle_id.clone()));
    facts.push(("execution", view.execution_id.clone()));
    facts.push(("made by", view.made_by.clone()));
    facts
}
