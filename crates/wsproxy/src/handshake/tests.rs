//! Facts of the handshakes.
