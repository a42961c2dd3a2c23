//! Pure: puts our own address into the URLs of a `/json` answer.
//!
//! The answer is checked to be JSON and then copied byte for byte; only the values of the two
//! fields that hold socket addresses are replaced, at every depth. So key order, spacing, numbers
//! and every other field stay exactly as the browser wrote them, and a field that was missing
//! stays missing.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use crate::external::External;

#[cfg(test)]
mod tests;

/// The browser's answer was not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the browser's answer is not JSON: {0}")]
pub struct BadJson(String);

/// Rewrites one `/json` answer for a client that reached the sandbox at `to`.
///
/// `upstream` is the browser's own `host:port`, which must not appear in front of the front-end's
/// address either.
///
/// # Errors
/// [`BadJson`] if the body is not one JSON value in UTF-8.
pub fn rewrite(body: &[u8], upstream: &str, to: &External) -> Result<String, BadJson> {
    let text = std::str::from_utf8(body).map_err(|error| BadJson(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| BadJson(error.to_string()))?;
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len() + 512);
    let (mut copied, mut at) = (0, 0);
    let mut field = None;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                let next = end + blanks(&bytes[end..]);
                if bytes.get(next) == Some(&b':') {
                    field = Field::named(&text[at..end]);
                    at = next + 1;
                    continue;
                }
                if let Some(field) = field.take() {
                    out.push_str(&text[copied..at]);
                    let old = decoded(&text[at..end]);
                    push_json_string(&mut out, &field.rewritten(&old, upstream, to));
                    copied = end;
                }
                at = end;
            }
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            _ => {
                field = None;
                at += 1;
            }
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

#[derive(Clone, Copy)]
enum Field {
    Socket,
    Frontend,
}

impl Field {
    fn named(literal: &str) -> Option<Self> {
        match decoded(literal).as_str() {
            "webSocketDebuggerUrl" => Some(Self::Socket),
            // Some builds add a second one with a suffix for older front-ends.
            name if name.starts_with("devtoolsFrontendUrl") => Some(Self::Frontend),
            _ => None,
        }
    }

    fn rewritten(self, old: &str, upstream: &str, to: &External) -> String {
        match self {
            Self::Socket => {
                let scheme = if to.tls { "wss" } else { "ws" };
                let rest = old.split_once("://").map_or(old, |(_scheme, rest)| rest);
                format!("{scheme}://{}", socket_address(rest, to))
            }
            Self::Frontend => frontend(old, upstream, to),
        }
    }
}

/// `host:port/path` of the browser as the client must write it: our authority and prefix, our
/// sandbox id in place of the browser's GUID, a page's path unchanged, the token where it was.
fn socket_address(old: &str, to: &External) -> String {
    let path = old.find('/').map_or("", |at| &old[at..]);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut new = format!("{}{}", to.authority, to.prefix);
    match path.strip_prefix("/devtools/browser") {
        Some(_guid) => {
            new.push_str("/devtools/browser/");
            new.push_str(&to.sandbox);
        }
        None => new.push_str(path),
    }
    if let Some(token) = &to.token {
        new.push_str("?token=");
        new.push_str(token);
    }
    new
}

fn frontend(old: &str, upstream: &str, to: &External) -> String {
    let own_origin = [format!("http://{upstream}"), format!("https://{upstream}")];
    let old = own_origin.iter().find_map(|origin| old.strip_prefix(origin.as_str())).unwrap_or(old);
    let (old, fragment) = old.split_at(old.find('#').unwrap_or(old.len()));
    let Some((page, query)) = old.split_once('?') else { return format!("{old}{fragment}") };
    let mut new = format!("{page}?");
    for (count, part) in query.split('&').enumerate() {
        if count > 0 {
            new.push('&');
        }
        match part.split_once('=') {
            Some(("ws" | "wss", address)) => {
                new.push_str(if to.tls { "wss=" } else { "ws=" });
                push_query_value(&mut new, &socket_address(&percent_decoded(address), to));
            }
            Some(_) | None => new.push_str(part),
        }
    }
    new.push_str(fragment);
    new
}

/// Where the string literal that begins at `start` ends. The text is known to be valid JSON.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
}

/// The text of a string literal. A literal that valid JSON allows but Rust cannot hold (a lone
/// surrogate) is nobody's field name and no address: it reads as nothing.
fn decoded(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_default()
}

fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

/// Escapes what would end or change a query value; slashes and colons stay readable.
fn push_query_value(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '%' | '&' | '+' | '#' | '?' | '=' | ' ' => {
                let _ = write!(out, "%{:02X}", u32::from(character));
            }
            plain => out.push(plain),
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let pair = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, pair) {
            (b'%', Some(escaped)) => {
                out.push(escaped);
                at += 3;
            }
            (plain, Some(_) | None) => {
                out.push(plain);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
