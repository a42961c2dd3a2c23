//! An edge on a real listener, sandboxes that a test controls, and the events that come out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use devtoolsproxy::{
    Admitted, Authorize, BoxFuture, Denied, Directory, Edge, EdgeSettings, LookupError,
    QuickOptions, QuickRefused, Target,
};
use draingate::Keeper;
use http::request::Parts;
use hyper_util::rt::TokioIo;
use telemetry::metrics::{CdpMetrics, Registry};
use telemetry::words::ContextDetail;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use upstream::{Cause, Fact, Publisher};

use super::browser::Browser;
use super::events::Events;
use super::ws::PATIENCE;

/// One sandbox, as its owner holds it.
pub struct Sandbox {
    pub publisher: Publisher,
    pub keeper: Keeper,
    pub stop: watch::Sender<Option<ContextDetail>>,
    pub target: Target,
}

impl Sandbox {
    pub fn new(id: &str, restart_expected: bool) -> Self {
        let publisher = Publisher::new(restart_expected);
        let keeper = Keeper::new();
        let (stop, stop_rx) = watch::channel(None);
        let target = Target {
            id: id.into(),
            lifecycle_id: format!("lc-{id}").into(),
            upstream: publisher.upstream(),
            gate: keeper.gate(),
            stop: stop_rx,
        };
        Self { publisher, keeper, stop, target }
    }

    pub fn ready(&self, browser: &Browser) {
        self.publisher.apply(Fact::Ready { url: browser.url() });
    }

    pub fn ended(&self, cause: Cause) {
        self.publisher.apply(Fact::Ended { cause });
    }

    pub fn gave_up(&self, cause: Cause) {
        self.publisher.apply(Fact::GaveUp { cause });
    }

    pub fn stop(&self, why: ContextDetail) {
        self.stop.send_replace(Some(why));
    }

    /// Sessions that hold a pass now.
    pub fn inside(&self) -> usize {
        self.keeper.report(std::time::Instant::now()).inside as usize
    }
}

/// What a quick connect gets.
type QuickScript = Box<
    dyn Fn(QuickOptions, CancellationToken) -> BoxFuture<'static, Result<Target, QuickRefused>>
        + Send
        + Sync,
>;

#[derive(Default)]
pub struct Sandboxes {
    known: Mutex<HashMap<String, Result<Target, LookupError>>>,
    quick: Mutex<Option<QuickScript>>,
    pub deleted: Mutex<Vec<String>>,
}

impl Sandboxes {
    pub fn know(&self, sandbox: &Sandbox) {
        let target = sandbox.target.clone();
        self.known.lock().unwrap().insert(target.id.to_string(), Ok(target));
    }

    pub fn stopped(&self, id: &str, why: &'static str) {
        let stopped = LookupError::Stopped { why: Cow::Borrowed(why) };
        self.known.lock().unwrap().insert(id.to_owned(), Err(stopped));
    }

    pub fn quick(
        &self,
        script: impl Fn(
            QuickOptions,
            CancellationToken,
        ) -> BoxFuture<'static, Result<Target, QuickRefused>>
        + Send
        + Sync
        + 'static,
    ) {
        *self.quick.lock().unwrap() = Some(Box::new(script));
    }

    pub fn deleted(&self) -> Vec<String> {
        self.deleted.lock().unwrap().clone()
    }
}

impl Directory for Sandboxes {
    fn lookup(&self, id: &str) -> Result<Target, LookupError> {
        self.known.lock().unwrap().get(id).cloned().unwrap_or(Err(LookupError::Unknown))
    }

    fn create_quick(
        &self,
        options: QuickOptions,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Target, QuickRefused>> {
        match &*self.quick.lock().unwrap() {
            Some(script) => script(options, cancel),
            None => Box::pin(async { Err(QuickRefused::Draining) }),
        }
    }

    fn delete_quick(&self, id: Arc<str>, lifecycle_id: Arc<str>) -> BoxFuture<'_, ()> {
        self.deleted.lock().unwrap().push(format!("{id}/{lifecycle_id}"));
        Box::pin(async {})
    }
}

/// Lets in what carries no `X-Denied` header.
struct ByHeader;

