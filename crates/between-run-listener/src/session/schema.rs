//! Pure: the fields that each type of event has in AG-UI 1.0.

use serde_json::{Map, Value};

use super::event::{EventType, Invalid};

/// The largest integer that every JSON reader keeps exactly.
const SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Anything, null included.
    Any,
    Text,
    Flag,
    Object,
    /// Milliseconds, a whole number.
    Time,
    OneOf(&'static [&'static str]),
    /// A list of operations of RFC 6902.
    Patch,
    /// Text, or a list of content parts.
    Content,
    Messages,
    Input,
    Outcome,
    SubagentOutcome,
    Usage,
    /// A list of any text.
    Texts,
    ToolCalls,
    Tools,
    Context,
    Resume,
    /// A whole number from 0.
    Count,
}

/// How a field may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    May,
    /// It may be absent; null is read as absent, as clients do.
    MayNull,
}

type Field = (&'static str, Need, Shape);

use Need::{May, MayNull, Must};
use Shape::{Any, Content, Flag, Messages, Object, OneOf, Patch, Text, Time};

const BASE: &[Field] =
    &[("timestamp", May, Time), ("rawEvent", MayNull, Any), ("metadata", May, Object)];
const ROLES: Shape = OneOf(&["developer", "system", "assistant", "user"]);
const SUBAGENT: Field = ("subagentRunId", May, Text);

const fn fields(kind: EventType) -> &'static [Field] {
    match kind {
        EventType::RunStarted => &[
            ("threadId", Must, Text),
            ("runId", Must, Text),
            ("protocolVersion", May, Text),
            ("parentRunId", May, Text),
            ("input", May, Shape::Input),
        ],
        EventType::RunFinished => &[
            ("threadId", Must, Text),
            ("runId", Must, Text),
            ("result", MayNull, Any),
            ("outcome", MayNull, Shape::Outcome),
            ("usage", May, Shape::Usage),
        ],
        EventType::RunError => {
            &[("message", Must, Text), ("code", May, Text), ("usage", May, Shape::Usage)]
        }
        EventType::StepStarted | EventType::StepFinished => &[("stepName", Must, Text), SUBAGENT],
        EventType::TextStart => {
            &[("messageId", Must, Text), ("role", May, ROLES), ("name", May, Text), SUBAGENT]
        }
        EventType::ThinkingTextContent => &[("delta", Must, Text), SUBAGENT],
        EventType::ThinkingStart
        | EventType::ThinkingEnd
        | EventType::ThinkingTextStart
        | EventType::ThinkingTextEnd => &[SUBAGENT],
        EventType::TextContent | EventType::ReasoningMessageContent => {
            &[("messageId", Must, Text), ("delta", Must, Text), SUBAGENT]
        }
        EventType::TextEnd
        | EventType::ReasoningStart
        | EventType::ReasoningEnd
        | EventType::ReasoningMessageEnd => &[("messageId", Must, Text), SUBAGENT],
        EventType::TextChunk => &[
            ("messageId", May, Text),
            ("role", May, ROLES),
            ("delta", May, Text),
            ("name", May, Text),
            SUBAGENT,
        ],
        EventType::ToolStart => &[
            ("toolCallId", Must, Text),
            ("toolCallName", Must, Text),
            ("parentMessageId", MayNull, Text),
            SUBAGENT,
        ],
        EventType::ToolArgs => &[("toolCallId", Must, Text), ("delta", Must, Text), SUBAGENT],
        EventType::ToolEnd => &[("toolCallId", Must, Text), SUBAGENT],
        EventType::ToolChunk => &[
            ("toolCallId", May, Text),
            ("toolCallName", May, Text),
            ("parentMessageId", MayNull, Text),
            ("delta", May, Text),
            SUBAGENT,
        ],
        EventType::ToolResult => &[
            ("messageId", Must, Text),
            ("toolCallId", Must, Text),
            ("content", Must, Content),
            ("role", May, OneOf(&["tool"])),
            SUBAGENT,
        ],
        EventType::StateSnapshot => &[("snapshot", Must, Any), SUBAGENT],
        EventType::StateDelta => &[("delta", Must, Patch), SUBAGENT],
        EventType::MessagesSnapshot => &[("messages", Must, Messages)],
        EventType::ActivitySnapshot => &[
            ("messageId", Must, Text),
            ("activityType", Must, Text),
            ("content", Must, Object),
            ("replace", May, Flag),
            SUBAGENT,
        ],
        EventType::ActivityDelta => &[
            ("messageId", Must, Text),
            ("activityType", Must, Text),
            ("patch", Must, Patch),
            SUBAGENT,
        ],
        EventType::ReasoningMessageStart => {
            &[("messageId", Must, Text), ("role", Must, OneOf(&["reasoning"])), SUBAGENT]
        }
        EventType::ReasoningMessageChunk => {
            &[("messageId", May, Text), ("delta", May, Text), SUBAGENT]
        }
        EventType::ReasoningEncryptedValue => &[
            ("subtype", Must, OneOf(&["tool-call", "message"])),
            ("entityId", Must, Text),
            ("encryptedValue", Must, Text),
            SUBAGENT,
        ],
        EventType::SubagentStarted => &[
            ("subagentRunId", Must, Text),
            ("name", Must, Text),
            ("description", May, Text),
            ("parentSubagentRunId", May, Text),
            ("parentToolCallId", May, Text),
            ("parentMessageId", May, Text),
        ],
        EventType::SubagentFinished => &[
            ("subagentRunId", Must, Text),
            ("result", MayNull, Any),
            ("outcome", May, Shape::SubagentOutcome),
        ],
        EventType::SubagentError => {
            &[("subagentRunId", Must, Text), ("message", Must, Text), ("code", May, Text)]
        }
        EventType::Raw => &[("event", Must, Any), ("source", May, Text), SUBAGENT],
        EventType::Custom => &[("name", Must, Text), ("value", Must, Any), SUBAGENT],
        EventType::Unknown => &[],
    }
}

