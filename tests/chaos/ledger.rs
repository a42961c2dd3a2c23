//! Everything that the daemon told: read from its live stream while it ran, and from its log after
//! its end. What was told live must be in the log, once, in order, with the same words.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::daemon::Daemon;

#[derive(Default)]
struct Told {
    by_offset: BTreeMap<u64, Value>,
    /// Offsets of a sandbox's events, in order.
    by_sandbox: HashMap<String, Vec<u64>>,
    /// Events that came twice or out of order.
    faults: Vec<String>,
    ended: bool,
}

/// The live stream of one daemon.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<(Mutex<Told>, Condvar)>);

impl Ledger {
    /// Follows the stream from the first event on.
    pub(crate) fn follow(daemon: &Daemon) -> Result<Self, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let url = format!("{}/v1/telemetry/stream?replay=all", daemon.base());
        let answer = agent.get(url).call().map_err(|e| format!("the event stream: {e}"))?;
        let ledger = Self(Arc::default());
        let theirs = ledger.clone();
        std::thread::spawn(move || {
            let lines = BufReader::new(answer.into_body().into_reader()).lines();
            for line in lines.map_while(Result::ok) {
                let data = line.strip_prefix("data: ");
                if let Some(event) = data.and_then(|data| serde_json::from_str(data).ok()) {
                    theirs.add(event);
                }
            }
            theirs.told().ended = true;
            theirs.0.1.notify_all();
        });
        Ok(ledger)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn add(&self, event: Value) {
        let mut told = self.told();
        let Some(offset) = event["offset"].as_u64() else { return };
        let last = told.by_offset.last_key_value().map_or(0, |(last, _)| *last);
        if offset != last + 1 {
            told.faults.push(format!("offset {offset} came after {last}"));
        }
        if let Some(sandbox) = event["sandbox"].as_str() {
            told.by_sandbox.entry(sandbox.to_owned()).or_default().push(offset);
        }
        told.by_offset.insert(offset, event);
        drop(told);
        self.0.1.notify_all();
    }

    /// The `nth` event of a kind about a sandbox, counted from 0; waits for it.
    pub(crate) fn wait(
        &self,
        sandbox: &str,
        kind: &str,
        nth: usize,
        limit: Duration,
    ) -> Result<Value, String> {
        let until = Instant::now() + limit;
        let mut told = self.told();
        loop {
            let offsets = told.by_sandbox.get(sandbox).map(Vec::as_slice).unwrap_or_default();
            let events = offsets.iter().filter_map(|offset| told.by_offset.get(offset));
            if let Some(event) = events.filter(|e| e["type"] == kind).nth(nth) {
                return Ok(event.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || told.ended {
                return Err(format!("no {kind} number {nth} about {sandbox} after {limit:?}"));
            }
            told = self.0.1.wait_timeout(told, left).map_or_else(|e| e.into_inner().0, |w| w.0);
        }
    }

    /// Compares what was told with the log of the next daemon on the same state: every difference.
    pub(crate) fn audit(&self, log: &[Value]) -> Vec<String> {
        let told = self.told();
        let mut wrong = told.faults.clone();
        let mut stored = HashMap::with_capacity(log.len());
        let mut last = 0;
        for event in log {
            let offset = event["offset"].as_u64().unwrap_or_default();
            if offset != last + 1 {
                wrong.push(format!("the log goes from offset {last} to {offset}"));
            }
            last = offset;
            stored.insert(offset, event);
        }
        for (offset, event) in &told.by_offset {
            match stored.get(offset) {
                None => wrong.push(format!("event {offset} was told and is not in the log")),
                Some(kept) if *kept != event => {
                    wrong.push(format!("event {offset} was told as {event} and is kept as {kept}"));
                }
                Some(_) => {}
            }
        }
        wrong
    }
}

/// The whole log of a daemon, page by page.
pub(crate) fn read_log(daemon: &Daemon) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    let mut after = String::new();
    // A log of this size would be a fault of its own.
    for _ in 0..10_000 {
        let path = format!("/v1/telemetry/events?limit=1000{after}");
        let page = daemon.call("GET", &path, None)?;
        let Value::Array(events) = page.body else {
            return Err(format!("{path} was answered {}: {}", page.status, page.body));
        };
        all.extend(events);
        let header = |name: &str| page.headers.get(name).cloned().unwrap_or_default();
        if header("x-has-more") != "true" {
            return Ok(all);
        }
        after = format!("&after={}", header("x-next-cursor"));
    }
    Err("the log does not end".to_owned())
}
