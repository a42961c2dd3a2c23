//! Pure: a look at a message's text, so that most messages are never decoded.

use memchr::memmem;

use super::table;

/// False only if the message is no command of the table, which takes far less than decoding it:
/// nothing is checked, and nothing is known of where in the message a name stands.
pub(super) fn may_be_listed(message: &[u8]) -> bool {
    const MEMBER: &[u8] = br#""method""#;
    // A name can be spelled with escapes; each of its characters is ASCII.
    memmem::find_iter(message, MEMBER).any(|at| names_listed(&message[at + MEMBER.len()..]))
        || memmem::find(message, br"\u00").is_some()
}

/// Whether what follows a member's name is a colon and a command of the table.
fn names_listed(behind: &[u8]) -> bool {
    let value = behind.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let Some(text) = value.and_then(|value| value.strip_prefix(b"\"")) else { return false };
    let Some(end) = memchr::memchr(b'"', text) else { return false };
    std::str::from_utf8(&text[..end]).is_ok_and(|name| table::find(name).is_some())
}

#[cfg(test)]
mod tests;
