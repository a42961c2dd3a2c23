//! Quick connect: a sandbox for the life of one socket.

use std::sync::Arc;

use axum::response::Response;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::dial::DialLimits;
use crate::directory::{QuickOptions, QuickRefused, Target};
use crate::edge::Inner;
use crate::entry::Entry;
use crate::refusal::Refusal;
use crate::serve::{Knock, Visit, admit};
use crate::stops::Stops;

/// A sandbox that was made for one client. Whatever ends the client's visit drops this, and that
/// deletes the sandbox.
#[must_use = "dropping it deletes the sandbox"]
pub(crate) struct Lease {
    edge: Arc<Inner>,
    target: Target,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let edge = Arc::clone(&self.edge);
        let (id, lifecycle) = (Arc::clone(&self.target.id), Arc::clone(&self.target.lifecycle_id));
        let mut stops = Stops::new(self.target.stop.clone(), self.edge.stop.subscribe(), None);
        self.edge.tasks.spawn(async move {
            let linger = edge.settings.quick_linger;
            if !linger.is_zero() {
                tokio::select! {
                    _ = stops.wait() => {}
                    () = tokio::time::sleep(linger) => {}
                }
            }
            edge.directory.delete_quick(id, lifecycle).await;
        });
    }
}

pub(crate) async fn connect(
    edge: &Arc<Inner>,
    knock: Knock,
    query: Option<&str>,
    connection_id: &Arc<str>,
) -> Result<Response, Refusal> {
    let began = Instant::now();
    let deadline = began + edge.settings.create_wait;
    let mut entry = Entry::new(edge.reports.clone(), Arc::clone(connection_id));
    entry.starting(began.into_std());
    let lease = match create(edge, query, deadline).await {
        Ok(lease) => lease,
        Err(refusal) => {
            entry.refused(&refusal);
            return Err(refusal);
        }
    };
    let target = lease.target.clone();
    entry.of_sandbox(&target.id);
    // One budget for the sandbox and its browser: what is left of it may be spent on holding.
    let left = deadline.saturating_duration_since(Instant::now());
    let dial = edge.settings.dial;
    let limits = DialLimits { hold_max: left, total: left.max(dial.dial_attempt), ..dial };
    admit(edge, knock, Visit { target, limits, lease: Some(lease) }, entry, connection_id).await
}

/// Starts a sandbox in a task of its own: if the client leaves, the start is called off, and what
/// it made all the same is deleted.
async fn create(
    edge: &Arc<Inner>,
    query: Option<&str>,
    deadline: Instant,
) -> Result<Lease, Refusal> {
    let _pass = edge.gate.enter_owned().map_err(|_| Refusal::Draining)?;
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let wait = deadline.saturating_duration_since(Instant::now());
    let options = QuickOptions { params: params(query), wait };
    let (made, lease) = oneshot::channel();
    let owner = Arc::clone(edge);
    edge.own(async move {
        let result = owner.directory.create_quick(options, left).await;
        let result = result.map(|target| Lease { edge: Arc::clone(&owner), target });
        // If nobody waits any more, the lease comes back and is dropped here.
        drop(made.send(result));
    });
    let mut stop = edge.stop.subscribe();
    let stopped = async {
        match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(detail)) => detail,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        detail = stopped => Err(Refusal::Stopped(detail)),
        lease = timeout_at(deadline, lease) => match lease {
            Ok(Ok(lease)) => lease.map_err(Refusal::Quick),
            Ok(Err(_cut)) => Err(Refusal::Draining),
            Err(_elapsed) => Err(Refusal::Quick(QuickRefused::TimedOut)),
        },
    }
}

/// The parameters of a query, decoded, without the token, which is ours and nobody else's.
fn params(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name != "token")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
