//! What the supervisor is told (`sd_notify(3)`).

use std::time::Duration;

use sd_notify::NotifyState;

/// Something the supervisor wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Start-up has ended.
    Ready,
    /// The end has begun.
    Stopping,
    /// One line for people.
    Status(String),
    /// The end takes longer: at least this much from now.
    MoreTime(Duration),
    /// The main loop is alive.
    Alive,
}

/// Tells the supervisor.
pub trait Notifier: Send + Sync + 'static {
    /// Tells it; never waits, never fails.
    fn notify(&self, notices: &[Notice]);

    /// How often it wants to hear [`Notice::Alive`] at the latest; `None` when it does not care.
    fn watchdog(&self) -> Option<Duration> {
        None
    }
}

/// systemd, or anything that sets `NOTIFY_SOCKET`. Without that it tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Systemd;

impl Notifier for Systemd {
    fn notify(&self, notices: &[Notice]) {
        let states: Vec<NotifyState<'_>> = notices
            .iter()
            .map(|notice| match notice {
                Notice::Ready => NotifyState::Ready,
                Notice::Stopping => NotifyState::Stopping,
                Notice::Status(text) => NotifyState::Status(text),
                Notice::MoreTime(time) => NotifyState::ExtendTimeoutUsec(
                    u32::try_from(time.as_micros()).unwrap_or(u32::MAX),
                ),
                Notice::Alive => NotifyState::Watchdog,
            })
            .collect();
        if let Err(error) = sd_notify::notify(&states) {
            tracing::debug!(error = %error, "the supervisor could not be told");
        }
    }

    fn watchdog(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }
}
