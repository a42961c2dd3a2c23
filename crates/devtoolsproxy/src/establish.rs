//! From a client that was let in to a socket of the browser, before the 101.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::Instant;
use upstream::Changes;

use crate::browser;
use crate::dial::{Event, Opened, Plan, Step};
use crate::directory::Target;
use crate::entry::Entry;
use crate::refusal::Refusal;
use crate::route::Endpoint;
use crate::stops::Stops;

/// A browser's socket, good at the moment it is handed over.
pub(crate) struct Established {
    pub(crate) opened: Opened,
    pub(crate) socket: TcpStream,
    pub(crate) prefix: Bytes,
    /// Has seen the state that the socket belongs to, and misses nothing that follows.
    pub(crate) changes: Changes,
}

/// Follows the plan until it opens or refuses.
///
/// # Cancel safety
/// Dropping the future drops the dial.
pub(crate) async fn establish(
    target: &Target,
    endpoint: &Endpoint,
    mut plan: Plan,
    entry: &mut Entry,
    stops: &mut Stops,
) -> Result<Established, Refusal> {
    // Subscribed before it is read, so that no update falls in between.
    let mut changes = target.upstream.changes();
    let mut state = changes.current();
    let mut event = Event::Admitted;
    let mut dial = None;
    let mut socket = None;
    loop {
        let now = Instant::now().into_std();
        let step = plan.handle(event, &state, now, fastrand::f64());
        entry.note(&plan, state.generation, now);
        let until = match step {
            Step::Hold { until } | Step::Pause { until } => {
                dial = None;
                until
            }
            Step::Continue { until } => until,
            Step::Dial { url, until, .. } => {
                let url = url.clone();
                dial = Some(Box::pin(async move { browser::dial(&url, endpoint).await }));
                socket = None;
                until
            }
            Step::Open(opened) => match socket.take() {
                Some(wsproxy::handshake::Connected { io, prefix }) => {
                    return Ok(Established { opened, socket: io, prefix, changes });
                }
                // Only a dial that succeeded opens; the plan is asked again otherwise.
                None => continue,
            },
            Step::Refuse(gave_up) => return Err(Refusal::Unreachable(gave_up.why)),
        };
        let dialled = async {
            match &mut dial {
                Some(dial) => dial.await,
                None => std::future::pending().await,
            }
        };
        event = tokio::select! {
            biased;
            detail = stops.wait() => return Err(Refusal::Stopped(detail)),
            _ = changes.changed() => Event::Changed,
            dialled = dialled => match dialled {
                Ok(connected) => {
                    socket = Some(connected);
                    Event::Dialled
                }
                Err(failure) => {
                    target.upstream.hint();
                    Event::Failed(failure)
                }
            },
            () = tokio::time::sleep_until(Instant::from_std(until)) => Event::TimeUp,
        };
        if matches!(event, Event::Dialled | Event::Failed(_)) {
            dial = None;
        }
        state = changes.current();
    }
}
