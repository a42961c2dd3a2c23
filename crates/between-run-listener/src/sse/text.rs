//! Pure: bytes of a stream as text.

use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;

/// UTF-8 as the WHATWG decoder reads it: each bad sequence becomes U+FFFD.
pub(super) fn owned_text(bytes: &[u8]) -> ByteString {
    ByteString::from(String::from_utf8_lossy(bytes).into_owned())
}

/// The same without a copy where the bytes are right, as they nearly always are.
pub(super) fn slice_text(bytes: &Bytes, place: Range<usize>) -> ByteString {
    ByteString::try_from(bytes.slice(place.clone())).unwrap_or_else(|_| owned_text(&bytes[place]))
}
