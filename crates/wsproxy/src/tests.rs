//! Facts of whole sessions.
