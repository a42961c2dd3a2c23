//! Pure: the messages of a conversation, built from events as a client builds them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::owned::{Owned, owned_activities};
use super::patch;
use crate::session::event::Event;

/// A message and the offset of the record that made it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) at: u64,
    pub(super) fields: Map<String, Value>,
}

impl Message {
    fn role(&self) -> &str {
        self.fields.get("role").and_then(Value::as_str).unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.fields.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    fn calls(&self) -> &[Value] {
        self.fields.get("toolCalls").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// What a message is looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Message(String),
    Call(String),
}

/// The messages in their order, and where each id is first.
#[derive(Debug, Default)]
pub(super) struct Messages {
    list: Vec<Message>,
    places: HashMap<Key, usize>,
}

/// Equal messages in the same order; where they came from counts as well.
impl PartialEq for Messages {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Messages {
    /// Messages and where each of them came from.
    pub(super) fn of(list: Vec<Message>) -> Self {
        let mut messages = Self { list, places: HashMap::new() };
        messages.index(0);
        messages
    }

    pub(super) fn list(&self) -> &[Message] {
        &self.list
    }

    /// Drops what was made up to an offset; says how many that were.
    pub(super) fn drop_until(&mut self, offset: u64) -> usize {
        let before = self.list.len();
        self.list.retain(|message| message.at > offset);
        let (left, list) = (self.list.len(), std::mem::take(&mut self.list));
        *self = Self::of(list);
        before - left
    }

    pub(super) fn text_start(&mut self, event: &Event, id: &str, at: u64) {
        let role = event.text("role").unwrap_or("assistant");
        let mut fields = json!({ "id": id, "role": role, "content": "" });
        if let Some(name) = event.text("name") {
            fields["name"] = name.into();
        }
        self.start(fields, event, id, at);
    }

    pub(super) fn reasoning_start(&mut self, event: &Event, id: &str, at: u64) {
        self.start(json!({ "id": id, "role": "reasoning", "content": "" }), event, id, at);
    }

    /// A message that is there already is gone on with; an activity is none that text could go to.
    fn start(&mut self, mut fields: Value, event: &Event, id: &str, at: u64) {
        if let Some(place) = self.message(id) {
            if self.list[place].role() != "activity" {
                merge_metadata(&mut self.list[place].fields, event);
            }
            return;
        }
        tag(&mut fields, event);
        if let Value::Object(mut fields) = fields {
            merge_metadata(&mut fields, event);
            self.push(at, fields);
        }
    }

    /// Adds text; none at the end of a message, which may still say more about it.
    pub(super) fn content(&mut self, event: &Event, id: &str, delta: Option<&str>) {
        let Some(place) = self.message(id) else { return };
        let message = &mut self.list[place];
        if message.role() == "activity" {
            return;
        }
        if let Some(delta) = delta {
            match message.fields.get_mut("content") {
                Some(Value::String(content)) => content.push_str(delta),
                _ => drop(message.fields.insert("content".into(), delta.into())),
            }
        }
        merge_metadata(&mut message.fields, event);
    }

    pub(super) fn call_start(&mut self, event: &Event, id: &str, at: u64) {
        let name = event.text("toolCallName").unwrap_or_default();
        if let Some(call) = self.call_mut(id) {
            call["function"]["name"] = name.into();
            if let Value::Object(call) = call {
                merge_metadata(call, event);
            }
            return;
        }
        let parent = event.text("parentMessageId").filter(|parent| !parent.is_empty());
        let carrier = parent.and_then(|parent| self.message(parent));
        let place = match carrier {
            Some(place) if self.list[place].role() == "assistant" => place,
            found => {
                let own = match (parent, found) {
                    (Some(parent), None) => parent,
                    _ => id,
                };
                let mut fields = json!({ "id": own, "role": "assistant", "toolCalls": [] });
                if self.message(own).is_none() {
                    tag(&mut fields, event);
                }
                if let Value::Object(fields) = fields {
                    self.push(at, fields);
                }
                self.list.len() - 1
            }
        };
        let function = json!({ "name": name, "arguments": "" });
        let mut call = json!({ "id": id, "type": "function", "function": function });
        if let Value::Object(call) = &mut call {
            merge_metadata(call, event);
        }
        let calls = self.list[place].fields.entry("toolCalls").or_insert_with(|| json!([]));
        if let Value::Array(calls) = calls {
            calls.push(call);
        }
        self.places.entry(Key::Call(id.to_owned())).or_insert(place);
    }

    /// Adds arguments; none at the end of a call.
    pub(super) fn call_goes_on(&mut self, event: &Event, id: &str, delta: Option<&str>) {
        let Some(call) = self.call_mut(id) else { return };
        if let (Some(delta), Value::String(arguments)) = (delta, &mut call["function"]["arguments"])
        {
            arguments.push_str(delta);
        }
        if let Value::Object(call) = call {
            merge_metadata(call, event);
        }
    }

    /// A result stands behind the message with its call and the results that are there already.
    pub(super) fn result(&mut self, event: &Event, at: u64) {
        let text = |field| event.text(field).unwrap_or_default();
        let content = event.field("content").cloned().unwrap_or_default();
        let mut fields = json!({
            "id": text("messageId"), "role": "tool", "toolCallId": text("toolCallId"),
            "content": content,
        });
        tag(&mut fields, event);
        let Value::Object(mut fields) = fields else { return };
        merge_metadata(&mut fields, event);
        let carrier = self.places.get(&Key::Call(text("toolCallId").to_owned())).copied();
        let carrier = carrier.filter(|place| self.list[*place].role() == "assistant");
        let Some(carrier) = carrier else { return self.push(at, fields) };
        let behind = self.list[carrier + 1..].iter().take_while(|m| m.role() == "tool").count();
        let place = carrier + 1 + behind;
        self.list.insert(place, Message { at, fields });
        self.index(place);
    }

    /// A snapshot says which messages there are. Activities and reasoning that it does not know
    /// about stay.
    pub(super) fn snapshot(&mut self, event: &Event, at: u64) {
        let new = event.field("messages").and_then(Value::as_array);
        let new: Vec<&Map<String, Value>> =
            new.into_iter().flatten().filter_map(Value::as_object).collect();
        let role = |fields: &Map<String, Value>, role: &str| {
            fields.get("role").and_then(Value::as_str) == Some(role)
        };
        let activities = new.iter().any(|fields| role(fields, "activity"));
        let reasoning = new.iter().any(|fields| role(fields, "reasoning"));
        let owned = owned_activities(event);
        // The last of an id counts, at the place of the first.
        let mut by_id: HashMap<&str, &Map<String, Value>> = HashMap::new();
        for fields in &new {
            by_id.insert(fields.get("id").and_then(Value::as_str).unwrap_or_default(), fields);
        }
        let mut list = std::mem::take(&mut self.list);
        list.retain_mut(|message| {
            if let Some(fields) = by_id.get(message.id()) {
                message.fields = (*fields).clone();
                return true;
            }
            let kind = message.fields.get("activityType").and_then(Value::as_str);
            match message.role() {
                "activity" => match &owned {
                    Owned::All => false,
                    Owned::These(types) => !types.iter().any(|own| Some(own.as_str()) == kind),
                    Owned::Unsaid => !activities,
                },
                "reasoning" => !reasoning,
                _ => false,
            }
        });
        *self = Self::of(list);
        let known: std::collections::HashSet<String> =
            self.list.iter().map(|message| message.id().to_owned()).collect();
        for fields in new {
            let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
            if !known.contains(id) {
                self.push(at, fields.clone());
            }
        }
    }

    /// A snapshot says of some messages how they are, and leaves the rest alone.
    pub(super) fn merge(&mut self, event: &Event, at: u64) {
        for fields in event.field("messages").and_then(Value::as_array).into_iter().flatten() {
            let Value::Object(fields) = fields else { continue };
            let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
            match self.message(id) {
                Some(place) => self.list[place].fields = fields.clone(),
                None => self.push(at, fields.clone()),
            }
        }
        // Their calls may be others now.
        self.index_all();
    }

    /// Adds those whose id is absent.
    pub(super) fn add_absent(&mut self, messages: Option<&Value>, at: u64) {
        for fields in messages.and_then(Value::as_array).into_iter().flatten() {
            let Value::Object(fields) = fields else { continue };
            let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
            if self.message(id).is_none() {
                self.push(at, fields.clone());
            }
        }
    }

    pub(super) fn activity(&mut self, event: &Event, at: u64) {
        let id = event.text("messageId").unwrap_or_default();
        let content = event.field("content").cloned().unwrap_or_default();
        let kind = event.text("activityType").unwrap_or_default();
        let mut fields =
            json!({ "id": id, "role": "activity", "activityType": kind, "content": content });
        tag(&mut fields, event);
        let Value::Object(mut fields) = fields else { return };
        let replaces = event.field("replace") != Some(&Value::Bool(false));
        let Some(place) = self.message(id) else {
            merge_metadata(&mut fields, event);
            return self.push(at, fields);
        };
        let there = &mut self.list[place];
        let was_activity = there.role() == "activity";
        if replaces {
            let metadata = there.fields.get("metadata").cloned().filter(|_| was_activity);
            there.fields = fields;
            if let Some(metadata) = metadata {
                there.fields.insert("metadata".into(), metadata);
            }
        }
        if replaces || was_activity {
            merge_metadata(&mut there.fields, event);
        }
        if replaces && !was_activity {
            // Calls of the message that stood there are gone.
            self.index_all();
        }
    }

    /// False if the patch does not apply; the content is then as it was.
    pub(super) fn activity_delta(&mut self, event: &Event) -> bool {
        let id = event.text("messageId").unwrap_or_default();
        let Some(place) = self.message(id) else { return true };
        let message = &mut self.list[place];
        if message.role() != "activity" {
            return true;
        }
        merge_metadata(&mut message.fields, event);
        let content = message.fields.entry("content").or_insert_with(|| json!({}));
        if !patch(content, event.field("patch")) {
            return false;
        }
        let kind = event.text("activityType").unwrap_or_default();
        message.fields.insert("activityType".into(), kind.into());
        true
    }

    pub(super) fn encrypted(&mut self, event: &Event) {
        let id = event.text("entityId").unwrap_or_default();
        let value = event.field("encryptedValue").cloned().unwrap_or_default();
        if event.text("subtype") == Some("tool-call") {
            if let Some(call) = self.call_mut(id) {
                call["encryptedValue"] = value;
            }
        } else if let Some(place) = self.message(id)
            && self.list[place].role() != "activity"
        {
            self.list[place].fields.insert("encryptedValue".into(), value);
        }
    }

    fn message(&self, id: &str) -> Option<usize> {
        self.places.get(&Key::Message(id.to_owned())).copied()
    }

    fn call_mut(&mut self, id: &str) -> Option<&mut Value> {
        let place = *self.places.get(&Key::Call(id.to_owned()))?;
        let calls = self.list[place].fields.get_mut("toolCalls")?.as_array_mut()?;
        calls.iter_mut().find(|call| call["id"] == id)
    }

    fn push(&mut self, at: u64, fields: Map<String, Value>) {
        self.list.push(Message { at, fields });
        self.index(self.list.len() - 1);
    }

    fn index_all(&mut self) {
        self.places.clear();
        self.index(0);
    }

    /// Takes note of the places from one on, after a message was put there.
    fn index(&mut self, from: usize) {
        // What stood behind it stands one further now; only the first place of an id is known.
        for (place, message) in self.list.iter().enumerate().skip(from + 1).rev() {
            for key in keys(message) {
                if let Some(known) = self.places.get_mut(&key).filter(|known| **known + 1 == place)
                {
                    *known = place;
                }
            }
        }
        for (place, message) in self.list.iter().enumerate().skip(from) {
            for key in keys(message) {
                let first = self.places.entry(key).or_insert(place);
                *first = place.min(*first);
            }
        }
    }
}

fn keys(message: &Message) -> impl Iterator<Item = Key> {
    let calls = message.calls().iter().filter_map(|call| call["id"].as_str());
    let calls = calls.map(|id| Key::Call(id.to_owned()));
    std::iter::once(Key::Message(message.id().to_owned())).chain(calls)
}

fn tag(fields: &mut Value, event: &Event) {
    if let Some(subagent) = event.subagent() {
        fields["subagentRunId"] = subagent.into();
    }
}

/// Key by key, the last one counts.
fn merge_metadata(target: &mut Map<String, Value>, event: &Event) {
    let Some(Value::Object(new)) = event.field("metadata") else { return };
    let metadata = target.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        metadata.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
