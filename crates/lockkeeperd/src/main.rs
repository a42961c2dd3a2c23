//! The Lockkeeper node daemon.
fn main() {}
