//! Limits and timers of a session, all with the defaults that suit a DevTools client and Chromium.

use crate::frame::MAX_HEADER;
use std::fmt;
use std::time::Duration;

/// Limits and timers of a session.
///
/// `Limits::default()` is valid. Change what you need, then let [`Limits::validate`] check the
/// whole once, when settings are read; the relay does not check again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message of the client, in payload bytes over all its fragments. Default
    /// 104,857,586: Chromium takes frames of 100 MiB with their header of 14 bytes.
    pub max_client_message: u64,
    /// Largest message of the browser, in payload bytes. Default 256 MiB, which is what DevTools
    /// clients accept and what Chromium itself does not exceed.
    pub max_browser_message: u64,
    /// A frame with at most this many payload bytes is written once it is complete, a longer one
    /// in pieces as they arrive. Default 16 KiB.
    pub whole_frame_max: usize,
    /// A fragmented message of the client is joined to one frame while it has at most this many
    /// payload bytes. Beyond, it stays fragmented. Default 1 MiB. Set it to `max_client_message`
    /// for a browser that takes no fragments, at the cost of that much memory per session.
    pub join_max: u64,
    /// Size of the buffer a direction borrows while bytes are on their way. Default 512 KiB.
    pub buffer: usize,
    /// How long the closing may take: bytes that were received are delivered, and answers to a
    /// Close are awaited, at most this long each, and both together at most one second longer.
    /// Default 2 s.
    pub close_grace: Duration,
    /// How long a write to the client may stay without one byte of progress. Default 45 s.
    pub write_stall_client: Duration,
    /// How long a write to the browser may stay without one byte of progress. Default 30 s.
    pub write_stall_upstream: Duration,
    /// Ends the session after this long without a data byte in either direction. Default off.
    pub idle: Option<Duration>,
    /// Sends the client an empty ping this often; a missing pong ends nothing. Default off, since
    /// some clients never answer pings.
    pub ping_interval: Option<Duration>,
    /// A quiet stop needs this long without a data frame. Default 250 ms.
    pub quiet_for: Duration,
    /// Kernel timers of the client's TCP socket.
    pub client_tcp: TcpTimers,
}

/// Kernel timers of a TCP socket. Both may be off, for peers that sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpTimers {
    /// Probes on an idle connection. Default: after 30 s, 3 times, 10 s apart.
    pub keepalive: Option<Keepalive>,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged. Default 60 s.
    pub user_timeout: Option<Duration>,
}

/// When and how often the kernel probes an idle connection. Whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub after: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes until the connection is given up.
    pub probes: u32,
}

impl TcpTimers {
    /// No kernel timer.
    pub const OFF: Self = Self { keepalive: None, user_timeout: None };
}

impl Default for TcpTimers {
    fn default() -> Self {
        Self {
            keepalive: Some(Keepalive {
                after: Duration::from_secs(30),
                interval: Duration::from_secs(10),
                probes: 3,
            }),
            user_timeout: Some(Duration::from_secs(60)),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_client_message: 100 * 1024 * 1024 - MAX_HEADER as u64,
            max_browser_message: 256 * 1024 * 1024,
            whole_frame_max: 16 * 1024,
            join_max: 1024 * 1024,
            buffer: 512 * 1024,
            close_grace: Duration::from_secs(2),
            write_stall_client: Duration::from_secs(45),
            write_stall_upstream: Duration::from_secs(30),
            idle: None,
            ping_interval: None,
            quiet_for: Duration::from_millis(250),
            client_tcp: TcpTimers::default(),
        }
    }
}

impl Limits {
    /// Smallest allowed `buffer`.
    pub const MIN_BUFFER: usize = 4 * 1024;

    /// Checks the whole.
    ///
    /// # Errors
    ///
    /// The first field that contradicts another one or makes no sense, and what to do about it.
    pub fn validate(&self) -> Result<(), LimitsError> {
        if let Some(user_timeout) = self.client_tcp.user_timeout
            && user_timeout <= self.write_stall_client
        {
            let write_stall_client = self.write_stall_client;
            return Err(LimitsError::UserTimeoutBeforeStall { user_timeout, write_stall_client });
        }
        let least = self.least_buffer();
        if self.buffer < least {
            return Err(LimitsError::BufferTooSmall { buffer: self.buffer, least });
        }
        let zero = [
            ("max_client_message", self.max_client_message == 0),
            ("max_browser_message", self.max_browser_message == 0),
            ("close_grace", self.close_grace.is_zero()),
            ("write_stall_client", self.write_stall_client.is_zero()),
            ("write_stall_upstream", self.write_stall_upstream.is_zero()),
            ("idle", self.idle.is_some_and(|idle| idle.is_zero())),
            ("ping_interval", self.ping_interval.is_some_and(|ping| ping.is_zero())),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((field, _)) => Err(LimitsError::Zero { field }),
            None => Ok(()),
        }
    }

    /// The smallest buffer that holds every frame that has to be held whole.
    pub(crate) fn least_buffer(&self) -> usize {
        Self::MIN_BUFFER.max(self.whole_frame_max.saturating_add(MAX_HEADER))
    }
}

/// Why limits are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitsError {
    /// The kernel would end a slow client before the relay can tell that it is alive.
    UserTimeoutBeforeStall {
        /// The refused `client_tcp.user_timeout`.
        user_timeout: Duration,
        /// What it has to exceed.
        write_stall_client: Duration,
    },
    /// A buffer does not hold a frame that has to be held whole.
    BufferTooSmall {
        /// The refused `buffer`.
        buffer: usize,
        /// The smallest that fits the other settings.
        least: usize,
    },
    /// A setting that has no meaning at zero.
    Zero {
        /// Its name.
        field: &'static str,
    },
}

impl LimitsError {
    /// Name of the mistake, fit for a metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UserTimeoutBeforeStall { .. } => "user_timeout_before_stall",
            Self::BufferTooSmall { .. } => "buffer_too_small",
            Self::Zero { .. } => "zero",
        }
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserTimeoutBeforeStall { user_timeout, write_stall_client } => write!(
                f,
                "client_tcp.user_timeout is {user_timeout:?}, but must be longer than \
                 write_stall_client ({write_stall_client:?}): raise it or switch it off"
            ),
            Self::BufferTooSmall { buffer, least } => {
                write!(f, "buffer is {buffer} bytes, but must be at least {least}")
            }
            Self::Zero { field } => write!(f, "{field} is zero: raise it or leave it out"),
        }
    }
}

impl std::error::Error for LimitsError {}

#[cfg(test)]
mod tests;
