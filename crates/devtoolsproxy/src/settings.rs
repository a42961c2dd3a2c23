//! Settings of the edge, with the defaults that suit DevTools clients and Chromium.

use std::time::Duration;

use crate::dial::DialLimits;
use crate::external::{Network, PublicUrl};
use crate::facts::Waits;

/// Settings of an [`Edge`](crate::Edge).
///
/// `EdgeSettings::default()` is valid. Change what you need, then let [`EdgeSettings::validate`]
/// check the whole once, when settings are read.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// How long reaching a browser may take before the 101.
    pub dial: DialLimits,
    /// How long the end of a session waits for facts.
    pub waits: Waits,
    /// One look at the list of targets, when the socket of a page ended.
    pub list_look: Duration,
    /// One `/json` request to the browser, from connect to the end of its answer.
    pub fetch_limit: Duration,
    /// Largest `/json` answer in bytes.
    pub fetch_body_max: usize,
    /// Sessions of one sandbox at once, those that are being connected included.
    pub sessions_per_sandbox: usize,
    /// Sessions of this process at once.
    pub sessions_total: usize,
    /// Longest wait of a quick connect for its sandbox and its browser together.
    pub create_wait: Duration,
    /// How long a quick-connect sandbox stays after its socket ended.
    pub quick_linger: Duration,
    /// How long the sessions of a sandbox whose time to live is over may look for a quiet moment
    /// before they are closed. Zero closes them at once. Whoever ends the sandbox has to keep its
    /// browser for as long.
    pub ttl_grace: Duration,
    /// Limits and timers of every relay.
    pub relay: wsproxy::Limits,
    /// Buffer memory of all relays together, in bytes.
    pub relay_memory: usize,
    /// Closes with 1014 instead of 1011 when it is not known what became of the browser. Older
    /// client libraries refuse codes above 1013, so it is off.
    pub use_1014: bool,
    /// Where clients reach us, if neither Host nor forwarded headers say so.
    pub public_url: Option<PublicUrl>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether `cdp_connect` names the client's address.
    pub record_client_ip: bool,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            dial: DialLimits::default(),
            waits: Waits::default(),
            list_look: Duration::from_millis(250),
            fetch_limit: Duration::from_secs(3),
            fetch_body_max: 16 << 20,
            sessions_per_sandbox: 256,
            sessions_total: 4096,
            create_wait: Duration::from_secs(60),
            quick_linger: Duration::ZERO,
            ttl_grace: Duration::ZERO,
            relay: wsproxy::Limits::default(),
            relay_memory: 256 << 20,
            use_1014: false,
            public_url: None,
            trusted_proxies: Vec::new(),
            record_client_ip: false,
        }
    }
}

/// A setting that makes no sense, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A time or a number that has no meaning at zero.
    #[error("{0} is zero: raise it")]
    Zero(&'static str),
    /// The parts are longer than the whole.
    #[error("dial.{0} is longer than dial.total: raise dial.total or lower it")]
    LongerThanTotal(&'static str),
    /// The confirm window ends before the browser is asked.
    #[error("waits.settle must be shorter than waits.confirm")]
    SettleAfterConfirm,
    /// The limits of the relay contradict each other.
    #[error("relay: {0}")]
    Relay(wsproxy::LimitsError),
}

impl EdgeSettings {
    /// Checks the whole.
    ///
    /// # Errors
    /// Every mistake, not only the first.
    pub fn validate(&self) -> Result<(), Vec<SettingsError>> {
        let zero = [
            ("dial.hold_max", self.dial.hold_max.is_zero()),
            ("dial.dial_attempt", self.dial.dial_attempt.is_zero()),
            ("dial.total", self.dial.total.is_zero()),
            ("waits.confirm", self.waits.confirm.is_zero()),
            ("list_look", self.list_look.is_zero()),
            ("fetch_limit", self.fetch_limit.is_zero()),
            ("fetch_body_max", self.fetch_body_max == 0),
            ("sessions_per_sandbox", self.sessions_per_sandbox == 0),
            ("sessions_total", self.sessions_total == 0),
            ("create_wait", self.create_wait.is_zero()),
            ("relay_memory", self.relay_memory == 0),
        ];
        let mut wrong: Vec<_> = zero
            .iter()
            .filter(|(_, is_zero)| *is_zero)
            .map(|(name, _)| SettingsError::Zero(name))
            .collect();
        for (name, part) in [
            ("hold_max", self.dial.hold_max),
            ("dial_attempt", self.dial.dial_attempt),
            ("dial_window", self.dial.dial_window),
        ] {
            if part > self.dial.total {
                wrong.push(SettingsError::LongerThanTotal(name));
            }
        }
        if self.waits.settle >= self.waits.confirm {
            wrong.push(SettingsError::SettleAfterConfirm);
        }
        if let Err(error) = self.relay.validate() {
            wrong.push(SettingsError::Relay(error));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}
