#![doc = include_str!("../README.md")]

mod announce;
mod backoff;
mod checker;
mod counts;
mod follow;
mod lines;
mod model;
mod probe;
mod publish;
pub mod sources;
mod state;
mod tail;
#[cfg(test)]
mod testing;
mod url;

pub use crate::announce::{AnnounceScanner, PrefixForm, RefusedUrl, Scan};
pub use crate::backoff::Backoff;
pub use crate::counts::{Counts, RefusedUrls};
pub use crate::follow::{FileId, Follower, Line, MAX_LINE, ReadBack, Torn};
pub use crate::lines::LineCutter;
pub use crate::model::{Applied, Model, Refusal, step};
pub use crate::probe::{Answer, BoxFuture, HttpProbe, PROBE_TIMEOUT, Probe, Verify};
pub use crate::publish::{Changes, Hints, Publisher, Upstream, WaitReady};
pub use crate::state::{Cause, Ended, Fact, Phase, UpstreamState};
pub use crate::url::{UrlError, UrlPolicy, WsUrl};
