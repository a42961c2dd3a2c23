//! Pure: cuts an event that is too long, the largest parts first.
//!
//! Numbers, flags and short strings stay, so that an event which was cut still says what happened.

use std::io;

use serde_json::Value;

use crate::value::clip;

#[cfg(test)]
mod tests;

/// Strings in `data` over this many bytes are cut to it.
pub const LONG_STRING: usize = 256;
/// Lists in `data` over this many items are cut to it.
pub const LONG_LIST: usize = 32;
/// Values of `source.metadata` are cut to this many bytes, when all else was not enough.
const SHORT_METADATA: usize = 32;
/// Most places that `truncated_fields` names.
pub const NAMED_CUTS: usize = 16;
/// Room for `truncated` and `truncated_fields`: 16 pointers of 128 bytes, each byte escaped.
const MARK_ROOM: usize = NAMED_CUTS * (crate::value::TEXT_MAX * 6 + 3) + 64;

/// Cuts an envelope until it is at most `limit` bytes long, marks included.
///
/// `limit` has to leave room for the marks and for what is never cut: 64 KiB do.
pub(crate) fn fit(envelope: &mut Value, limit: usize) {
    let mut cutter =
        Cutter { size: json_len(envelope), limit: limit.saturating_sub(MARK_ROOM), cuts: vec![] };
    cutter.cut_strings(envelope);
    cutter.cut_lists(envelope);
    cutter.drop_members(envelope);
    cutter.cut_metadata(envelope);
    cutter.drop_what_is_left(envelope);
    if let Value::Object(members) = envelope {
        members.insert("truncated".into(), true.into());
        cutter.cuts.truncate(NAMED_CUTS);
        members.insert("truncated_fields".into(), cutter.cuts.into());
    }
}

struct Cutter {
    size: usize,
    limit: usize,
    /// Where something was cut, as JSON pointers.
    cuts: Vec<String>,
}

impl Cutter {
    fn fits(&self) -> bool {
        self.size <= self.limit
    }

    /// Changes one value and keeps the books.
    fn cut(&mut self, pointer: &str, value: &mut Value, change: impl FnOnce(&mut Value)) {
        let before = json_len(value);
        change(value);
        self.saved(pointer, before - json_len(value).min(before));
    }

    fn saved(&mut self, pointer: &str, bytes: usize) {
        self.size -= bytes;
        if self.cuts.len() < NAMED_CUTS {
            self.cuts.push(clip(pointer).to_owned());
        }
    }

    fn cut_strings(&mut self, envelope: &mut Value) {
        let long = |value: &Value| value.as_str().is_some_and(|text| text.len() > LONG_STRING);
        for pointer in largest(envelope, "/data", long) {
            if self.fits() {
                return;
            }
            if let Some(value) = envelope.pointer_mut(&pointer) {
                self.cut(&pointer, value, |value| shorten(value, LONG_STRING));
            }
        }
    }

    fn cut_lists(&mut self, envelope: &mut Value) {
        let long = |value: &Value| value.as_array().is_some_and(|list| list.len() > LONG_LIST);
        for pointer in largest(envelope, "/data", long) {
            if self.fits() {
                return;
            }
            // A list inside a list that was cut may be gone.
            if let Some(value) = envelope.pointer_mut(&pointer) {
                self.cut(&pointer, value, |value| {
                    if let Value::Array(list) = value {
                        list.truncate(LONG_LIST);
                    }
                });
            }
        }
    }

    /// Drops members of `data` that are objects or lists, the largest first.
    fn drop_members(&mut self, envelope: &mut Value) {
        let Some(Value::Object(data)) = envelope.get_mut("data") else { return };
        let mut members: Vec<_> = data
            .iter()
            .filter(|(_, value)| value.is_object() || value.is_array())
            .map(|(name, value)| (json_len(value), name.clone()))
            .collect();
        members.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, name) in members {
            if self.fits() {
                return;
            }
            data.shift_remove(&name);
            self.saved(&format!("/data/{}", escape(&name)), bytes);
        }
    }

    fn cut_metadata(&mut self, envelope: &mut Value) {
        let any = |value: &Value| value.is_string();
        for pointer in largest(envelope, "/source/metadata", any) {
            if self.fits() {
                return;
            }
            if let Some(value) = envelope.pointer_mut(&pointer) {
                self.cut(&pointer, value, |value| shorten(value, SHORT_METADATA));
            }
        }
    }

    /// So many short members that they alone are too long: the last ones go.
    fn drop_what_is_left(&mut self, envelope: &mut Value) {
        let Some(Value::Object(data)) = envelope.get_mut("data") else { return };
        let mut kept = data.len();
        for (name, value) in data.iter().rev() {
            if self.fits() {
                break;
            }
            kept -= 1;
            let bytes = json_len(value) + json_len(&Value::String(name.clone()));
            self.saved(&format!("/data/{}", escape(name)), bytes);
        }
        let mut place = 0;
        data.retain(|_, _| {
            place += 1;
            place <= kept
        });
    }
}

fn shorten(value: &mut Value, bytes: usize) {
    if let Value::String(text) = value {
        text.truncate(text.floor_char_boundary(bytes));
    }
}

/// Pointers to every value below a place that is to be found, the largest first.
fn largest(envelope: &Value, place: &str, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(value) = envelope.pointer(place) {
        search(value, place, &wanted, &mut found);
    }
    found.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    found.into_iter().map(|(_, pointer)| pointer).collect()
}

fn search(
    value: &Value,
    pointer: &str,
    wanted: &impl Fn(&Value) -> bool,
    found: &mut Vec<(usize, String)>,
) {
    if wanted(value) {
        found.push((json_len(value), pointer.to_owned()));
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                search(member, &format!("{pointer}/{}", escape(name)), wanted, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, &format!("{pointer}/{index}"), wanted, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A member's name in a JSON pointer (RFC 6901, section 3).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// How long a value is as JSON.
fn json_len(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and a value has string keys only.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}
