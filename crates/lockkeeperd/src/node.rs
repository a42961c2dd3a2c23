//! Builds the node out of its parts and runs it to its end.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use between_run_listener::api::router_without_put;
use between_run_listener::http::{Client, Options};
use between_run_listener::session::{self, Observe, Sessions};
use devtoolsproxy::{Edge, EdgeSettings, OverTls};
use eventlog::{LogName, LogOptions};
use http::{StatusCode, Uri};
use orchestrator::grpc::answer_grpc;
use orchestrator::process::{ProcessDriver, SetupError};
use orchestrator::urls::{OwnPorts, UrlBuilder};
use orchestrator::{Caller, Config, Orchestrator, Runners};
use service::access::{
    Access, AccessMetrics, Origin, Principal, protect, protect_known, protect_without_token,
};
use service::http::{HttpMetrics, HttpServer, bind, observe_requests};
use service::settings::shared::{self, API_LISTEN, METRICS_PUBLIC, PUBLIC_URL, TRUSTED_PROXIES};
use service::settings::{SettingValue, Values};
use service::shutdown::{DrainMetrics, publish_to, tell_the_end};
use service::{Admin, ExitStatus, Readiness, Refused, Service, Signals, StateLock};
use telemetry::events::NodeStarted;
use telemetry::metrics::{CdpMetrics, ListenerMetrics};
use telemetry::{Telemetry, TelemetryMetrics};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::directory::{Guard, Sandboxes};
use crate::drain::{Node, NodeDoor};
use crate::event_log;
use crate::ports::Ports;
use crate::runners::{self, NOT_BY_CLIENTS, SandboxRunners};
use crate::settings;

/// Time that open API calls have to end once everything else has.
const API_GRACE: Duration = Duration::from_secs(5);
/// Time the edge has at the end; its sessions have ended before, as every sandbox has.
const EDGE_GRACE: Duration = Duration::from_secs(1);
/// Time for the streams of events to hear of everything.
const EVENTS_GRACE: Duration = Duration::from_secs(2);
/// Time for listeners of runners and the writers of their logs to end.
const SESSIONS_GRACE: Duration = Duration::from_secs(8);
/// The most that any other closer may take.
const CLOSE: Duration = Duration::from_secs(10);
/// The DevTools front-end that ships with the browser.
const DEVTOOLS: &str = "devtools://devtools";
/// Where the parameter after `?` is a URL of its own and not ours to read.
const FIRST_PARAMETER_ONLY: &[&str] = &["/json/new"];

