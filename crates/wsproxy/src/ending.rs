//! The second half of a session: both sides are told and closed.

use crate::close::CloseFrame;
use crate::endpoint::Endpoint;
use crate::report::RelayReport;
use crate::verdict::Terminal;
use std::future::Future;

/// A session whose end is known and whose sockets are still open.
#[must_use = "both sockets are dropped without a Close"]
#[derive(Debug)]
pub struct Ending<C, U> {
    client: C,
    upstream: U,
    terminal: Terminal,
}

impl<C: Endpoint, U: Endpoint> Ending<C, U> {
    /// What ended the session.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// Whether a Close can still be written to the client: it has not vanished, and no frame to it
    /// is open that can never be finished. If not, its code need not be decided.
    pub fn client_can_be_told(&self) -> bool {
        unimplemented!("the closing follows")
    }

    /// Closes both sides and reports.
    ///
    /// The upstream's close starts at once. The client's Close is what `client_close` resolves to,
    /// awaited at the same time: `None` writes none. If it takes longer than `Limits::close_grace`
    /// after the terminal event, [`Terminal::suggested_client_close`] is used. The whole is over
    /// one second after `close_grace` at the latest, counted from the terminal event.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what is still open of both sockets.
    pub async fn close<F>(self, client_close: F) -> RelayReport
    where
        F: Future<Output = Option<CloseFrame>>,
    {
        let _ = client_close;
        unimplemented!("the closing follows")
    }
}
