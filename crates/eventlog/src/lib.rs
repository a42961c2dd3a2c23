//! Durable, ordered, resumable logs by key.
