//! Every parser of bytes that come from outside, as a function that must hold for any input.
//!
//! `cargo xtask fuzz` searches for inputs that break one of them, guided by coverage. The tests of
//! this package replay the corpus, which also holds every input that ever did.

mod cut;
mod json;
mod log;
mod relay;
mod settings;
mod sse;

/// A fuzz target: its name, which is its folder in the corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("json_rewrite", json::rewrite),
    ("log_follow", log::follow),
    ("relay", relay::relay),
    ("rest_body", json::rest_body),
    ("settings_file", settings::file),
    ("sse_decode", sse::decode),
];
