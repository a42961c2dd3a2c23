//! What the log of a session holds, and how it is read back.

pub mod record;

pub use record::{Assembler, BadRecord, Envelope, FeedName, Kind, Origin, Stored, encode};
