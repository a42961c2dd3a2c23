//! Facts of frame headers.
