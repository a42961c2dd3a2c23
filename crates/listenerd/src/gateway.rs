//! Builds the gateway out of its parts and runs it to its end.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use between_run_listener::api;
use between_run_listener::http::{Client, Options};
use between_run_listener::session::{Observe, Sessions};
use eventlog::sqlite::{SqliteOptions, SqliteStore};
use eventlog::{LogName, LogOptions, Store};
use service::access::{Access, AccessMetrics, protect};
use service::http::{HttpMetrics, HttpServer, bind, observe_requests};
use service::settings::Values;
use service::settings::shared::{self, METRICS_PUBLIC};
use service::shutdown::{DrainMetrics, publish_to};
use service::{Admin, ExitStatus, Readiness, Refused, Service, Signals, StateLock};
use telemetry::metrics::ListenerMetrics;
use telemetry::{Telemetry, TelemetryMetrics};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::drain::Runs;
use crate::settings::{self, API_LISTEN};

/// Time that open requests have to end once the subscribers have.
const API_GRACE: Duration = Duration::from_secs(2);
/// Time for the streams of events to hear of everything.
const EVENTS_GRACE: Duration = Duration::from_secs(2);
/// Time for listeners and the writers of the logs to end.
const SESSIONS_GRACE: Duration = Duration::from_secs(8);
/// The most that any closer may take.
const CLOSE: Duration = Duration::from_secs(10);

/// Runs the gateway until it is told to end, and through its shutdown.
///
/// # Errors
/// When it cannot start; nothing is left running then.
pub(crate) async fn run(values: &Values) -> Result<ExitStatus, Refused> {
    let files = shared::Files::open(values)?;
    let tls = files.tls();
    // In a folder of its own, because the node daemon has the same default.
    let state_dir = shared::own_state_dir(values)?.join("listenerd");
    let lock = StateLock::acquire(&state_dir)?;
    let signals = Signals::install().map_err(|e| Refused::system("signal handlers", &e))?;
    let mut registry = telemetry::metrics::registry();

    let folder = state_dir.join("sessions");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|e| Refused::system("the folder of the logs", &e))?;
    let store = SqliteStore::open(folder, SqliteOptions::default()).await;
    let store: Arc<dyn Store> = Arc::new(store.map_err(|e| Refused::system("the logs", &e))?);
    let log = async {
        let name = LogName::new("telemetry").map_err(|e| e.to_string())?;
        store.open(&name, LogOptions::default()).await.map_err(|e| e.to_string())
    };
    let log = log.await.map_err(|e| Refused::system("the event log", &e))?;
    let (telemetry, events) = Telemetry::start(
        telemetry::Settings {
            sinks: shared::sinks(values, Some(state_dir.join("sinks"))),
            ..telemetry::Settings::new(shared::node_id(values))
        },
        log,
        TelemetryMetrics::register(&mut registry, store.backend()),
    );

    let client = Client::new(Options { guard: settings::runners(values), ..Options::default() });
    let observe = Observe {
        telemetry: telemetry.clone(),
        metrics: Some(ListenerMetrics::register(&mut registry)),
        ..Observe::default()
    };
    let options = settings::sessions(values);
    let sessions = Sessions::open_observed(Arc::clone(&store), client, options, observe).await;
    let sessions = sessions.map_err(|e| Refused::system("the sessions", &e))?;
    tracing::info!(sessions = sessions.len(), "sessions opened");

    let access = shared::access_settings(values, &files, AccessMetrics::register(&mut registry));
    let access = Access::new(access);
    let requests = HttpMetrics::register(&mut registry);
    let drains = DrainMetrics::register(&mut registry);
    let readiness = Readiness::starting("listeners");
    let admin = Admin {
        name: "listenerd",
        version: env!("CARGO_PKG_VERSION"),
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        metrics_public: values.get(&METRICS_PUBLIC),
    };
    let routes = events.router().merge(api::router(Arc::clone(&sessions)));
    let routes = protect(&access, routes);
    let streams = events.streams();
    let listener = bind(values.get(&API_LISTEN), "LOCKKEEPER_API_LISTEN").await?;
    let address = listener.local_addr().map_err(|e| Refused::system("the listener", &e))?;

    let keep_store = Arc::clone(&store);
    let service = Service::builder("listenerd")
        .shutdown(shared::shutdown_settings(values))
        .readiness(readiness)
        .signals(signals)
        .metrics(drains)
        .observer(publish_to(telemetry.clone()))
        .drain(Arc::new(Runs(Arc::clone(&sessions))))
        .closer("state lock", CLOSE, move |_| async move {
            lock.release();
            Ok::<(), String>(())
        })
        .closer("logs", CLOSE, move |_| async move {
            keep_store.close().await.map_err(|error| error.to_string())
        })
        .events(events)
        .files(files);
    let (service, routes) = service.admin(values, admin.router(&access), routes).await?;
    let server = HttpServer::new(
        listener,
        observe_requests(&requests, &telemetry, routes),
        shared::http_limits(values),
    )
    .with_tls(tls);
    let origin = server.origin(address);
    let (keeper, stop) = (Arc::clone(&sessions), CancellationToken::new());
    let stopped = stop.clone();
    let listeners = async move {
        stopped.run_until_cancelled(keeper.run()).await;
        Ok::<(), String>(())
    };
    let report = service
        .critical("listeners", listeners)
        .http("API", server, API_GRACE)
        // Before the servers close, so that readers of streams hear everything and their end.
        .closer("sessions", CLOSE, move |until| async move {
            stop.cancel();
            let until = until.min(Instant::now() + SESSIONS_GRACE);
            let report = sessions.shutdown(until.into_std()).await;
            match report.late {
                0 => Ok(()),
                late => Err(format!("{late} listeners did not end")),
            }
        })
        .closer("event streams", CLOSE, move |_| async move {
            streams.end(EVENTS_GRACE).await;
            Ok::<(), String>(())
        })
        .when_ready(move || service::say(format_args!("ready {origin}")))
        .build()
        .run()
        .await;
    Ok(report.exit())
}