impl Authorize for ByHeader {
    fn authorize(&self, parts: &Parts, peer: Option<SocketAddr>) -> Result<Admitted, Denied> {
        assert!(peer.is_some_and(|peer| peer.ip().is_loopback()), "the peer is handed over");
        match parts.headers.get("x-denied").and_then(|value| value.to_str().ok()) {
            None => Ok(Admitted::default()),
            Some("host") => Err(Denied::BadHost("send one Host".into())),
            Some("token") => Err(Denied::Token("a token is required".into())),
            Some(_) => Err(Denied::Forbidden("this origin is refused".into())),
        }
    }
}

/// Short waits, so that a test does not take the seconds that operators get.
pub fn quickly() -> EdgeSettings {
    let ms = Duration::from_millis;
    let mut settings = EdgeSettings::default();
    settings.dial.hold_max = ms(600);
    settings.dial.dial_attempt = ms(400);
    settings.dial.dial_window = ms(800);
    settings.dial.total = ms(1500);
    settings.waits.settle = ms(60);
    settings.waits.tell = ms(500);
    settings.waits.confirm = ms(900);
    settings.fetch_limit = ms(800);
    settings.create_wait = ms(2500);
    settings.relay.close_grace = ms(900);
    settings
}

pub struct World {
    pub edge: Edge,
    pub sandboxes: Arc<Sandboxes>,
    pub events: Events,
    metrics: Registry,
    servers: JoinSet<()>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(quickly()).await
    }

    pub async fn with(settings: EdgeSettings) -> Self {
        settings.validate().expect("valid settings");
        let sandboxes = Arc::new(Sandboxes::default());
        let events = Events::new().await;
        let mut metrics = telemetry::metrics::registry();
        let edge = Edge::new(
            Arc::clone(&sandboxes) as Arc<dyn Directory>,
            Arc::new(ByHeader),
            (events.telemetry(), CdpMetrics::register(&mut metrics)),
            settings,
        );
        Self { edge, sandboxes, events, metrics, servers: JoinSet::new() }
    }

    /// The lines of the metrics whose name begins like this and that are not zero.
    pub fn counted(&self, name: &str) -> Vec<String> {
        let text = telemetry::metrics::write(&self.metrics).expect("metrics are text");
        let lines = text.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
        lines.map(str::to_owned).collect()
    }

    /// Serves a router on a port of its own.
    pub async fn serve(&mut self, router: Router) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        self.servers.spawn(listen(listener, router));
        address
    }

    /// The shared host.
    pub async fn shared(&mut self) -> SocketAddr {
        let router = self.edge.router();
        self.serve(router).await
    }

    /// A sandbox with a browser that is ready, and the address of the shared host.
    pub async fn one(&mut self, restart_expected: bool) -> (SocketAddr, Sandbox, Browser) {
        let sandbox = Sandbox::new("one", restart_expected);
        let browser = Browser::start("guid-1").await;
        sandbox.ready(&browser);
        self.sandboxes.know(&sandbox);
        (self.shared().await, sandbox, browser)
    }

    /// Nothing of any session is left: no place, no pass, no subscriber.
    pub async fn nothing_left(&self, sandbox: &Sandbox) {
        eventually("nothing of the session is left", || {
            let left = (
                self.edge.session_count(),
                self.edge.sessions().len(),
                sandbox.inside(),
                sandbox.target.upstream.subscribers(),
            );
            if left == (0, 0, 0, 0) { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
}

/// As the daemons serve: hyper's own HTTP/1.1 over the TCP socket, with upgrades.
async fn listen(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, peer)) = listener.accept() => {
                let router = router.clone();
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let router = router.clone();
                        let mut request = request.map(axum::body::Body::new);
                        request.extensions_mut().insert(ConnectInfo(peer));
                        router.oneshot(request)
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Waits until `check` is content, and says why it was not when patience ends.
pub async fn eventually(what: &str, mut check: impl FnMut() -> Result<(), String>) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match check() {
            Ok(()) => return,
            Err(state) if tokio::time::Instant::now() >= deadline => {
                panic!("never came true: {what}; now: {state}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}