/// Runs the node until it is told to end, and through its shutdown.
///
/// # Errors
/// When it cannot start; nothing is left running then.
pub(crate) async fn run(values: &Values) -> Result<ExitStatus, Refused> {
    let files = shared::Files::open(values)?;
    let tls = files.tls();
    let state_dir = shared::own_state_dir(values)?;
    let lock = StateLock::acquire(&state_dir)?;
    // Before anything that would have to be cleaned up.
    let signals = Signals::install().map_err(|e| Refused::system("signal handlers", &e))?;
    let node_id = shared::node_id(values);
    let mut registry = telemetry::metrics::registry();

    let store = event_log::open(values, &state_dir, &node_id).await?;
    let name = LogName::new("telemetry").map_err(|e| Refused::system("the event log", &e))?;
    let log = store
        .open(&name, LogOptions::default())
        .await
        .map_err(|e| Refused::system("the event log", &e))?;
    let (telemetry, events) = Telemetry::start(
        telemetry::Settings {
            sinks: shared::sinks(values, Some(state_dir.join("sinks"))),
            ..telemetry::Settings::new(&*node_id)
        },
        log,
        TelemetryMetrics::register(&mut registry, store.backend()),
    );

    let listener = bind(values.get(&API_LISTEN), "LOCKKEEPER_API_LISTEN").await?;
    let address = listener.local_addr().map_err(|e| Refused::system("the API listener", &e))?;
    let access_metrics = AccessMetrics::register(&mut registry);
    let access = Access::new(settings::access(values, &files, access_metrics));
    let reached = runners::base(address, tls.is_some(), values.find(&PUBLIC_URL).as_ref());
    let runners = SandboxRunners::new(reached, access.needs_token());
    let driver =
        ProcessDriver::new(settings::process(values, &state_dir)).map_err(|e| browsers(&e))?;
    for note in driver.notes() {
        tracing::info!("{note}");
    }
    let snapshots = settings::snapshots(values, &state_dir, &node_id)?;
    let orchestrator = Orchestrator::with_metrics(
        Config {
            snapshots: Some(snapshots),
            records: Some(state_dir.join("records")),
            runners: Some(Arc::clone(&runners) as Arc<dyn Runners>),
            ..settings::orchestrator(values, &node_id)
        },
        Arc::new(driver),
        telemetry.clone(),
        orchestrator::Metrics::register(&mut registry),
    );

    let observe = Observe {
        telemetry: telemetry.clone(),
        metrics: Some(ListenerMetrics::register(&mut registry)),
        stopped: Some(SandboxRunners::on_stop(orchestrator.clone())),
        active: Some(SandboxRunners::on_activity(orchestrator.clone())),
    };
    // Runners are on this machine.
    let client = Client::new(Options::default());
    let sessions =
        Sessions::open_observed(Arc::clone(&store), client, session::Options::default(), observe);
    let sessions = sessions.await.map_err(|e| Refused::system("the sessions of runners", &e))?;
    let reports = (telemetry.clone(), CdpMetrics::register(&mut registry));
    let edge = Arc::new(edge(values, &access, (&orchestrator, &runners), reports));
    let requests = HttpMetrics::register(&mut registry);
    let drain_metrics = DrainMetrics::register(&mut registry);

    let readiness = Readiness::starting("reclaiming");
    readiness.attach(NodeDoor(orchestrator.clone()));
    let admin = Admin {
        name: "lockkeeperd",
        version: env!("CARGO_PKG_VERSION"),
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        metrics_public: values.get(&METRICS_PUBLIC),
    };
    let ports = settings::sandbox_ports(values).map(|range| {
        let serving = (shared::http_limits(values), tls.clone());
        Ports::new(range, address.ip(), serving, orchestrator.clone(), Arc::clone(&edge))
    });
    let urls = urls(values, address).with_tls(tls.is_some());
    let own = || ports.clone().map(|ports| Arc::new(ports) as Arc<dyn OwnPorts>);
    let api = orchestrator
        .router_with_ports(urls.clone(), own())
        .merge(orchestrator.grpc(urls, own()))
        .merge(events.router())
        .merge(router_without_put(Arc::clone(&sessions), NOT_BY_CLIENTS));
    let streams = events.streams();
    let health = protect_without_token(&access, orchestrator.grpc_health());
    let api = protect(&access, api.layer(map_request(name_caller)));
    let api = api.merge(health).merge(edge.router());
    let unknown = protect_known(&access, Router::new().fallback(not_found));
    let service = Service::builder("lockkeeperd")
        .shutdown(shared::shutdown_settings(values))
        .readiness(readiness)
        .signals(signals)
        .metrics(drain_metrics)
        .observer(publish_to(telemetry.clone()))
        .observer(tell_the_end(telemetry.clone()))
        .drain(Arc::new(Node {
            orchestrator: orchestrator.clone(),
            force: shared::shutdown_settings(values).force,
            edge: Arc::clone(&edge),
            quiet_after: settings::quiet_after(values),
            deadline: OnceLock::new(),
        }))
        .closer("state folder", CLOSE, move |_| async move {
            lock.release();
            Ok::<(), String>(())
        })
        .closer("event log", CLOSE, move |_| async move { store.close().await })
        .events(events)
        .files(files);
    let (service, routes) = service.admin(values, admin.router(&access), api).await?;
    let routes = routes.fallback_service(unknown);
    let routes = match settings::subdomains_of(values) {
        Some(parent) => edge.with_subdomains(parent.name(), routes),
        None => routes,
    };
    let routes = observe_requests(&requests, &telemetry, answer_grpc(routes));
    let routes = if tls.is_some() { routes.layer(Extension(OverTls)) } else { routes };
    let server = HttpServer::new(listener, routes, shared::http_limits(values)).with_tls(tls);
    let origin = server.origin(address);

    let closing = orchestrator.clone();
    let watched = orchestrator.clone();
    let edge_end = Arc::clone(&edge);
    let (watching, starting) = (Arc::clone(&runners), Arc::clone(&runners));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (keeper, kept) = (Arc::clone(&sessions), Arc::clone(&sessions));
    let report = service
        .closer("sandboxes", CLOSE, move |_| async move {
            closing.close().await;
            Ok::<(), String>(())
        })
        .closer("DevTools edge", CLOSE, move |until| async move {
            edge_end.shutdown(until.min(Instant::now() + EDGE_GRACE)).await;
            Ok::<(), String>(())
        })
        // Before the edge, as their listeners lead to it. Sandboxes have ended, and so have they.
        .closer("own ports", CLOSE, move |_| async move {
            if let Some(ports) = ports {
                ports.close().await;
            }
            Ok::<(), String>(())
        })
        .critical("runners", async move {
            let both = Box::pin(async { tokio::join!(watching.run(), keeper.run()) });
            stopped.run_until_cancelled(both).await;
            Ok::<(), String>(())
        })
        .http("API", server, API_GRACE)
        // After their sandboxes, and before the servers close: readers hear the end of them.
        .closer("sessions of runners", CLOSE, move |until| async move {
            stop.cancel();
            runners.settle().await;
            let until = until.min(Instant::now() + SESSIONS_GRACE);
            match sessions.shutdown(until.into_std()).await.late {
                0 => Ok(()),
                late => Err(format!("{late} listeners did not end")),
            }
        })
        // Before the servers close, so that readers of the stream hear everything and its end.
        .closer("event streams", CLOSE, move |_| async move {
            watched.end_watches();
            streams.end(EVENTS_GRACE).await;
            Ok::<(), String>(())
        })
        .start_up(async move {
            orchestrator.reclaim().await.map_err(|error| error.to_string())?;
            starting.keep_in(&kept, &orchestrator);
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

/// A folder that the sandboxes' users cannot look into: a page could be sent to any file that they
/// can read.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Browsers, their users or their groups are not as the settings ask for.
fn browsers(error: &SetupError) -> Refused {
    let status = match error {
        SetupError::StateDir { .. } | SetupError::Unreachable { .. } => ExitStatus::StateTaken,
        SetupError::Setting { .. } => ExitStatus::Settings,
        _ => ExitStatus::Unavailable,
    };
    Refused::new(status, error)
}

fn edge(
    values: &Values,
    access: &Access,
    (orchestrator, runners): (&Orchestrator, &Arc<SandboxRunners>),
    reports: (Telemetry, CdpMetrics),
) -> Edge {
    let guard =
        access.with_origins(Origin::parse(DEVTOOLS)).with_first_parameter_on(FIRST_PARAMETER_ONLY);
    // Both were read by the settings in the same form, so nothing is lost in between.
    let public_url = values.find(&PUBLIC_URL).and_then(|url| url.show().parse().ok());
    let proxies = values.get(&TRUSTED_PROXIES);
    let mut settings = EdgeSettings {
        public_url,
        trusted_proxies: proxies.iter().filter_map(|network| network.show().parse().ok()).collect(),
        ..EdgeSettings::default()
    };
    settings.relay.quiet_for = settings::quiet_for(values);
    settings.ttl_grace = settings::ttl_grace(values);
    Edge::new(
        Arc::new(Sandboxes(orchestrator.clone())),
        Arc::new(Guard {
            access: guard,
            subdomains_of: settings::subdomains_of(values),
            runners: Arc::clone(runners),
        }),
        reports,
        settings,
    )
}

/// Answers advertise the public address, else the one that the client used.
fn urls(values: &Values, address: SocketAddr) -> UrlBuilder {
    let public = values.find(&PUBLIC_URL).map(|url| url.show());
    public
        .and_then(|url| UrlBuilder::public(&url).ok())
        .unwrap_or_else(|| UrlBuilder::of_request(address))
}

/// Why a sandbox ended names whose call it was, where tokens tell.
async fn name_caller(mut request: Request) -> Request {
    let caller = request.extensions().get::<Principal>().map(Principal::name);
    if let Some(name) = caller.filter(|name| *name != Principal::LOCAL) {
        let caller = Caller(name.into());
        request.extensions_mut().insert(caller);
    }
    request
}

async fn not_found(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(80).collect();
    let text = format!(
        "nothing is at {path}; sandboxes are at /v1/sandboxes, DevTools at /sandboxes/{{id}} and \
         /connect, events at /v1/telemetry/stream\n"
    );
    (StatusCode::NOT_FOUND, text).into_response()
}
