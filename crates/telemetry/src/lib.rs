//! The event vocabulary, the way events enter the log, and the ways they leave it.
