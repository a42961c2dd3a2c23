//! What the end-to-end tests share: where the built parts are, and a raw DevTools client.

mod bucket;
mod cdp;
mod certified;
mod echo;
mod nats;
mod otlp;
mod parts;
mod unit;

pub use bucket::S3Server;
pub use cdp::{Cdp, Ended, Refused};
pub use certified::{Certified, Secure};
pub use echo::serve_echo;
pub use nats::NatsServer;
pub use otlp::Receiver;
pub use parts::{
    cli, clients, daemon, gateway, node, node_trusting, rust_client, rust_client_binary, sidecar,
};
pub use unit::{NotifySocket, Unit};

/// What a test returns: nothing, or a text that says what was seen instead.
pub type Outcome = Result<(), String>;

/// Fails a test with a text.
#[macro_export]
macro_rules! must {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
