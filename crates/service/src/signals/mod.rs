//! Which signals end the process, and how a second and a third one hurry it.

mod counter;

#[cfg(test)]
mod tests;

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::BoxFuture;

pub use counter::{Heard, SIGNAL_GAP, SignalCounter, SignalName};

/// The handlers of this process. Install them before it says that it is ready, so that no signal
/// finds it without.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
    hangup: Signal,
    counter: SignalCounter,
}

impl Signals {
    /// Installs handlers for SIGTERM, SIGINT, SIGUSR1 and SIGHUP. They stay for the life of the
    /// process; signals that come before anyone waits are kept.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            counter: SignalCounter::new(),
        })
    }

    /// Waits for the next signal that means something. SIGHUP and repeats are logged and waited past.
    ///
    /// # Cancel safety
    /// Can be dropped and called again; no signal is lost.
    pub async fn next(&mut self) -> Heard {
        loop {
            let name = tokio::select! {
                Some(()) = self.terminate.recv() => SignalName::Terminate,
                Some(()) = self.interrupt.recv() => SignalName::Interrupt,
                Some(()) = self.user1.recv() => SignalName::User1,
                Some(()) = self.hangup.recv() => SignalName::Hangup,
                else => return std::future::pending().await,
            };
            let heard = self.counter.handle(name, Instant::now().into_std());
            tracing::info!(signal = name.as_str(), meaning = heard.as_str(), "signal");
            match heard {
                Heard::Start | Heard::First | Heard::Second | Heard::Third => return heard,
                Heard::Repeat | Heard::Ignored => {}
            }
        }
    }
}

/// Where signals come from: [`Signals`], or a test.
pub trait SignalSource: Send + 'static {
    /// The next one that means something. Can be dropped and called again without losing one.
    fn next(&mut self) -> BoxFuture<'_, Heard>;
}

impl SignalSource for Signals {
    fn next(&mut self) -> BoxFuture<'_, Heard> {
        Box::pin(Signals::next(self))
    }
}
