//! Pure: what is left of an argument. Nothing here copies text of a user's or of a page's.

use std::borrow::Cow;

use serde_json::Number;
use serde_json::value::RawValue;

use super::decode::Arguments;
use super::event::Kept;
use super::table::{Keep, Method, WINDOW};
use crate::value::Id;

/// Points of a touch that are kept.
const POINTS: usize = 10;
/// Longest JSON text that can be a word or an id once it is decoded: each byte escaped.
const SHORT: usize = 6 * 256;
/// Most groups of media types that are kept.
const GROUPS: usize = 10;

/// Keys that type nothing (UI Events, named key attribute values), and the space bar.
const KEYS: &[&str] = &[
    "Enter",
    "Tab",
    "Escape",
    "Backspace",
    "Delete",
    "ArrowUp",
    "ArrowDown",
    "ArrowLeft",
    "ArrowRight",
    "Home",
    "End",
    "PageUp",
    "PageDown",
    "Insert",
    "Shift",
    "Control",
    "Alt",
    "Meta",
    "AltGraph",
    "CapsLock",
    "F1",
    "F2",
    "F3",
    "F4",
    "F5",
    "F6",
    "F7",
    "F8",
    "F9",
    "F10",
    "F11",
    "F12",
    "F13",
    "F14",
    "F15",
    "F16",
    "F17",
    "F18",
    "F19",
    "F20",
    "F21",
    "F22",
    "F23",
    "F24",
    "Space",
];

/// Schemes that say what kind of place an address is, and nothing else.
const SCHEMES: &[&str] = &[
    "http",
    "https",
    "about",
    "data",
    "blob",
    "file",
    "filesystem",
    "ftp",
    "ws",
    "wss",
    "javascript",
    "mailto",
    "tel",
    "view-source",
    "chrome",
    "chrome-error",
    "chrome-extension",
    "chrome-untrusted",
    "devtools",
    "isolated-app",
];

/// Top levels of media types (IANA registry).
const MIME_GROUPS: &[&str] = &[
    "application",
    "audio",
    "example",
    "font",
    "haptics",
    "image",
    "message",
    "model",
    "multipart",
    "text",
    "video",
];

/// What is kept of a command's arguments, in the order of the table.
pub(super) fn fields(method: &Method, given: &Arguments<'_>) -> Vec<(&'static str, Kept)> {
    let mut kept = Vec::with_capacity(method.arguments.len());
    for (name, keep) in method.arguments {
        let json = given.find(name).filter(|json| *json != "null");
        let one = |kept: Option<Kept>| kept.map(|kept| (*name, kept));
        let Some(json) = json else {
            if let Keep::Has(field) = keep {
                kept.push((*field, Kept::Flag(false)));
            }
            continue;
        };
        match keep {
            Keep::Drop => {}
            Keep::Number => kept.extend(one(number(json))),
            Keep::Flag => kept.extend(one(serde_json::from_str(json).ok().map(Kept::Flag))),
            Keep::Word(known) => kept.extend(one(Some(word(json, known)))),
            Keep::Id => kept.extend(one(hexadecimal(json).map(Kept::Id))),
            Keep::Has(field) => kept.push((field, Kept::Flag(true))),
            Keep::Len(field) => kept.extend(characters(json).map(|n| (*field, Kept::Count(n)))),
            Keep::Count(field) => {
                kept.extend(items(json).map(|n| (*field, Kept::Count(n.len() as u64))))
            }
            Keep::Key => kept.push(("key_name", Kept::Word(key(json)))),
            Keep::Scheme => {
                kept.extend(scheme(json).map(|scheme| ("url_scheme", Kept::Word(scheme))))
            }
            Keep::Points => points(json, &mut kept),
            Keep::Drag => drag(&Arguments::of(json), &mut kept),
            Keep::Bounds => bounds(&Arguments::of(json), &mut kept),
        }
    }
    kept
}

/// A text that is short once decoded; `None` for other values, long texts and half characters.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if json.len() > SHORT {
        None
    } else if inside.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

/// An id as the browser makes them. Other texts could be anything, so they are dropped.
pub(super) fn hexadecimal(json: &str) -> Option<Id> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (!inside.is_empty() && inside.bytes().all(fits)).then(|| inside.into())
}

