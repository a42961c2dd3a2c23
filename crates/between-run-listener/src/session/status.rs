//! Pure: what the agent of a session is doing, folded from its events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Event, EventType};

/// Tools whose call is a question to the user, by name in lower case without anything but letters.
const QUESTION_TOOLS: &[&str] = &["askuserquestion"];

/// Most calls of question tools that are kept in mind in one run.
const QUESTIONS_MAX: usize = 1_024;

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// It has had no run.
    #[default]
    New,
    /// A run is open.
    Working,
    /// Its last run ended with a question to the user.
    WaitingInput,
    /// Its last run has ended.
    Idle,
}

/// The error of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// What it says.
    pub message: String,
    /// A stable word, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The fold.
#[derive(Debug, Clone, Default)]
pub struct Status {
    agent: Agent,
    last_error: Option<LastError>,
    /// Whether the open run counts; runs of ours for input and between runs do not.
    counts: bool,
    /// Calls of question tools in the open run, and whether each has its answer.
    questions: BTreeMap<String, bool>,
}

impl Status {
    /// Goes on from where no run was open.
    pub fn resume(agent: Agent, last_error: Option<LastError>) -> Self {
        Self { agent, last_error, ..Self::default() }
    }

    /// What the agent is doing.
    pub const fn agent(&self) -> Agent {
        self.agent
    }

    /// The error of its last run, if that ended with one.
    pub const fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_ref()
    }

    /// Takes an event in the order of the log. `counts` says of a RUN_STARTED whether a client or
    /// the runner began that run.
    pub fn apply(&mut self, event: &Event, counts: bool) {
        if event.kind == EventType::RunStarted {
            self.counts = counts;
        }
        if !self.counts {
            return;
        }
        match event.kind {
            EventType::RunStarted => {
                self.agent = Agent::Working;
                self.last_error = None;
                self.questions.clear();
            }
            EventType::RunFinished => {
                let outcome = event.field("outcome").and_then(|outcome| outcome.get("type"));
                let interrupted = outcome == Some(&Value::from("interrupt"));
                let asked = self.questions.values().any(|answered| !answered);
                self.agent = if interrupted || asked { Agent::WaitingInput } else { Agent::Idle };
                self.counts = false;
            }
            EventType::RunError => {
                self.agent = Agent::Idle;
                self.last_error = Some(LastError {
                    message: event.text("message").unwrap_or_default().to_owned(),
                    code: event.text("code").map(str::to_owned),
                });
                self.counts = false;
            }
            EventType::ToolStart | EventType::ToolChunk => self.called(event),
            EventType::ToolResult => {
                let call = event.text("toolCallId").unwrap_or_default();
                if let Some(answered) = self.questions.get_mut(call) {
                    *answered = true;
                }
            }
            _ => {}
        }
    }

    fn called(&mut self, event: &Event) {
        let (Some(name), Some(call)) = (event.text("toolCallName"), event.text("toolCallId"))
        else {
            return;
        };
        let letters = name.chars().filter(|c| c.is_ascii_alphabetic());
        let word: String = letters.map(|c| c.to_ascii_lowercase()).collect();
        if QUESTION_TOOLS.contains(&word.as_str()) && self.questions.len() < QUESTIONS_MAX {
            self.questions.entry(call.to_owned()).or_insert(false);
        }
    }
}

#[cfg(test)]
mod tests;
