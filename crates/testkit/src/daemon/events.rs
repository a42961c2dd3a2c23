//! Follows a daemon's telemetry stream from another thread and lets a test wait for an event.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent;

#[derive(Default)]
struct Seen {
    events: Vec<Value>,
    ended: bool,
}

/// The telemetry envelopes of one daemon in log order, as they arrive.
///
/// Dropping it leaves the reader thread to end with the stream.
#[derive(Clone)]
pub struct Events {
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Events {
    /// Opens `{base}/v1/telemetry/stream?replay=all` and returns once the daemon has answered.
    ///
    /// # Errors
    /// When the stream does not open.
    pub(super) fn follow(
        base: &str,
        token: Option<&str>,
        trusted: Option<&str>,
    ) -> Result<Self, String> {
        Self::open(&format!("{base}/v1/telemetry/stream?replay=all"), token, trusted)
    }

    /// The same from now on: without what the daemon still has of the past.
    ///
    /// # Errors
    /// When the stream does not open.
    pub(super) fn follow_from_now(
        base: &str,
        token: Option<&str>,
        trusted: Option<&str>,
    ) -> Result<Self, String> {
        Self::open(&format!("{base}/v1/telemetry/stream"), token, trusted)
    }

    fn open(url: &str, token: Option<&str>, trusted: Option<&str>) -> Result<Self, String> {
        let agent = agent::of_streams(trusted)?;
        let mut request = agent.get(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|e| format!("the event stream did not open: {e}"))?;
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let theirs = Arc::clone(&seen);
        std::thread::spawn(move || {
            let reader = BufReader::new(answer.into_body().into_reader());
            for line in reader.lines() {
                let Ok(line) = line else { break };
                let Some(data) = line.strip_prefix("data: ") else { continue };
                if let Ok(event) = serde_json::from_str(data) {
                    theirs.0.lock().expect("no panic under this lock").events.push(event);
                    theirs.1.notify_all();
                }
            }
            theirs.0.lock().expect("no panic under this lock").ended = true;
            theirs.1.notify_all();
        });
        Ok(Self { seen })
    }

    /// Everything seen so far.
    pub fn all(&self) -> Vec<Value> {
        self.seen.0.lock().expect("no panic under this lock").events.clone()
    }

    /// Every event of a type seen so far.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.all().into_iter().filter(|e| e["type"] == kind).collect()
    }

    /// The first event that `wanted` accepts, waiting for it at most `limit`.
    ///
    /// # Errors
    /// A text with every event seen, when none came in time.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        self.wait(what, limit, |events| events.iter().find(|e| wanted(e)).cloned())
    }

    /// Every event of a type, once there are at least `count` of them.
    ///
    /// # Errors
    /// A text with every event seen, when there were fewer in time.
    pub fn wait_count(
        &self,
        kind: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Value>, String> {
        self.wait(&format!("{count} {kind}"), limit, |events| {
            let found: Vec<Value> = events.iter().filter(|e| e["type"] == kind).cloned().collect();
            (found.len() >= count).then_some(found)
        })
    }

    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        find: impl Fn(&[Value]) -> Option<T>,
    ) -> Result<T, String> {
        let until = Instant::now() + limit;
        let mut seen = self.seen.0.lock().expect("no panic under this lock");
        loop {
            if let Some(found) = find(&seen.events) {
                return Ok(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.ended {
                let lines: Vec<String> = seen.events.iter().map(Value::to_string).collect();
                let end = if seen.ended { "the stream ended" } else { "not in time" };
                return Err(format!("waited for {what}: {end}; seen:\n{}", lines.join("\n")));
            }
            seen = self.seen.1.wait_timeout(seen, left).expect("no panic under this lock").0;
        }
    }

    /// Waits until the daemon has ended the stream.
    ///
    /// # Errors
    /// When it is still open after `limit`.
    pub fn wait_end(&self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        let mut seen = self.seen.0.lock().expect("no panic under this lock");
        while !seen.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("the event stream is still open".to_owned());
            }
            seen = self.seen.1.wait_timeout(seen, left).expect("no panic under this lock").0;
        }
        Ok(())
    }
}
