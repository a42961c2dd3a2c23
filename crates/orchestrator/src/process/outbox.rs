//! Events on their way to whoever watches an instance, in order.

use std::collections::VecDeque;

use tokio::sync::mpsc::error::TrySendError;

use crate::driver::{DriverEvent, EventSink};

/// Sends events without ever making the instance wait while it must act, for example stop.
///
/// What the sink has no room for is held here. The instance starts no further browser before all
/// of it is delivered, so that at most the few events of one generation are held.
#[derive(Debug)]
pub(crate) struct Outbox {
    sink: EventSink,
    held: VecDeque<DriverEvent>,
}

impl Outbox {
    pub(crate) fn new(sink: EventSink) -> Self {
        Self { sink, held: VecDeque::new() }
    }

    /// Sends an event now, or as soon as those before it are delivered. If nobody listens any more
    /// it is dropped.
    pub(crate) fn push(&mut self, event: DriverEvent) {
        self.held.push_back(event);
        self.send_what_fits();
    }

    fn send_what_fits(&mut self) {
        while let Some(event) = self.held.pop_front() {
            match self.sink.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.held.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.held.clear(),
            }
        }
    }

    /// Waits until everything is delivered.
    ///
    /// # Cancel safety
    /// May be dropped at any time; nothing is lost or sent twice.
    pub(crate) async fn delivered(&mut self) {
        while !self.held.is_empty() {
            match self.sink.reserve().await {
                Ok(room) => {
                    if let Some(event) = self.held.pop_front() {
                        room.send(event);
                    }
                }
                Err(_) => self.held.clear(),
            }
        }
    }

    /// Events that could not be delivered so far.
    pub(crate) fn undelivered(&mut self) -> usize {
        self.send_what_fits();
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
