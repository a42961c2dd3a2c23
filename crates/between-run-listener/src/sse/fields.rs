//! What one complete line means.

/// A line, split at its first colon, with one space after it removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The value starts at this index of the line.
    Data(usize),
    Event(usize),
    Id(usize),
    Retry(usize),
    /// Any other name: ignored.
    Unknown,
}

/// Classifies a line that is neither empty nor a comment.
pub(super) fn field(line: &[u8]) -> Field {
    // `data` comes first: nearly every line is one.
    if let Some(rest) = line.strip_prefix(b"data") {
        return value(4, rest).map_or(Field::Unknown, Field::Data);
    }
    if let Some(rest) = line.strip_prefix(b"event") {
        return value(5, rest).map_or(Field::Unknown, Field::Event);
    }
    if let Some(rest) = line.strip_prefix(b"id") {
        return value(2, rest).map_or(Field::Unknown, Field::Id);
    }
    if let Some(rest) = line.strip_prefix(b"retry") {
        return value(5, rest).map_or(Field::Unknown, Field::Retry);
    }
    Field::Unknown
}

/// Where the value starts, if `rest` follows a whole field name.
fn value(name: usize, rest: &[u8]) -> Option<usize> {
    match rest {
        [] => Some(name),
        [b':', b' ', ..] => Some(name + 2),
        [b':', ..] => Some(name + 1),
        _ => None,
    }
}

/// Milliseconds of a `retry` value: ASCII digits only; too big saturates.
pub(super) fn retry(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value.iter().fold(0u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }),
    )
}
