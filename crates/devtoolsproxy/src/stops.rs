//! Why a session must end, from the three that may say so: the owner of its sandbox, the owner of
//! the edge, and whoever let its client in. The first that is seen stays; a later one changes
//! nothing.

use telemetry::words::ContextDetail;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) type Stop = watch::Receiver<Option<ContextDetail>>;

#[derive(Clone, Debug)]
pub(crate) struct Stops {
    sandbox: Stop,
    edge: Stop,
    admitted: Option<CancellationToken>,
    pinned: Option<ContextDetail>,
}

impl Stops {
    /// `admitted` is cancelled when the client's right to be here ends.
    pub(crate) fn new(sandbox: Stop, edge: Stop, admitted: Option<CancellationToken>) -> Self {
        Self { sandbox, edge, admitted, pinned: None }
    }

    /// Why the session must end, if it must by now.
    pub(crate) fn current(&mut self) -> Option<ContextDetail> {
        if self.pinned.is_none() {
            let sandbox = *self.sandbox.borrow();
            let revoked = self.admitted.as_ref().is_some_and(CancellationToken::is_cancelled);
            let revoked = revoked.then_some(ContextDetail::AuthRevoked);
            self.pinned = sandbox.or_else(|| *self.edge.borrow()).or(revoked);
        }
        self.pinned
    }

    /// Another order has ended the session: this is why, if none came before it.
    pub(crate) fn pin(&mut self, why: ContextDetail) {
        self.pinned.get_or_insert(why);
    }

    /// Waits until the session must end. Never ready if it never must: an owner that goes away
    /// without a word has given none.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn wait(&mut self) -> ContextDetail {
        loop {
            if let Some(detail) = self.current() {
                return detail;
            }
            tokio::select! {
                biased;
                () = set(&mut self.sandbox) => {}
                () = set(&mut self.edge) => {}
                () = revoked(self.admitted.as_ref()) => {}
            }
        }
    }

    /// Waits until the edge is stopped, whatever else has been said.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn edge_stops(&mut self) {
        set(&mut self.edge).await;
    }
}

async fn revoked(admitted: Option<&CancellationToken>) {
    match admitted {
        Some(admitted) => admitted.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn set(stop: &mut Stop) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_word_stays_and_silence_is_none() {
        let (sandbox, sandbox_rx) = watch::channel(None);
        let (edge, edge_rx) = watch::channel(None);
        let mut stops = Stops::new(sandbox_rx, edge_rx, None);
        assert_eq!(stops.current(), None);
        drop(sandbox);
        let waiting = stops.clone();
        let mut waiting = waiting;
        let wait = waiting.wait();
        tokio::pin!(wait);
        assert!(futures_util::poll!(&mut wait).is_pending());
        edge.send_replace(Some(ContextDetail::NodeDrain));
        assert_eq!(wait.await, ContextDetail::NodeDrain);
        assert_eq!(stops.current(), Some(ContextDetail::NodeDrain));
        edge.send_replace(Some(ContextDetail::ForcedStop));
        assert_eq!(stops.wait().await, ContextDetail::NodeDrain);
    }
}
