//! Pure: what one event of the AG-UI protocol is, and whether its fields are what they must be.

use serde_json::{Map, Value};

use super::schema;

macro_rules! types {
    ($($variant:ident => $name:literal,)+) => {
        /// The types of AG-UI 1.0, and the rest.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is the protocol's own name in another spelling")]
        pub enum EventType {
            $($variant,)+
            /// A type that 1.0 does not know. It passes as it came.
            Unknown,
        }

        impl EventType {
            /// Every type that is known.
            pub const KNOWN: &[Self] = &[$(Self::$variant,)+];

            /// The type of a name.
            pub fn named(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }

            /// The protocol's name; `UNKNOWN` for the rest.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown => "UNKNOWN",
                }
            }
        }
    };
}

types! {
    RunStarted => "RUN_STARTED",
    RunFinished => "RUN_FINISHED",
    RunError => "RUN_ERROR",
    StepStarted => "STEP_STARTED",
    StepFinished => "STEP_FINISHED",
    TextStart => "TEXT_MESSAGE_START",
    TextContent => "TEXT_MESSAGE_CONTENT",
    TextEnd => "TEXT_MESSAGE_END",
    TextChunk => "TEXT_MESSAGE_CHUNK",
    ToolStart => "TOOL_CALL_START",
    ToolArgs => "TOOL_CALL_ARGS",
    ToolEnd => "TOOL_CALL_END",
    ToolChunk => "TOOL_CALL_CHUNK",
    ToolResult => "TOOL_CALL_RESULT",
    StateSnapshot => "STATE_SNAPSHOT",
    StateDelta => "STATE_DELTA",
    MessagesSnapshot => "MESSAGES_SNAPSHOT",
    ActivitySnapshot => "ACTIVITY_SNAPSHOT",
    ActivityDelta => "ACTIVITY_DELTA",
    ReasoningStart => "REASONING_START",
    ReasoningEnd => "REASONING_END",
    ReasoningMessageStart => "REASONING_MESSAGE_START",
    ReasoningMessageContent => "REASONING_MESSAGE_CONTENT",
    ReasoningMessageEnd => "REASONING_MESSAGE_END",
    ReasoningMessageChunk => "REASONING_MESSAGE_CHUNK",
    ReasoningEncryptedValue => "REASONING_ENCRYPTED_VALUE",
    SubagentStarted => "SUBAGENT_STARTED",
    SubagentFinished => "SUBAGENT_FINISHED",
    SubagentError => "SUBAGENT_ERROR",
    Raw => "RAW",
    Custom => "CUSTOM",
    // Retired before 1.0. Clients turn them into reasoning events with ids of their own making.
    ThinkingStart => "THINKING_START",
    ThinkingEnd => "THINKING_END",
    ThinkingTextStart => "THINKING_TEXT_MESSAGE_START",
    ThinkingTextContent => "THINKING_TEXT_MESSAGE_CONTENT",
    ThinkingTextEnd => "THINKING_TEXT_MESSAGE_END",
}

impl EventType {
    /// Whether a run ends with it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::RunFinished | Self::RunError)
    }
}

/// An event whose fields are what its type demands.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type.
    pub kind: EventType,
    fields: Map<String, Value>,
}

impl Event {
    /// Reads an event and checks its fields.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let value: Value = serde_json::from_str(text).map_err(|_| Invalid::NotJson)?;
        Self::from_value(value)
    }

    /// As [`Event::parse`], of JSON that has been read.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn from_value(value: Value) -> Result<Self, Invalid> {
        let Value::Object(fields) = value else { return Err(Invalid::NotObject) };
        let Some(Value::String(name)) = fields.get("type") else { return Err(Invalid::NoType) };
        let kind = EventType::named(name);
        schema::check(kind, &fields)?;
        Ok(Self { kind, fields })
    }

    /// The type's name as it came.
    pub fn name(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// A field that is text; nothing if it is absent, null or of another kind.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A field; nothing if it is absent or null.
    pub fn field(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// The subagent it speaks of.
    pub fn subagent(&self) -> Option<&str> {
        self.text("subagentRunId")
    }

    /// Its fields.
    pub fn into_fields(self) -> Map<String, Value> {
        self.fields
    }
}

/// Why something is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is not JSON, or nests deeper than 128 levels.
    #[error("the data is not JSON")]
    NotJson,
    /// It is JSON, but no object.
    #[error("the data is JSON, but no object")]
    NotObject,
    /// It has no type.
    #[error("the event has no `type` that is text")]
    NoType,
    /// A field is missing.
    #[error("the event lacks `{field}`")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field has a value that its type does not allow; null is one.
    #[error("the event's `{field}` has a value that its type does not allow")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl Invalid {
    /// A stable word for records and metric labels.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotObject => "not_object",
            Self::NoType => "no_type",
            Self::Missing { .. } => "missing_field",
            Self::Field { .. } => "bad_field",
        }
    }
}

#[cfg(test)]
mod tests;
