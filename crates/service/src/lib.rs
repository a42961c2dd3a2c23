//! The process shell every daemon shares: settings, signals, readiness, access, ordered shutdown, exit code.