/// Checks the fields of an event. Those that its type does not know are left alone.
///
/// # Errors
/// The first that does not fit.
pub(super) fn check(kind: EventType, event: &Map<String, Value>) -> Result<(), Invalid> {
    if kind == EventType::Unknown {
        // Clients drop it, but refuse a null here before they do.
        return all(&[SUBAGENT], event);
    }
    all(BASE, event)?;
    all(fields(kind), event)
}

/// Checks what a client posts to start a run.
///
/// # Errors
/// The first field that does not fit.
pub(super) fn check_input(input: &Map<String, Value>) -> Result<(), Invalid> {
    all(INPUT, input)
}

fn all(fields: &'static [Field], object: &Map<String, Value>) -> Result<(), Invalid> {
    for &(field, need, shape) in fields {
        match object.get(field) {
            None if need == Must => return Err(Invalid::Missing { field }),
            None => {}
            Some(Value::Null) if need == MayNull => {}
            Some(value) if fits(shape, value) => {}
            Some(_) => return Err(Invalid::Field { field }),
        }
    }
    Ok(())
}

const INPUT: &[Field] = &[
    ("threadId", Must, Text),
    ("runId", Must, Text),
    ("protocolVersion", May, Text),
    ("parentRunId", May, Text),
    ("state", MayNull, Any),
    ("messages", Must, Messages),
    ("tools", May, Shape::Tools),
    ("context", May, Shape::Context),
    ("forwardedProps", MayNull, Any),
    ("resume", May, Shape::Resume),
];
const MESSAGE: &[Field] =
    &[SUBAGENT, ("id", Must, Text), ("metadata", May, Object), ("encryptedValue", May, Text)];
const TOOL_CALL: &[Field] = &[
    ("id", Must, Text),
    ("type", Must, OneOf(&["function"])),
    ("function", Must, Object),
    ("encryptedValue", May, Text),
    ("metadata", May, Object),
];
const INTERRUPT: &[Field] = &[
    SUBAGENT,
    ("id", Must, Text),
    ("reason", Must, Text),
    ("message", May, Text),
    ("toolCallId", May, Text),
    ("responseSchema", May, Object),
    ("expiresAt", May, Text),
    ("metadata", May, Object),
];
const USAGE: &[Field] = &[
    ("provider", May, Text),
    ("model", May, Text),
    ("inputTokens", May, Shape::Count),
    ("outputTokens", May, Shape::Count),
    ("totalTokens", May, Shape::Count),
    ("reasoningTokens", May, Shape::Count),
    ("cachedInputTokens", May, Shape::Count),
    ("cacheWriteInputTokens", May, Shape::Count),
];

