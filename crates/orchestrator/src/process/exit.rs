//! How a child ended, from the kernel.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::process::{Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use upstream::Cause;

use super::spawner::Nursery;

/// Watches one child through its pidfd, which cannot come to mean another process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    nursery: Arc<Nursery>,
}

impl Child {
    #[expect(
        deprecated,
        reason = "the replacement is `unsafe` for types that might swap their descriptor; an \
                  `OwnedFd` cannot"
    )]
    pub(crate) fn new(pid: i32, pidfd: OwnedFd, nursery: Arc<Nursery>) -> io::Result<Self> {
        Ok(Self { pid, pidfd: AsyncFd::with_interest(pidfd, Interest::READABLE)?, nursery })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns how the child ended, as soon as it has. It stays a zombie, so that its pid and
    /// session keep their meaning until [`reap`](Self::reap).
    ///
    /// # Cancel safety
    /// May be dropped and called again, also after it has returned.
    pub(crate) async fn ended(&self) -> Cause {
        loop {
            let Ok(mut ready) = self.pidfd.readable().await else { return Cause::UnknownExit };
            match self.look(WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT) {
                Ok(Some(cause)) => return cause,
                Ok(None) => ready.clear_ready(),
                Err(e) => {
                    tracing::error!(pid = self.pid, error = %e, "a child's status was taken away");
                    return Cause::UnknownExit;
                }
            }
        }
    }

    /// Sends a signal; a child that has ended already is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Waits for the child, which has ended: from now on its pid may mean another process.
    pub(crate) fn reap(self) {
        let _ = self.look(WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        self.nursery.waited(self.pid);
    }

    fn look(&self, options: WaitIdOptions) -> io::Result<Option<Cause>> {
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.map(|status| {
            let exited = status.exit_status().map(|code| Cause::Exited { code });
            let signalled = status.terminating_signal().map(|signal| Cause::Signalled { signal });
            exited.or(signalled).unwrap_or(Cause::UnknownExit)
        }))
    }
}
