//! Builds the sidecar out of its parts and runs it to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Extension;
use devtoolsproxy::{Edge, OverTls, Target};
use draingate::Keeper;
use eventlog::memory::MemoryStore;
use eventlog::{LogName, LogOptions, Store};
use service::access::{Access, AccessMetrics, Origin, protect};
use service::http::{HttpMetrics, HttpServer, bind, observe_requests};
use service::settings::Values;
use service::settings::shared::{self, METRICS_PUBLIC};
use service::shutdown::{DrainMetrics, publish_to, tell_the_end};
use service::{Admin, ExitStatus, Readiness, Refused, Service, Signals};
use telemetry::events::NodeStarted;
use telemetry::metrics::{BrowserMetrics, CdpMetrics, UpstreamMetrics};
use telemetry::words::Addressing;
use telemetry::{Telemetry, TelemetryMetrics};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::Publisher;

use crate::browser::{Teller, follow};
use crate::directory::{BrowserDoor, Guard, OneBrowser};
use crate::drain::Sessions;
use crate::history::History;
use crate::settings::{self, API_LISTEN};

/// Time that open requests have to end once the sessions have.
const API_GRACE: Duration = Duration::from_secs(2);
/// Time the edge has at the end; its sessions have ended before.
const EDGE_GRACE: Duration = Duration::from_secs(1);
/// Time for the streams of events to hear of everything.
const EVENTS_GRACE: Duration = Duration::from_secs(2);
/// The most that any other closer may take.
const CLOSE: Duration = Duration::from_secs(10);
/// The DevTools front-end that ships with the browser.
const DEVTOOLS: &str = "devtools://devtools";
/// Where the parameter after `?` is a URL of its own and not ours to read.
const FIRST_PARAMETER_ONLY: &[&str] = &["/json/new"];

/// Runs the sidecar until it is told to end, and through its shutdown.
///
/// # Errors
/// When it cannot start; nothing is left running then.
pub(crate) async fn run(values: &Values) -> Result<ExitStatus, Refused> {
    let files = shared::Files::open(values)?;
    let tls = files.tls();
    let signals = Signals::install().map_err(|e| Refused::system("signal handlers", &e))?;
    let mut registry = telemetry::metrics::registry();

    let store = MemoryStore::default();
    let log = async {
        let name = LogName::new("telemetry").map_err(|e| e.to_string())?;
        store.open(&name, LogOptions::default()).await.map_err(|e| e.to_string())
    };
    let log = log.await.map_err(|e| Refused::system("the event log", &e))?;
    let (telemetry, events) = Telemetry::start(
        telemetry::Settings {
            sinks: shared::sinks(values, None),
            ..telemetry::Settings::new(shared::node_id(values))
        },
        log,
        TelemetryMetrics::register(&mut registry, store.backend()),
    );

    let id: Arc<str> = settings::sandbox_id(values).into();
    let lifecycle = lifecycle_id();
    let (source, restart_expected) = settings::source(values);
    let publisher = Publisher::new(restart_expected);
    let keeper = Keeper::new();
    let (stop, stopped) = watch::channel(None);
    let target = Target {
        id: Arc::clone(&id),
        lifecycle_id: Arc::clone(&lifecycle),
        upstream: publisher.upstream(),
        gate: keeper.gate(),
        stop: stopped,
    };
    let access = shared::access_settings(values, &files, AccessMetrics::register(&mut registry));
    let access = Access::new(access);
    let guard =
        access.with_origins(Origin::parse(DEVTOOLS)).with_first_parameter_on(FIRST_PARAMETER_ONLY);
    let edge = Arc::new(Edge::new(
        Arc::new(OneBrowser(target)),
        Arc::new(Guard(guard)),
        (telemetry.clone(), CdpMetrics::register(&mut registry)),
        settings::edge(values),
    ));
    let teller = Teller {
        sandbox: Arc::clone(&id),
        edge: Arc::clone(&edge),
        telemetry: telemetry.clone(),
        upstreams: UpstreamMetrics::register(&mut registry),
        browsers: BrowserMetrics::register(&mut registry),
    };
    let requests = HttpMetrics::register(&mut registry);
    let drains = DrainMetrics::register(&mut registry);

    let readiness = Readiness::starting("listeners");
    let hold_max = settings::hold_max(values);
    readiness.attach(BrowserDoor { upstream: publisher.upstream(), hold_max });
    let admin = Admin {
        name: "devtools-proxyd",
        version: env!("CARGO_PKG_VERSION"),
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        metrics_public: values.get(&METRICS_PUBLIC),
    };
    let api = protect(&access, events.router());
    let (streams, end_of_browser) = (events.streams(), CancellationToken::new());
    let history = History::new((&lifecycle).into(), source.word());
    let browser = follow(publisher, source, history, teller, end_of_browser.clone());
    let listener = bind(values.get(&API_LISTEN), "LOCKKEEPER_API_LISTEN").await?;
    let address = listener.local_addr().map_err(|e| Refused::system("the listener", &e))?;
    let service = Service::builder("devtools-proxyd")
        .shutdown(shared::shutdown_settings(values))
        .readiness(readiness)
        .signals(signals)
        .metrics(drains)
        .observer(publish_to(telemetry.clone()))
        .observer(tell_the_end(telemetry.clone()))
        .drain(Arc::new(Sessions::new(
            keeper,
            stop,
            Arc::clone(&edge),
            settings::quiet_after(values),
        )))
        .events(events)
        .files(files);
    let (service, routes) = service.admin(values, admin.router(&access), api).await?;
    // Every other path is the browser's, so its routes are the last resort.
    let routes = routes.fallback_service(edge.fixed_router(&id, Addressing::Sidecar));
    let routes = observe_requests(&requests, &telemetry, routes);
    let routes = if tls.is_some() { routes.layer(Extension(OverTls)) } else { routes };
    let server = HttpServer::new(listener, routes, shared::http_limits(values)).with_tls(tls);
    let origin = server.origin(address);
    let report = service
        .critical("browser", browser)
        .closer("browser", CLOSE, move |_| async move {
            end_of_browser.cancel();
            Ok::<(), String>(())
        })
        .closer("DevTools edge", CLOSE, move |until| async move {
            edge.shutdown(until.min(Instant::now() + EDGE_GRACE)).await;
            Ok::<(), String>(())
        })
        .http("API", server, API_GRACE)
        // Before the servers close, so that readers of the stream hear everything and its end.
        .closer("event streams", CLOSE, move |_| async move {
            streams.end(EVENTS_GRACE).await;
            Ok::<(), String>(())
        })
        .when_ready(move || {
            let version = env!("CARGO_PKG_VERSION").into();
            telemetry.publish(None, NodeStarted { version });
            service::say(format_args!("ready {origin}"));
        })
        .build()
        .run()
        .await;
    Ok(report.exit())
}

/// One life of this process: sessions of the next one are told apart.
fn lifecycle_id() -> Arc<str> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("lc-{:x}-{:x}", since.as_micros(), std::process::id()).into()
}
