//! One wait for a state of the gate.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    shared::{Goal, Shared},
    sync::Arc,
};

#[derive(Debug)]
#[must_use = "a wait does nothing until it is polled"]
pub(crate) struct Wait {
    shared: Arc<Shared>,
    goal: Goal,
    /// The place in the list of waiters, from the first poll that had to wait.
    ticket: Option<u64>,
}

impl Wait {
    pub(crate) fn new(shared: Arc<Shared>, goal: Goal) -> Self {
        Self { shared, goal, ticket: None }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.shared.reached(this.goal) {
            return Poll::Ready(());
        }
        this.shared.waiters(this.goal).register(&mut this.ticket, cx.waker());
        // What changed before the registration woke nobody, so it has to be seen here.
        if this.shared.reached(this.goal) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.waiters(self.goal).forget(ticket);
        }
    }
}
