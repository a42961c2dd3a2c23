//! `create`, `ls`, `get`, `pause`, `resume`, `rm`.

use std::time::{SystemTime, UNIX_EPOCH};

use lockkeeper_api::{
    CreateRequest, OperationRequest, SandboxDetails, SandboxEvent, SandboxList, SandboxState,
    SandboxView,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{Create, List, Operation, Pair, Remove};
use crate::client::Node;
use crate::events::tail;
use crate::failure::Failure;
use crate::output::{Output, plain};
use crate::progress::Progress;
use crate::show::{self, NOTHING};

pub(crate) fn create(
    node: &Node,
    output: &mut Output,
    create: Create,
    waits: bool,
) -> Result<(), Failure> {
    let quiet = create.quiet;
    let what = match &create.id {
        Some(id) => format!("starting {id}"),
        None => "starting a sandbox".to_owned(),
    };
    let mut request = CreateRequest::default();
    ask(&mut request, create);
    let wait = Progress::start(what, waits);
    let answer = node.post("/v1/sandboxes", &request)?;
    drop(wait);
    if output.is_json() {
        return output.json(&answer);
    }
    let view: SandboxView = typed(node, answer)?;
    if quiet {
        return output.line(&plain(&view.cdp_url));
    }
    output.list(&facts(&view))
}

/// Everything that is asked for; what the command line has no word for stays the node's choice.
fn ask(request: &mut CreateRequest, create: Create) {
    let map = |pairs: Vec<Pair>| pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
    request.id = create.id;
    request.request_id = create.request_id;
    request.template = create.template;
    request.snapshot_id = create.snapshot;
    request.flavour = create.flavour;
    request.flags = (!create.flags.is_empty()).then_some(create.flags);
    request.viewport = create.viewport;
    request.user_agent = create.user_agent;
    request.proxy = create.proxy;
    request.extensions = (!create.extensions.is_empty()).then_some(create.extensions);
    request.env = (!create.env.is_empty()).then(|| map(create.env));
    request.ttl = create.ttl;
    request.idle = create.idle;
    request.queue_timeout = create.queue_timeout;
    request.labels = map(create.labels);
    request.on_crash = create.on_crash;
    request.on_close = create.on_close;
    request.on_expire = create.on_expire;
    request.on_drain = create.on_drain;
    request.auto_resume = create.no_auto_resume.then_some(false);
}

pub(crate) fn list(node: &Node, output: &mut Output, list: &List) -> Result<(), Failure> {
    if list.watch {
        return watch(node, output, list);
    }
    let mut query: Vec<(&str, String)> = Vec::new();
    if list.all {
        query.extend(SandboxState::ALL.map(|state| ("state", state.as_str().to_owned())));
    }
    query.extend(list.states.iter().map(|state| ("state", state.clone())));
    query.extend(list.labels.iter().map(|Pair { key, value }| ("label", format!("{key}={value}"))));
    query.extend(list.template.iter().map(|name| ("template", name.clone())));
    let mut sandboxes: Vec<Value> = Vec::new();
    loop {
        let mut page = node.get("/v1/sandboxes", &query)?;
        if let Some(Value::Array(found)) = page.get_mut("sandboxes").map(Value::take) {
            sandboxes.extend(found);
        }
        let Some(next) = page["next"].as_str() else { break };
        query.retain(|(name, _)| *name != "after");
        query.push(("after", next.to_owned()));
    }
    if output.is_json() {
        return output.json(&Value::Array(sandboxes));
    }
    let whole = json!({ "sandboxes": sandboxes, "node_id": "" });
    let views: SandboxList = typed(node, whole)?;
    let now = now_ms();
    let rows: Vec<_> = views.sandboxes.iter().map(|view| row(view, now).to_vec()).collect();
    output.table(&["ID", "STATE", "TEMPLATE", "AGE", "ENDS IN", "SESSIONS", "DEVTOOLS"], &rows)
}

/// All that exist, then every change, as the node tells it.
fn watch(node: &Node, output: &mut Output, list: &List) -> Result<(), Failure> {
    let wanted = |view: &SandboxView| {
        list.template.as_ref().is_none_or(|template| *template == view.template)
            && list.labels.iter().all(|pair| view.labels.get(&pair.key) == Some(&pair.value))
    };
    tail(node, "/v1/sandboxes/events", &[], list.retry.duration(), |message| {
        let Ok(event) = serde_json::from_str::<SandboxEvent>(&message.data) else { return Ok(()) };
        match event {
            SandboxEvent::Present { sandbox } | SandboxEvent::Changed { sandbox } => {
                if !wanted(&sandbox) {
                    return Ok(());
                }
                if output.is_json() {
                    return output.line(&message.data);
                }
                let [id, state, template, ..] = row(&sandbox, now_ms());
                output.line(&plain(&format!("{id:<28}  {state:<24}  {template}")))
            }
            SandboxEvent::Gap { cause, .. } if !output.is_json() => {
                output.line(&format!("(changes are missing: {})", plain(&cause)))
            }
            SandboxEvent::Gap { .. } | SandboxEvent::Synced { .. } if output.is_json() => {
                output.line(&message.data)
            }
            SandboxEvent::Gap { .. } | SandboxEvent::Synced { .. } => Ok(()),
        }
    })
}

fn row(view: &SandboxView, now: u64) -> [String; 7] {
    let state = match &view.stop_reason {
        Some(reason) => format!("{} ({reason})", view.state.as_str()),
        None => view.state.as_str().to_owned(),
    };
    let ended = view.state == SandboxState::Stopped;
    let ends =
        view.expires_at_ms.map_or(NOTHING.to_owned(), |at| show::span(at.saturating_sub(now)));
    [
        view.id.clone(),
        state,
        view.template.clone(),
        show::since(now, view.created_at_ms),
        ends,
        view.sessions.to_string(),
        if ended { NOTHING.to_owned() } else { view.cdp_url.clone() },
    ]
}

pub(crate) fn get(node: &Node, output: &mut Output, id: &str, full: bool) -> Result<(), Failure> {
    let query = full.then(|| ("view", "full".to_owned()));
    let answer = node.get(&Node::sandbox(id), query.as_slice())?;
    if output.is_json() {
        return output.json(&answer);
    }
    let view: SandboxView = typed(node, answer)?;
    output.list(&facts(&view))?;
    let Some(details) = &view.details else { return Ok(()) };
    for (whose, log) in [("browser", &details.log_tail), ("runner", &details.runner_log_tail)] {
        if let Some(log) = log.as_deref().filter(|log| !log.is_empty()) {
            output.line(&format!("\nlog of the {whose}:\n{log}"))?;
        }
    }
    Ok(())
}

pub(crate) fn pause(
    node: &Node,
    output: &mut Output,
    pause: &Operation,
    waits: bool,
) -> Result<(), Failure> {
    let wait = Progress::start(format!("parking {}", pause.id), waits);
    let answer = operation(node, pause, "pause");
    drop(wait);
    let answer = answer?;
    if output.is_json() {
        return output.json(&answer);
    }
    let view: SandboxView = typed(node, answer)?;
    output.line(&format!("{}  {}", view.id, view.state.as_str()))
}

pub(crate) fn resume(
    node: &Node,
    output: &mut Output,
    resume: &Operation,
    waits: bool,
) -> Result<(), Failure> {
    let wait = Progress::start(format!("bringing {} back", resume.id), waits);
    let answer = operation(node, resume, "resume");
    drop(wait);
    let answer = answer?;
    if output.is_json() {
        return output.json(&answer);
    }
    output.list(&facts(&typed(node, answer)?))
}

pub(crate) fn operation(node: &Node, operation: &Operation, verb: &str) -> Result<Value, Failure> {
    let Operation { id: _, lifecycle_id, request_id } = operation.clone();
    let request = OperationRequest { lifecycle_id, request_id };
    node.post(&format!("{}/{verb}", Node::sandbox(&operation.id)), &request)
}

/// All that is known of a sandbox, what is needed most first.
fn facts(view: &SandboxView) -> Vec<(&'static str, String)> {
    let now = now_ms();
    let ago = |at: u64| format!("{} ago", show::since(now, at));
    let mut facts = vec![("id", view.id.clone()), ("state", view.state.as_str().to_owned())];
    if let Some(reason) = &view.stop_reason {
        facts.push(("reason", reason.clone()));
    }
    facts.extend(view.stop_detail.clone().map(|detail| ("detail", detail)));
    facts.extend(view.stopped_at_ms.map(|at| ("ended", ago(at))));
    facts.extend(view.paused_at_ms.map(|at| ("parked", ago(at))));
    if view.state != SandboxState::Stopped {
        facts.push(("cdp_url", view.cdp_url.clone()));
        facts.push(("ws_url", view.ws_url.clone()));
        facts.extend(view.port_url.clone().map(|url| ("port_url", url)));
    }
    if let Some(browser) = &view.browser {
        let product = browser.product.as_deref().unwrap_or("browser");
        let text = format!(
            "{product}, {}, generation {}, crashes {}",
            browser.phase, browser.generation, browser.crashes
        );
        facts.push(("browser", text));
    }
    facts.extend(view.details.iter().flat_map(detail_facts));
    facts.push(("template", format!("{} ({})", view.template, view.flavour)));
    facts.push(("sessions", view.sessions.to_string()));
    facts.push(("created", ago(view.created_at_ms)));
    if let Some(start) = view.times.start_ms {
        let queued = show::span(view.times.queue_ms);
        facts.push(("started in", format!("{} after {queued} in the queue", show::span(start))));
    }
    if let Some(at) = view.expires_at_ms {
        facts.push(("ends in", show::span(at.saturating_sub(now))));
    }
    facts.push(("unused for", format!("at most {}", show::limit(view.idle_ms))));
    facts.extend(view.labels.iter().map(|(key, value)| ("label", format!("{key}={value}"))));
    facts.extend(view.cleanup_errors.iter().map(|error| ("left behind", error.clone())));
    facts.push(("lifecycle", view.lifecycle_id.clone()));
    facts.push(("execution", view.execution_id.clone()));
    facts.push(("node", view.node_id.clone()));
    facts
}

fn detail_facts(details: &SandboxDetails) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(usage) = &details.usage {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        facts.extend(usage.memory_bytes.map(|bytes| ("memory", mib(bytes))));
        facts.extend(usage.cpu_ms.map(|ms| ("processor", show::span(ms))));
        facts.extend(usage.processes.map(|count| ("processes", count.to_string())));
        facts.extend(usage.profile_bytes.map(|bytes| ("profile", mib(bytes))));
    }
    facts.extend(details.ended_browsers.iter().map(|browser| {
        let by = if browser.expected { "as ordered" } else { "by itself" };
        let (generation, uptime) = (browser.generation, show::span(browser.uptime_ms));
        ("ended", format!("browser {generation} {by} after {uptime}, {}", browser.cause))
    }));
    facts
}

