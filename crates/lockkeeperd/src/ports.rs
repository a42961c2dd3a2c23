//! A port of its own for each sandbox, for clients that keep only the host and port of an address.
//!
//! A sandbox gets its port with the first answer that shows it, as nobody can know the port before,
//! and keeps it until it leaves. The port is closed then, at the same moment at which the sandbox
//! lets no more sessions in. Sessions that are open end as those on every other address do.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener as BlockingListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use devtoolsproxy::{Edge, OverTls};
use draingate::Gate;
use orchestrator::driver::LifecycleId;
use orchestrator::urls::OwnPorts;
use orchestrator::{LiveSandbox, Orchestrator};
use service::access::Authority;
use service::http::{HttpLimits, HttpServer, Tls};
use telemetry::fields;
use telemetry::words::Addressing;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::range::PortRange;

mod range;

/// Time that requests on a port have to end once its sandbox has left. The sandbox's own end stops
/// what they wait for, so only their answers are still on the way.
const GRACE: Duration = Duration::from_secs(1);

/// The ports of this node's sandboxes. Clones are handles to the same ones.
#[derive(Clone)]
pub(crate) struct Ports(Arc<Shared>);

struct Shared {
    range: PortRange,
    /// Where the API listens, so that the rules about tokens hold for the ports too.
    ip: IpAddr,
    limits: HttpLimits,
    /// What the API speaks TLS with is spoken here too.
    tls: Option<Arc<Tls>>,
    orchestrator: Orchestrator,
    edge: Arc<Edge>,
    /// Every sandbox that was shown and whose port is not closed yet.
    held: Mutex<HashMap<LifecycleId, Held>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

struct Held {
    /// `None`: there was no free one, and this sandbox lives without.
    port: Option<u16>,
    /// Begins to drain when the sandbox leaves.
    sessions: Gate,
}

impl Ports {
    /// Ports of `range` at `ip`; none is open yet.
    pub(crate) fn new(
        range: PortRange,
        ip: IpAddr,
        (limits, tls): (HttpLimits, Option<Arc<Tls>>),
        orchestrator: Orchestrator,
        edge: Arc<Edge>,
    ) -> Self {
        Self(Arc::new(Shared {
            range,
            ip,
            limits,
            tls,
            orchestrator,
            edge,
            held: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Opens no more ports, closes those that are open and waits until their tasks have ended.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting, not the close.
    pub(crate) async fn close(&self) {
        {
            // Under the lock, so that no port is opened behind it.
            let _held = self.0.held();
            self.0.tasks.close();
        }
        self.0.closing.cancel();
        self.0.tasks.wait().await;
    }
}

impl OwnPorts for Ports {
    fn url(&self, id: &str, lifecycle: &LifecycleId, host: Option<&str>) -> Option<String> {
        let port = self.0.port(id, lifecycle)?;
        let scheme = if self.0.tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{}", authority(self.0.ip, port, host)))
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<LifecycleId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port of this incarnation, which is opened now if it was never asked for.
    fn port(self: &Arc<Self>, id: &str, lifecycle: &LifecycleId) -> Option<u16> {
        let mut held = self.held();
        if let Some(held) = held.get(lifecycle) {
            return held.port.filter(|_| !held.sessions.is_draining());
        }
        if self.tasks.is_closed() {
            return None;
        }
        // What has ended, or is another incarnation by now, gets none.
        let live =
            self.orchestrator.live(id).ok().filter(|live| live.lifecycle_id == *lifecycle)?;
        let taken: HashSet<u16> = held.values().filter_map(|held| held.port).collect();
        let opened = self.open(&taken);
        let port = opened.as_ref().map(|(port, _)| *port);
        if port.is_none() {
            tracing::warn!(
                { fields::SANDBOX_ID } = %id,
                "no port of {} is free; the sandbox lives without one",
                self.range
            );
        }
        held.insert(lifecycle.clone(), Held { port, sessions: live.sessions.clone() });
        drop(held);
        let tenure = Tenure { shared: Arc::clone(self), lifecycle: lifecycle.clone() };
        drop(self.tasks.spawn(tenure.serve(live, opened.map(|(_, listener)| listener))));
        port
    }

    /// Listens on the lowest port that neither a sandbox nor anybody else has.
    fn open(&self, taken: &HashSet<u16>) -> Option<(u16, TcpListener)> {
        for port in self.range.ports().filter(|port| !taken.contains(port)) {
            let at = SocketAddr::new(self.ip, port);
            match listen(at) {
                Ok(listener) => return Some((port, listener)),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
                    ) =>
                {
                    tracing::debug!(address = %at, %error, "passed over");
                }
                Err(error) => {
                    tracing::warn!(address = %at, %error, "no port can be opened");
                    return None;
                }
            }
        }
        None
    }
}

/// Does not wait for anything: the name of the address is a number.
fn listen(at: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = BlockingListener::bind(at)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The time in which a sandbox holds its port. Its end makes the port free.
struct Tenure {
    shared: Arc<Shared>,
    lifecycle: LifecycleId,
}

impl Tenure {
    /// Serves until the sandbox leaves or the node closes.
    async fn serve(self, live: LiveSandbox, listener: Option<TcpListener>) {
        let closing = self.shared.closing.clone();
        let left = live.sessions.draining();
        let over = async {
            tokio::select! {
                () = left => {}
                () = closing.cancelled() => {}
            }
        };
        let Some(listener) = listener else { return over.await };
        let router = self.shared.edge.fixed_router(&live.sandbox_id, Addressing::Port);
        let tls = self.shared.tls.clone();
        let router = if tls.is_some() { router.layer(Extension(OverTls)) } else { router };
        let server = HttpServer::new(listener, router, self.shared.limits.clone()).with_tls(tls);
        let stop = server.stop_handle();
        let end = async {
            over.await;
            stop.finish(Instant::now() + GRACE).await;
        };
        let (report, ()) = tokio::join!(server.run(), end);
        tracing::debug!({ fields::SANDBOX_ID } = %live.sandbox_id, "its port is closed: {report}");
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.shared.held().remove(&self.lifecycle);
    }
}

/// Pure: how a client reaches a port. A listener on every address is reached by the name that the
/// client used, any other one by its own address.
fn authority(ip: IpAddr, port: u16, host: Option<&str>) -> String {
    if ip.is_unspecified()
        && let Some(used) = host.and_then(Authority::parse)
    {
        return Authority { host: used.host, port: Some(port) }.to_string();
    }
    let ip = match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    };
    SocketAddr::new(ip, port).to_string()
}

#[cfg(test)]
mod tests;
