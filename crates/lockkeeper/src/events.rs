//! `events`, and how every stream is read: over breaks of the connection and restarts of the node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::Events;
use crate::client::{Node, Query};
use crate::failure::Failure;
use crate::output::{Output, plain};
use crate::show;
use crate::sse::{Message, messages};

/// The first pause after a break, and the longest; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

pub(crate) fn follow(node: &Node, output: &mut Output, events: &Events) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(events.replay.then(|| ("replay", "all".to_owned())));
    query.extend(events.after.iter().map(|cursor| ("after", cursor.clone())));
    query.extend(events.sandboxes.iter().map(|id| ("sandbox", id.clone())));
    query.extend(events.kinds.iter().map(|kind| ("type", kind.clone())));
    query.extend(events.categories.iter().map(|category| ("category", category.clone())));
    tail(node, "/v1/telemetry/stream", &query, events.retry.duration(), |message| {
        show(message, output)
    })
}

/// Reads a stream for ever. After a break it goes on behind the last event; it gives up when the node
/// has not answered for `patience`.
pub(crate) fn tail(
    node: &Node,
    path: &str,
    query: Query<'_>,
    patience: Duration,
    mut take: impl FnMut(&Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last: Option<String> = None;
    let mut pause = PAUSES.0;
    // The first answer is not waited for: a wrong address should say so at once.
    let mut silent_since: Option<Instant> = None;
    loop {
        match node.stream(path, query, last.as_deref()) {
            Ok(reader) => {
                pause = PAUSES.0;
                for message in messages(reader) {
                    take(&message)?;
                    if message.id.is_some() {
                        last = message.id;
                    }
                }
                silent_since = Some(Instant::now());
            }
            Err(failure @ (Failure::Unreachable { .. } | Failure::Foreign { .. })) => {
                if silent_since.is_none_or(|since| since.elapsed() >= patience) {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(failure),
        }
        if patience.is_zero() {
            let cause = "the stream has ended".to_owned();
            return Err(Failure::Unreachable { url: node.base().to_owned(), cause });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn show(message: &Message, output: &mut Output) -> Result<(), Failure> {
    if message.data.is_empty() {
        return Ok(());
    }
    let gap = message.event == "gap";
    if output.is_json() {
        if gap {
            let data: Value = serde_json::from_str(&message.data).unwrap_or_default();
            return output.line(&json!({ "gap": data }).to_string());
        }
        return output.line(&message.data);
    }
    if gap {
        return output.line(&format!("(events are missing: {})", plain(&message.data)));
    }
    output.line(&line(&message.data))
}

/// When, what, where, and the facts.
fn line(data: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(data) else { return plain(data) };
    let text = |name: &str| plain(event[name].as_str().unwrap_or(show::NOTHING));
    let at = event["ts"].as_i64().map_or_else(|| show::NOTHING.to_owned(), show::moment);
    let facts = show::members(&event["data"]);
    format!("{at}  {:<22}  {:<20}  {facts}", text("type"), text("sandbox")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_what_where_and_the_facts() {
        let data = r#"{"epoch":"e","offset":4,"ts":1735689599999000,"type":"sandbox_ready",
            "sandbox":"a","data":{"generation":1}}"#;
        assert_eq!(
            line(data),
            "2024-12-31T23:59:59.999Z  sandbox_ready           a                     generation=1"
        );
    }
}
