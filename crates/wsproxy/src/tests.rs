//! Facts of whole sessions, over in-memory streams and paused time; the kernel's own facts over TCP.

mod broken;
mod closes;
mod control;
mod ends;
mod flow;
mod rig;
mod spliced;
mod stalls;
mod stops;
mod taps;
mod tcp;
#[cfg(feature = "handshake")]
mod tls;
