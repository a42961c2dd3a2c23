//! Random bytes for mask keys and handshake keys.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Bytes that a peer cannot predict. The standard library hashes with a keyed function whose keys
/// come from the operating system and change with every `RandomState`; that is all a mask needs
/// (RFC 6455 section 10.3), and costs no system call.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        let word = RandomState::new().build_hasher().finish().to_ne_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    bytes
}
