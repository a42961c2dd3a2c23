//! Pure: what a `traceparent` header says (W3C Trace Context, level 1, section 3.2).

use std::fmt;

use http::HeaderMap;

/// The header.
const HEADER: &str = "traceparent";

/// Names a trace: 16 bytes, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// A caller's trace, and its own part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    parent_id: [u8; 8],
    sampled: bool,
}

impl TraceContext {
    /// What a request says. One that has none, several, or one that cannot be read is as good as
    /// none (section 4.2): a caller's mistake in it is no reason to refuse the request.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next()?;
        let trace = value.to_str().ok().and_then(Self::parse);
        if trace.is_none() || values.next().is_some() {
            tracing::debug!("a traceparent that cannot be read, or several, counts as none");
            return None;
        }
        trace
    }

    /// Reads the value of the header: `00-<trace id>-<parent id>-<flags>`. A later version may have
    /// more behind that.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.trim().split('-');
        let [version] = hex(parts.next()?)?;
        let trace_id = hex(parts.next()?)?;
        let parent_id = hex(parts.next()?)?;
        let [flags] = hex(parts.next()?)?;
        let ends = version != 0 || parts.next().is_none();
        // 255 is no version, and nothing but zeros is no id.
        let good = version != 255 && trace_id != [0; 16] && parent_id != [0; 8] && ends;
        good.then_some(Self { trace_id: TraceId(trace_id), parent_id, sampled: flags & 1 != 0 })
    }

    /// The trace.
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The caller's own span.
    pub const fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller records this trace.
    pub const fn sampled(&self) -> bool {
        self.sampled
    }
}

impl TraceId {
    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `N` bytes as lower-case hexadecimal digits; upper-case ones are not allowed.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
