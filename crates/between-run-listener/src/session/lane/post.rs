//! Pure: runs that clients post.

use std::time::Instant;

use super::{Began, Draft, Event, Lane, Map, Source, Value, hash, json};
use crate::session::event::Invalid;
use crate::session::schema;

/// A run that was posted and has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted {
    /// Its id.
    pub run: String,
    /// Its thread.
    pub thread: String,
    /// Its messages that the log does not know, until they are logged.
    input: Vec<Value>,
    /// Whether its RUN_STARTED has come.
    pub(super) started: bool,
}

impl Posted {
    /// Reads what a client posts to start a run.
    ///
    /// # Errors
    /// The field that does not fit.
    pub fn read(input: &Map<String, Value>) -> Result<Self, Invalid> {
        schema::check_input(input)?;
        let text = |field| input.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (run, thread) = (text("runId"), text("threadId"));
        if run.is_empty() {
            return Err(Invalid::Field { field: "runId" });
        }
        if thread.is_empty() {
            return Err(Invalid::Field { field: "threadId" });
        }
        let messages = input.get("messages").and_then(Value::as_array).cloned();
        Ok(Self { run, thread, input: messages.unwrap_or_default(), started: false })
    }
}

/// Why a posted run is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another one is open.
    #[error("the run {run} of this session has not ended: wait for its end, or interrupt it")]
    Active {
        /// Which.
        run: String,
    },
    /// Its id was used before.
    #[error("this session has had a run of this id: choose a new one")]
    Exists,
    /// The session has another thread.
    #[error("this session's thread is {thread}: post runs of that one, or use another session")]
    Thread {
        /// The session's thread.
        thread: String,
    },
}

impl Refused {
    /// A stable word for answers and metric labels.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Active { .. } => "run_active",
            Self::Exists => "run_exists",
            Self::Thread { .. } => "thread_mismatch",
        }
    }
}

impl Lane {
    /// Takes a posted run, and logs its messages unless another run is open.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn post(
        &mut self,
        number: u64,
        mut posted: Posted,
        out: &mut Vec<Draft>,
    ) -> Result<(), Refused> {
        let client = self.open.as_ref().filter(|open| open.began == Began::Client);
        let active = client.map(|open| &open.run);
        let pending = self.posted.values().find(|posted| !posted.started);
        let active = active.or(pending.map(|posted| &posted.run));
        if self.known_runs.contains(&hash(&posted.run)) {
            return Err(Refused::Exists);
        }
        if let Some(run) = active {
            return Err(Refused::Active { run: run.clone() });
        }
        if let Some(thread) = self.thread.as_ref().filter(|thread| **thread != posted.thread) {
            return Err(Refused::Thread { thread: thread.clone() });
        }
        self.thread = Some(posted.thread.clone());
        self.known_runs.insert(hash(&posted.run));
        posted.input.retain(|message| {
            message["id"].as_str().is_some_and(|id| !self.messages.contains(&hash(id)))
        });
        self.posted.insert(number, posted);
        if self.open.as_ref().is_some_and(|open| open.began == Began::Between) {
            self.close_between(out);
        }
        if self.open.is_none() {
            self.write_input(number, out);
        }
        Ok(())
    }

    /// Whether a stream answers a posted run that has not begun.
    pub(super) fn pending(&self, from: Source) -> bool {
        match from {
            Source::Run(number) => self.posted.get(&number).is_some_and(|posted| !posted.started),
            Source::Listen(_) => false,
        }
    }

    /// Logs what the user said, as a closed run of ours.
    pub(super) fn write_input(&mut self, number: u64, out: &mut Vec<Draft>) {
        let Some(posted) = self.posted.get_mut(&number) else { return };
        let messages = std::mem::take(&mut posted.input);
        if messages.is_empty() {
            return;
        }
        let thread = posted.thread.clone();
        let run = self.next_run();
        let started = json!({
            "type": "RUN_STARTED",
            "threadId": thread,
            "runId": run,
            "input": {
                "threadId": thread, "runId": run, "messages": messages, "tools": [], "context": [],
            },
        });
        let finished = json!({ "type": "RUN_FINISHED", "threadId": thread, "runId": run });
        let from = out.len();
        self.ours(started, "input", None, out);
        self.ours(finished, "input", None, out);
        for draft in &mut out[from..] {
            draft.envelope.thread_id = Some(thread.clone());
            draft.envelope.run_id = Some(run.clone());
        }
    }

    /// Opens a posted run whose runner does not.
    pub(super) fn begin_posted(&mut self, number: u64, now: Instant, out: &mut Vec<Draft>) {
        self.write_input(number, out);
        let Some(posted) = self.posted.get_mut(&number) else { return };
        posted.started = true;
        let (run, thread) = (posted.run.clone(), posted.thread.clone());
        let fields = json!({ "type": "RUN_STARTED", "threadId": thread, "runId": run });
        self.begin_ours(run, fields, Began::Client, "run", Source::Run(number), now, out);
    }
}

/// The kinds of runs of ours that no client and no runner began.
pub(in crate::session) fn is_ours(event: &Event) -> bool {
    let kind = event.field("metadata").and_then(|metadata| metadata["lockkeeper"]["kind"].as_str());
    matches!(kind, Some("input" | "between" | "base"))
}
