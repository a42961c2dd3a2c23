//! Pure: the events that close what a run leaves open.

use serde_json::{Map, Value, json};

use super::{Lane, What};

/// What ends one open item.
pub(super) fn closer(what: What, lane: &Lane, id: &str) -> Option<Map<String, Value>> {
    let event = match what {
        What::Text => json!({ "type": "TEXT_MESSAGE_END", "messageId": id }),
        What::Tool => json!({ "type": "TOOL_CALL_END", "toolCallId": id }),
        What::Span => json!({ "type": "REASONING_END", "messageId": id }),
        What::Reasoning => json!({ "type": "REASONING_MESSAGE_END", "messageId": id }),
        What::ThinkingSpan => json!({ "type": "THINKING_END" }),
        What::ThinkingText => json!({ "type": "THINKING_TEXT_MESSAGE_END" }),
        What::Step => match lane {
            Some(lane) => json!({ "type": "STEP_FINISHED", "stepName": id, "subagentRunId": lane }),
            None => json!({ "type": "STEP_FINISHED", "stepName": id }),
        },
        What::Subagent => json!({
            "type": "SUBAGENT_ERROR",
            "subagentRunId": id,
            "message": "the run ended while this subagent was running",
        }),
    };
    match event {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}
