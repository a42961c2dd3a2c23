//! Sessions through the real handler: real sockets on both sides, a scripted browser, short waits.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests and what they stand on"
)]
#![allow(clippy::disallowed_methods, reason = "a test's runtime owns its tasks and drops them")]

mod before_the_101;
mod ended_by_the_browser;
mod ended_by_the_client;
mod ended_by_us;
mod json;
mod many;
mod quick_connect;
mod refusals;
mod support;