/// Ends each; one that cannot be ended does not keep the others alive.
pub(crate) fn remove(
    node: &Node,
    output: &mut Output,
    remove: &Remove,
    waits: bool,
) -> Result<(), Failure> {
    let mut query = vec![("wait", remove.wait.clone())];
    query.extend(remove.lifecycle_id.iter().map(|id| ("lifecycle_id", id.clone())));
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    for id in &remove.ids {
        let wait = Progress::start(format!("ending {id}"), waits);
        let answer = node.delete(&Node::sandbox(id), &query);
        drop(wait);
        match answer {
            Ok(answer) if output.is_json() => answers.push(answer),
            Ok(answer) => {
                let view: SandboxView = typed(node, answer)?;
                output.line(&format!("{}  {}", view.id, view.state.as_str()))?;
            }
            Err(failure) => failures.push(failure),
        }
    }
    if output.is_json() {
        output.json(&Value::Array(answers))?;
    }
    outcome_of_all(failures, remove.ids.len(), output)
}

/// What several calls of one command came to; each failure is told.
pub(crate) fn outcome_of_all(
    mut failures: Vec<Failure>,
    all: usize,
    output: &Output,
) -> Result<(), Failure> {
    match failures.len() {
        0 => Ok(()),
        1 if all == 1 => Err(failures.remove(0)),
        failed => {
            failures.iter().for_each(|failure| failure.tell(output.is_json()));
            let exit = failures[0].exit_code();
            Err(Failure::Several { failed, all, exit })
        }
    }
}

/// An answer of the shape that this version of the client knows.
pub(crate) fn typed<T: DeserializeOwned>(node: &Node, answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| Failure::Foreign {
        url: node.base().to_owned(),
        status: 200,
        text: format!("{error}; client and node may be of different versions, try --json"),
    })
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
