#![doc = include_str!("../README.md")]

mod announce;
mod backoff;
mod counts;
mod lines;
mod model;
mod probe;
mod publish;
mod state;
mod url;

pub use crate::announce::{AnnounceScanner, PrefixForm, RefusedUrl, Scan};
pub use crate::backoff::Backoff;
pub use crate::counts::{Counts, RefusedUrls};
pub use crate::lines::LineCutter;
pub use crate::model::{Applied, Model, Refusal, step};
pub use crate::probe::{Answer, BoxFuture, HttpProbe, PROBE_TIMEOUT, Probe, Verify};
pub use crate::publish::{Changes, Hints, Publisher, Upstream, WaitReady};
pub use crate::state::{Cause, Ended, Fact, Phase, UpstreamState};
pub use crate::url::{UrlError, UrlPolicy, WsUrl};