fn number(json: &str) -> Option<Kept> {
    serde_json::from_str::<Number>(json).ok().map(Kept::Number)
}

fn known(text: &str, list: &'static [&'static str]) -> &'static str {
    list.iter().find(|known| **known == text).unwrap_or(&"other")
}

fn word(json: &str, list: &'static [&'static str]) -> Kept {
    Kept::Word(text(json).map_or("other", |text| known(&text, list)))
}

fn key(json: &str) -> &'static str {
    match text(json) {
        Some(text) if text == " " => "Space",
        Some(text) => known(&text, KEYS),
        None => "other",
    }
}

/// `None` for a relative address.
fn scheme(json: &str) -> Option<&'static str> {
    let inside = json.strip_prefix('"')?;
    // The start is enough; an escape in there is cut off and makes it "other" or relative.
    let start: String = inside.trim_start().chars().take(64).collect();
    let (scheme, _) = start.split_once(':')?;
    let mut letters = scheme.bytes();
    let first = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (first && rest).then(|| known(&scheme.to_ascii_lowercase(), SCHEMES))
}

fn items(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// How many characters a text has; half of a pair of surrogates counts as one. All of it is counted
/// at once, since a text may have megabytes, and what is written as an escape is then taken off.
fn characters(json: &str) -> Option<u64> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
    let mut count = inside.iter().filter(begins).count();
    // `high`: where the second half of a pair would have to begin.
    let (mut at, mut high) = (0, None);
    while let Some(found) = memchr::memchr(b'\\', &inside[at..]) {
        let escape = at + found;
        let (unit, behind) = match inside.get(escape + 1)? {
            b'u' => {
                let digits = std::str::from_utf8(inside.get(escape + 2..escape + 6)?).ok()?;
                (u16::from_str_radix(digits, 16).ok(), escape + 6)
            }
            _ => (None, escape + 2),
        };
        let completes =
            high == Some(escape) && unit.is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        high = (!completes && unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)))
            .then_some(behind);
        count -= behind - escape - usize::from(!completes);
        at = behind;
    }
    Some(count as u64)
}

fn points(json: &str, kept: &mut Vec<(&'static str, Kept)>) {
    let Some(items) = items(json) else { return };
    kept.push(("touch_count", Kept::Count(items.len() as u64)));
    let coordinate = |point: &Arguments<'_>, name| {
        point.find(name).and_then(|json| serde_json::from_str::<Number>(json).ok())
    };
    let points = items.iter().take(POINTS).map(|point| {
        let point = Arguments::of(point.get());
        (coordinate(&point, "x"), coordinate(&point, "y"))
    });
    kept.push(("points", Kept::Points(points.collect())));
}

fn drag(data: &Arguments<'_>, kept: &mut Vec<(&'static str, Kept)>) {
    if let Some(items) = data.find("items").and_then(items) {
        kept.push(("item_count", Kept::Count(items.len() as u64)));
        let mut groups = Vec::new();
        for item in items {
            let mime = Arguments::of(item.get()).find("mimeType").map(text);
            let group = match &mime {
                None => continue,
                Some(mime) => mime.as_deref().and_then(|mime| mime.split_once('/')),
            };
            let group = group.map_or("other", |(group, _)| known(group, MIME_GROUPS));
            if !groups.contains(&group) && groups.len() < GROUPS {
                groups.push(group);
            }
        }
        kept.push(("mime_groups", Kept::Words(groups)));
    }
    if let Some(files) = data.find("files").and_then(items) {
        kept.push(("file_count", Kept::Count(files.len() as u64)));
    }
    if let Some(mask) = data.find("dragOperationsMask").and_then(number) {
        kept.push(("dragOperationsMask", mask));
    }
}

fn bounds(bounds: &Arguments<'_>, kept: &mut Vec<(&'static str, Kept)>) {
    for name in ["left", "top", "width", "height"] {
        kept.extend(bounds.find(name).and_then(number).map(|number| (name, number)));
    }
    if let Some(state) = bounds.find("windowState").filter(|json| *json != "null") {
        kept.push(("windowState", word(state, WINDOW)));
    }
}
