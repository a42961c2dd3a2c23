//! A whole daemon in one file: `POST /sleep` keeps a pass of the drain gate for as long as the setting
//! `NAP` says, and a shutdown waits for the sleepers.
//!
//! Try it: `cargo run -p service --example sleeperd -- --help`

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use draingate::{Gate, Keeper};
use http::StatusCode;
use prometheus_client::registry::Registry;
use service::access::{Access, AccessMetrics, protect};
use service::http::{HttpServer, bind};
use service::settings::{self, Environment, Invocation, Key, Table, Values, shared};
use service::shutdown::{DrainPhases, DrainProgress, Faults, ForceCause};
use service::{Admin, BoxFuture, ExitStatus, Readiness, Service, Signals, StateLock};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

static NAP: Key<Duration> = Key::new("NAP", "1s", "How long a sleeper sleeps.").range("1ms", "1h");

fn table() -> Table {
    shared::table("sleeperd", env!("CARGO_PKG_VERSION"), "Sleeps on demand.")
        .group("State", [shared::STATE_DIR.setting()])
        .group("Sleep", [NAP.setting()])
}

struct Process;

impl Environment for Process {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

/// What the daemon does: lets sleepers in, and wakes them when it must.
struct Bedroom {
    keeper: Keeper,
    gate: Gate,
    nap: Duration,
    wake: watch::Sender<bool>,
}

async fn sleeper(State(bedroom): State<Arc<Bedroom>>) -> (StatusCode, &'static str) {
    let Ok(_pass) = bedroom.gate.enter() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    };
    let mut woken = bedroom.wake.subscribe();
    tokio::select! {
        () = sleep(bedroom.nap) => (StatusCode::OK, "slept\n"),
        _ = woken.wait_for(|wake| *wake) => (StatusCode::OK, "woken\n"),
    }
}

async fn asleep(State(bedroom): State<Arc<Bedroom>>) -> String {
    format!("{} asleep\n", bedroom.progress().live)
}

impl DrainPhases for Bedroom {
    fn close_server_gate(&self, _: Option<Instant>) {
        self.keeper.begin_drain();
    }

    fn wait_admitted(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wait_live(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.gate.drained())
    }

    fn force_stop(&self, _: ForceCause, _: Faults) -> BoxFuture<'_, ()> {
        self.wake.send_replace(true);
        self.wait_live()
    }

    fn kill_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn progress(&self) -> DrainProgress {
        let report = self.keeper.report(std::time::Instant::now());
        DrainProgress { live: report.inside, ..DrainProgress::default() }
    }
}

async fn daemon(values: Values) -> ExitStatus {
    match start(values).await {
        Ok(service) => service.run().await.exit(),
        Err((status, text)) => {
            eprintln!("sleeperd: {text}");
            status
        }
    }
}

async fn start(values: Values) -> Result<Service, (ExitStatus, String)> {
    let missing = |text: String| (ExitStatus::Unavailable, text);
    let files = shared::Files::open(&values).map_err(|why| (why.exit_status(), why.to_string()))?;
    let folder = shared::state_dir(&values, false, &Process)
        .ok_or_else(|| missing("no state folder; set STATE_DIR".to_owned()))?;
    let lock = StateLock::acquire(&folder).map_err(|e| (e.exit_status(), e.to_string()))?;
    let signals = Signals::install().map_err(|e| missing(e.to_string()))?;
    let readiness = Readiness::starting("listeners");
    let mut registry = Registry::with_prefix("lockkeeper");
    let metrics = AccessMetrics::register(&mut registry);
    let access = Access::new(shared::access_settings(&values, &files, metrics));
    let keeper = Keeper::new();
    let bedroom = Arc::new(Bedroom {
        gate: keeper.gate(),
        keeper,
        nap: values.get(&NAP),
        wake: watch::Sender::new(false),
    });
    let api = Router::new()
        .route("/", get(asleep))
        .route("/sleep", post(sleeper))
        .with_state(Arc::clone(&bedroom));
    let admin = Admin {
        name: "sleeperd",
        version: env!("CARGO_PKG_VERSION"),
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        metrics_public: values.get(&shared::METRICS_PUBLIC),
    };
    let router = protect(&access, api).merge(admin.router(&access));
    let listener = bind(values.get(&shared::API_LISTEN), "LOCKKEEPER_API_LISTEN")
        .await
        .map_err(|e| missing(e.to_string()))?;
    let server =
        HttpServer::new(listener, router, shared::http_limits(&values)).with_tls(files.tls());
    let address = server.local_addr().map_err(|e| missing(e.to_string()))?;
    let origin = server.origin(address);
    Ok(Service::builder("sleeperd")
        .shutdown(shared::shutdown_settings(&values))
        .readiness(readiness)
        .signals(signals)
        .closer("lock", Duration::from_secs(1), |_| async move {
            lock.release();
            Ok::<(), String>(())
        })
        .http("api", server, Duration::from_secs(5))
        .drain(bedroom)
        .files(files)
        .when_ready(move || service::say(format_args!("ready {origin}")))
        .build())
}

fn main() -> ExitStatus {
    match settings::load(&table(), std::env::args_os().skip(1), &Process) {
        Ok(Invocation::Run(values)) => service::run(daemon(values)),
        Ok(Invocation::Print(text)) => {
            service::say(text);
            ExitStatus::Success
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            mistakes.exit_status()
        }
    }
}
