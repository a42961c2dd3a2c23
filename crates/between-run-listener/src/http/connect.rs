//! From a URL to a connection with an address that the guard has seen.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use crate::feed::BoxFuture;
use crate::listener::Reason;

use super::error::{SendError, io_reason};
use super::guard::Guard;
use super::tls::Trust;

/// Most names looked up at once: each takes a thread of the runtime's while it lasts.
const LOOKUPS: usize = 16;

/// The most that one read takes.
const READ: usize = 64 << 10;

/// An idle peer is probed after this long; a host that is gone is found 30 s later.
#[cfg(target_os = "linux")]
const KEEP_ALIVE: (u32, u32, u32) = (20, 10, 3);

/// How long sent bytes may stay without acknowledgement.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(50);

/// Turns names into addresses.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name.
    ///
    /// # Errors
    /// It has none, or nobody could say.
    ///
    /// # Cancel safety
    /// The answer is dropped.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's own way, on the runtime's threads for blocking work, at most sixteen at a time. A
/// look-up that nobody waits for any more ends on its thread and its answer is dropped.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit =
                Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let found = tokio::task::spawn_blocking(move || {
                let _held_to_the_end = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

/// A connection to a runner. Reading holds no buffer while nothing comes.
#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Tls(tls) => Pin::new(&mut **tls),
        }
    }

    /// What has come, empty at the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut room = [std::mem::MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut room);
        std::task::ready!(self.stream().poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    }

    /// Writes what is left, of which it takes what it has written.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        left: &mut &[u8],
    ) -> Poll<io::Result<()>> {
        while !left.is_empty() {
            match std::task::ready!(self.stream().poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *left = &left[written..],
            }
        }
        self.stream().poll_flush(cx)
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a connect needs.
pub(super) struct Connector {
    pub(super) guard: Guard,
    pub(super) resolver: Box<dyn Resolve>,
    pub(super) trust: Trust,
    pub(super) timeout: Duration,
}

impl Connector {
    /// The addresses of a URL that may be connected to.
    ///
    /// # Errors
    /// The guard forbids the URL or all of its addresses; it has none.
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, SendError> {
        self.guard.check_url(url)?;
        let port = url.port_or_known_default().unwrap_or(80);
        let name = match url.host() {
            Some(Host::Ipv4(ip)) => return Ok(vec![(ip, port).into()]),
            Some(Host::Ipv6(ip)) => return Ok(vec![(ip, port).into()]),
            Some(Host::Domain(name)) => name,
            None => return Err(SendError::Connect { reason: Reason::Dns }),
        };
        let found = self.resolver.resolve(name).await.unwrap_or_default();
        let mut blocked = None;
        let mut allowed = Vec::new();
        for ip in found {
            match self.guard.check_address(name, ip, port) {
                Ok(()) => allowed.push(SocketAddr::new(ip, port)),
                Err(why) => blocked = Some(why),
            }
        }
        match blocked {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(why) => Err(why.into()),
            None => Err(SendError::Connect { reason: Reason::Dns }),
        }
    }

    /// A connection to one of the URL's addresses, in the order in which they were found.
    pub(super) async fn connect(&self, url: &Url) -> Result<Io, SendError> {
        let deadline = Instant::now() + self.timeout;
        let connect = async {
            let addresses = self.addresses(url).await?;
            let tcp = self.dial(&addresses, deadline).await?;
            if url.scheme() == "http" {
                return Ok(Io::Plain(tcp));
            }
            let connector = TlsConnector::from(self.trust.config());
            let name = match url.host() {
                Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).ok(),
                Some(Host::Ipv4(ip)) => Some(ServerName::from(IpAddr::V4(ip))),
                Some(Host::Ipv6(ip)) => Some(ServerName::from(IpAddr::V6(ip))),
                None => None,
            };
            let name = name.ok_or(SendError::Connect { reason: Reason::Tls })?;
            let tls = connector.connect(name, tcp).await.map_err(|error| {
                // A peer that goes away in the handshake has broken it off.
                let reason = match io_reason(&error) {
                    Reason::Reset | Reason::Io => Reason::TlsBroken,
                    other => other,
                };
                SendError::Connect { reason }
            })?;
            Ok(Io::Tls(Box::new(tls)))
        };
        match tokio::time::timeout_at(deadline, connect).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Connect { reason: Reason::ConnectTimeout }),
        }
    }

    async fn dial(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, SendError> {
        let mut reason = Reason::Dns;
        for (at, address) in addresses.iter().enumerate() {
            // What is left is shared out, so that one silent address does not use it up.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    set_timers(&tcp);
                    return Ok(tcp);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    reason = Reason::ConnectTimeout;
                }
                Ok(Err(error)) => reason = io_reason(&error),
                Err(_) => reason = Reason::ConnectTimeout,
            }
        }
        Err(SendError::Connect { reason })
    }
}

/// Without them a dead host is found later, by the idle timeout; so a failure is only logged.
fn set_timers(tcp: &TcpStream) {
    let set = || -> io::Result<()> {
        tcp.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        {
            use nix::sys::socket::{setsockopt, sockopt};
            let (idle, interval, probes) = KEEP_ALIVE;
            setsockopt(tcp, sockopt::TcpKeepIdle, &idle)?;
            setsockopt(tcp, sockopt::TcpKeepInterval, &interval)?;
            setsockopt(tcp, sockopt::TcpKeepCount, &probes)?;
            setsockopt(tcp, sockopt::KeepAlive, &true)?;
            let millis = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
            setsockopt(tcp, sockopt::TcpUserTimeout, &millis)?;
        }
        Ok(())
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "a connection to a runner has not all of its timers");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