fn fits(shape: Shape, value: &Value) -> bool {
    match shape {
        Any => true,
        Text => value.is_string(),
        Flag => value.is_boolean(),
        Object => value.is_object(),
        Time => whole(value).is_some(),
        Shape::Count => whole(value).is_some_and(|number| number >= 0.0),
        OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Patch => list(value, operation),
        Content => value.is_string() || list(value, part),
        Messages => list(value, message),
        Shape::Input => object(value, INPUT),
        Shape::Outcome => match kind(value) {
            Some("success") => object(value, &[("pendingToolCallIds", May, Shape::Texts)]),
            Some("interrupt") => value.get("interrupts").is_some_and(|interrupts| {
                list(interrupts, |item| object(item, INTERRUPT))
                    && interrupts.as_array().is_some_and(|items| !items.is_empty())
            }),
            Some("cancelled") => true,
            _ => false,
        },
        Shape::SubagentOutcome => match kind(value) {
            Some("success") => true,
            Some("suspended") => object(value, &[("interruptIds", May, Shape::Texts)]),
            _ => false,
        },
        Shape::Usage => list(value, |entry| object(entry, USAGE)),
        Shape::Texts => list(value, Value::is_string),
        Shape::ToolCalls => list(value, |call| {
            object(call, TOOL_CALL)
                && object(&call["function"], &[("name", Must, Text), ("arguments", Must, Text)])
        }),
        Shape::Tools => list(value, |tool| {
            let fields = &[
                ("name", Must, Text),
                ("description", Must, Text),
                ("parameters", MayNull, Any),
                ("metadata", May, Object),
            ];
            object(tool, fields)
        }),
        Shape::Context => {
            list(value, |item| object(item, &[("description", Must, Text), ("value", Must, Text)]))
        }
        Shape::Resume => list(value, |entry| {
            let status = OneOf(&["resolved", "cancelled"]);
            let fields = [("interruptId", Text), ("status", status)];
            fields.iter().all(|(name, shape)| entry.get(name).is_some_and(|v| fits(*shape, v)))
        }),
    }
}

fn object(value: &Value, fields: &'static [Field]) -> bool {
    value.as_object().is_some_and(|object| all(fields, object).is_ok())
}

fn list(value: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(fits))
}

fn kind(value: &Value) -> Option<&str> {
    value.get("type")?.as_str()
}

fn whole(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= SAFE_INTEGER)
}

fn message(value: &Value) -> bool {
    let own: &'static [Field] = match value.get("role").and_then(Value::as_str) {
        Some("developer" | "system") => &[("content", Must, Text), ("name", May, Text)],
        Some("assistant") => {
            &[("content", May, Text), ("name", May, Text), ("toolCalls", May, Shape::ToolCalls)]
        }
        Some("user") => &[("content", Must, Content), ("name", May, Text)],
        Some("tool") => {
            &[("content", Must, Content), ("toolCallId", Must, Text), ("error", May, Text)]
        }
        Some("activity") => &[("activityType", Must, Text), ("content", Must, Object)],
        Some("reasoning") => &[("content", Must, Text)],
        _ => return false,
    };
    object(value, MESSAGE) && object(value, own)
}

fn part(value: &Value) -> bool {
    let own = match kind(value) {
        Some("text") => object(value, &[("text", Must, Text)]),
        Some("image" | "audio" | "video" | "document") => value.get("source").is_some_and(source),
        _ => return false,
    };
    own && object(value, &[("id", May, Text), ("metadata", MayNull, Any)])
}

fn source(value: &Value) -> bool {
    match kind(value) {
        Some("data") => object(value, &[("value", Must, Text), ("mimeType", Must, Text)]),
        Some("url") => object(value, &[("value", Must, Text), ("mimeType", May, Text)]),
        Some("file") => object(
            value,
            &[("value", Must, Text), ("provider", May, Text), ("mimeType", May, Text)],
        ),
        _ => false,
    }
}

fn operation(value: &Value) -> bool {
    let pointer = |field| value.get(field).and_then(Value::as_str).is_some_and(is_pointer);
    match value.get("op").and_then(Value::as_str) {
        Some("add" | "replace" | "test") => pointer("path") && value.get("value").is_some(),
        Some("remove") => pointer("path"),
        Some("move" | "copy") => pointer("path") && pointer("from"),
        _ => false,
    }
}

/// RFC 6901: empty, or tokens that begin with a slash; `~` only as `~0` or `~1`.
fn is_pointer(text: &str) -> bool {
    let escaped = |token: &str| token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.is_empty() || (text.starts_with('/') && escaped(text))
}
