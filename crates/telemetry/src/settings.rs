//! What the owner of telemetry decides when it starts.

use std::time::Duration;

use crate::config::Config;
use crate::sinks::Sinks;

/// How telemetry is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node's id: `node` of every event, cut to 128 bytes.
    pub node: String,
    /// What is on at first.
    pub config: Config,
    /// How long a stream may be silent before it says that it is still there. 15 s: proxies close
    /// connections that are silent for 30 to 60 s.
    pub keep_alive: Duration,
    /// How long a stream's reader may take nothing before its stream ends. 60 s.
    pub stall: Duration,
    /// Where events go beside their readers.
    pub sinks: Option<Sinks>,
    /// How long what is in the queue may take to be stored when telemetry ends. 5 s.
    pub flush: Duration,
}

impl Settings {
    /// The defaults for a node.
    #[must_use]
    pub fn new(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            config: Config::default(),
            keep_alive: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            sinks: None,
            flush: Duration::from_secs(5),
        }
    }
}
