//! Reads server-sent events, as far as a node sends them.

use std::io::BufRead;

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its kind; empty for the usual one.
    pub(crate) event: String,
    /// The place to go on from; absent if it names none.
    pub(crate) id: Option<String>,
    /// Its content; empty if it only names a place.
    pub(crate) data: String,
}

/// The events of a stream, up to its end or its break.
pub(crate) fn messages(reader: impl BufRead) -> impl Iterator<Item = Message> {
    let mut lines = Lines::default();
    reader.lines().map_while(Result::ok).filter_map(move |line| lines.take(&line))
}

/// Collects lines into events.
#[derive(Debug, Default)]
struct Lines {
    open: Message,
}

impl Lines {
    /// Takes one line without its end; gives the event that it completes.
    fn take(&mut self, line: &str) -> Option<Message> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let message = std::mem::take(&mut self.open);
            return (message != Message::default()).then_some(message);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.open.event),
            "id" => self.open.id = Some(value.to_owned()),
            "data" => {
                if !self.open.data.is_empty() {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
            }
            // Comments keep the connection alive; other fields are of later versions.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_places_and_comments_are_told_apart() {
        let text =
            ": alive\n\nid: e-4\n\nevent: gap\nid: e-9\ndata: {\"to\":9}\n\ndata:a\ndata: b\n\n";
        let seen: Vec<Message> = messages(text.as_bytes()).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!((seen[0].id.as_deref(), &*seen[0].data), (Some("e-4"), ""));
        assert_eq!((&*seen[1].event, &*seen[1].data), ("gap", "{\"to\":9}"));
        assert_eq!((seen[2].id.as_deref(), &*seen[2].data), (None, "a\nb"));
    }
}
