//! Every refusal and failure, through both faces: they say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use lockkeeper_api::proto::{
    self, CreateSandboxRequest, DeleteSandboxRequest, GetSandboxRequest, GetSnapshotRequest,
    OperationRequest, RestartBrowserRequest, SetStatusRequest, UpdateSandboxRequest,
    restart_browser_request,
};
use lockkeeper_api::{ErrorBody, NodeStatus, Reason, SandboxState};
use orchestrator::urls::UrlBuilder;
use orchestrator::{Config, ForceReason, Orchestrator};
use telemetry::Telemetry;
use testkit::fake_driver::{Act, FakeDriver, Hold, Point};
use tonic::Status;
use tonic_types::StatusExt;
use tower::ServiceExt;

use crate::checkpoint::on_disk;
use crate::grpc::Clients;
use crate::world::{World, named, secs};

/// A node in the state in which the call fails.
struct Stage {
    node: Orchestrator,
    world: Option<World>,
    folder: Option<tempfile::TempDir>,
}

impl Stage {
    /// A node with records, a store, one place, one start slot.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let small = Config {
            max_sandboxes: 2,
            start_slots: 1,
            queue_timeout: secs(1),
            ..on_disk(folder.path())
        };
        let world = World::with(small).await;
        Self { node: world.node.clone(), world: Some(world), folder: Some(folder) }
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    /// The same with a sandbox called `a`.
    async fn with_a() -> Self {
        let stage = Self::new().await;
        stage.world().create("a").await.unwrap();
        stage
    }

    /// From now on every call of the driver fails at these points.
    fn failing(self, points: &'static [Point]) -> Self {
        self.world().driver.script(move |at| match points.contains(&at.point) {
            true => Act::Fail("disk full".to_owned()),
            false => Act::Go,
        });
        self
    }

    /// From now on calls of the driver stay at this point.
    fn held(self, point: Point) -> Self {
        let hold = Hold::new();
        let script = move |at: &testkit::fake_driver::At<'_>| match at.point == point {
            true => Act::Hold(hold.clone()),
            false => Act::Go,
        };
        self.world().driver.script(script);
        self
    }

    fn status(self, status: NodeStatus) -> Self {
        self.node.set_status(status).unwrap();
        self
    }

    /// Does something once `a` is being started.
    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    fn when_starting(self, then: fn(Orchestrator) -> BoxFuture<'static, ()>) -> Self {
        let node = self.node.clone();
        tokio::spawn(async move {
            let starting = || node.get("a").map(|one| one.state().word());
            while starting() != Some(SandboxState::Starting) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            then(node).await;
        });
        self
    }

    /// Begins a pause of `a` that does not end.
    #[expect(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
    async fn pausing(self) -> Self {
        let stage = self.held(Point::CloseBegin);
        let node = stage.node.clone();
        tokio::spawn(async move { node.pause("a", Default::default()).await.map(drop) });
        stage.world().reaches("a", SandboxState::Pausing).await;
        stage
    }
}

type Prepare = fn() -> BoxFuture<'static, Stage>;
type Call = fn(Clients) -> BoxFuture<'static, Result<(), Status>>;

/// Method, path, body.
type Rest = (&'static str, &'static str, &'static str);

struct Case {
    reason: Reason,
    prepare: Prepare,
    rest: Rest,
    grpc: Call,
}

fn create(id: &str) -> CreateSandboxRequest {
    CreateSandboxRequest { id: Some(id.to_owned()), ..CreateSandboxRequest::default() }
}

const CREATE: Rest = ("POST", "/v1/sandboxes", r#"{"id": "a"}"#);
const CREATE_A: Call =
    |mut of| Box::pin(async move { of.sandboxes.create(create("a")).await.map(drop) });
const PAUSE: Rest = ("POST", "/v1/sandboxes/a/pause", "");
const RESUME: Rest = ("POST", "/v1/sandboxes/a/resume", "");
const CHECKPOINT: Rest = ("POST", "/v1/sandboxes/a/checkpoint", "");

fn a() -> OperationRequest {
    OperationRequest { id: "a".to_owned(), ..OperationRequest::default() }
}

const PAUSE_A: Call = |mut of| Box::pin(async move { of.sandboxes.pause(a()).await.map(drop) });
const RESUME_A: Call = |mut of| Box::pin(async move { of.sandboxes.resume(a()).await.map(drop) });
const CHECKPOINT_A: Call =
    |mut of| Box::pin(async move { of.sandboxes.checkpoint(a()).await.map(drop) });

macro_rules! case {
    ($reason:ident, $prepare:expr, $rest:expr, $grpc:expr) => {
        Case {
            reason: Reason::$reason,
            prepare: || Box::pin(async { $prepare }),
            rest: $rest,
            grpc: $grpc,
        }
    };
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        case!(BadRequest, Stage::new().await,
            ("POST", "/v1/sandboxes", r#"{"id": "A_b", "labels": {"": "x"}, "request_id": ""}"#),
            |mut of| Box::pin(async move {
                let labels = BTreeMap::from([(String::new(), "x".to_owned())]);
                let request = CreateSandboxRequest { labels, request_id: Some(String::new()), ..create("A_b") };
                of.sandboxes.create(request).await.map(drop)
            })),
        case!(BadRequest, Stage::new().await,
            ("POST", "/v1/sandboxes", r#"{"id": "A_b"}"#),
            |mut of| Box::pin(async move { of.sandboxes.create(create("A_b")).await.map(drop) })),
        case!(BadRequest, Stage::new().await, ("GET", "/v1/sandboxes/A_b", ""),
            |mut of| Box::pin(async move { of.sandboxes.get(GetSandboxRequest { id: "A_b".to_owned(), full: true }).await.map(drop) })),
        case!(BadRequest, Stage::new().await, ("GET", "/v1/sandboxes?limit=1001&after=x", ""),
            |mut of| Box::pin(async move {
                let request = proto::ListSandboxesRequest { limit: Some(1001), after: Some("x".to_owned()), ..Default::default() };
                of.sandboxes.list(request).await.map(drop)
            })),
        case!(BadRequest, Stage::new().await, ("PUT", "/v1/node/status", "{}"),
            |mut of| Box::pin(async move { of.node.set_status(SetStatusRequest::default()).await.map(drop) })),
        case!(BadRequest, Stage::new().await, ("POST", "/v1/node/drain", r#"{"force": true, "announce": "5s"}"#),
            |mut of| Box::pin(async move {
                let announce = Some(prost_types::Duration { seconds: 5, nanos: 0 });
                of.node.drain(proto::DrainRequest { force: true, announce, deadline: None }).await.map(drop)
            })),
        case!(BadRequest, Stage::with_a().await, ("PATCH", "/v1/sandboxes/a", r#"{"ttl": "0s"}"#),
            |mut of| Box::pin(async move {
                let ttl = Some(prost_types::Duration::default());
                of.sandboxes.update(UpdateSandboxRequest { id: "a".to_owned(), ttl, ..Default::default() }).await.map(drop)
            })),
        case!(BadRequest, Stage::with_a().await,
            ("POST", "/v1/sandboxes/a/restart-browser", r#"{"flags": ["--user-data-dir=/x"]}"#),
            |mut of| Box::pin(async move { of.sandboxes.restart_browser(restart("--user-data-dir=/x")).await.map(drop) })),
        case!(SandboxNotFound, Stage::new().await, ("GET", "/v1/sandboxes/a", ""),
            |mut of| Box::pin(async move { of.sandboxes.get(GetSandboxRequest { id: "a".to_owned(), full: false }).await.map(drop) })),
        case!(SandboxNotFound, Stage::new().await, PAUSE, PAUSE_A),
        case!(TemplateNotFound, Stage::new().await, ("POST", "/v1/sandboxes", r#"{"template": "x"}"#),
            |mut of| Box::pin(async move {
                let request = CreateSandboxRequest { template: Some("x".to_owned()), ..Default::default() };
                of.sandboxes.create(request).await.map(drop)
            })),
        case!(SnapshotNotFound, Stage::new().await, ("GET", "/v1/snapshots/s000000000000000000000000000000000000", ""),
            |mut of| Box::pin(async move {
                let id = "s000000000000000000000000000000000000".to_owned();
                of.snapshots.get(GetSnapshotRequest { id }).await.map(drop)
            })),
        case!(SandboxStopped, { let stage = Stage::with_a().await; stage.world().delete("a").await; stage }, RESUME, RESUME_A),
        case!(SandboxExists, Stage::with_a().await, CREATE, CREATE_A),
        case!(WrongState, Stage::with_a().await, RESUME, RESUME_A),
        case!(LifecycleMismatch, Stage::with_a().await, ("DELETE", "/v1/sandboxes/a?lifecycle_id=lcother", ""),
            |mut of| Box::pin(async move {
                let lifecycle_id = Some("lcother".to_owned());
                of.sandboxes.delete(DeleteSandboxRequest { id: "a".to_owned(), lifecycle_id, wait: 0 }).await.map(drop)
            })),
        case!(StatusTransition, Stage::new().await.status(NodeStatus::Draining), ("PUT", "/v1/node/status", r#"{"status": "standby"}"#),
            |mut of| Box::pin(async move { of.node.set_status(status(proto::NodeStatus::Standby)).await.map(drop) })),
        case!(ShuttingDown, { let stage = Stage::new().await; stage.node.begin_server_drain(None); stage },
            ("PUT", "/v1/node/status", r#"{"status": "healthy"}"#),
            |mut of| Box::pin(async move { of.node.set_status(status(proto::NodeStatus::Healthy)).await.map(drop) })),
        case!(OperationInProgress, Stage::with_a().await.pausing().await, CHECKPOINT, CHECKPOINT_A),
        case!(NodeFull, {
            let stage = Stage::new().await;
            for id in ["b", "c"] { stage.world().create(id).await.unwrap(); }
            stage
        }, CREATE, CREATE_A),
        case!(NodeBusy, {
            let stage = Stage::new().await.held(Point::StartSpawned);
            drop(stage.world().creating(named("slow")));
            stage.world().reaches("slow", SandboxState::Starting).await;
            stage
        }, CREATE, CREATE_A),
        case!(DiskLow, { let stage = Stage::with_a().await; stage.world().driver.set_free_disk(1); stage }, PAUSE, PAUSE_A),
        case!(NodeDraining, Stage::new().await.status(NodeStatus::Draining), CREATE, CREATE_A),
        case!(NodeDraining, Stage::with_a().await.status(NodeStatus::Draining), CHECKPOINT, CHECKPOINT_A),
        case!(NodeStandby, Stage::new().await.status(NodeStatus::Standby), CREATE, CREATE_A),
        case!(NodeUnhealthy, Stage::new().await.status(NodeStatus::Unhealthy), CREATE, CREATE_A),
        case!(NodeNotReady, {
            let driver = std::sync::Arc::new(FakeDriver::new());
            let node = Orchestrator::new(Config::default(), driver.shared(), Telemetry::disconnected());
            Stage { node, world: None, folder: None }
        }, CREATE, CREATE_A),
        case!(StoreUnavailable, {
            let stage = Stage::with_a().await;
            let probes = stage.folder.as_ref().unwrap().path().join("snapshots/probes");
            std::fs::create_dir_all(probes.parent().unwrap()).unwrap();
            std::fs::write(&probes, "in the way").unwrap();
            stage
        }, CHECKPOINT, CHECKPOINT_A),
        case!(ForceStopped, Stage::new().await.held(Point::StartSpawned).when_starting(|node| Box::pin(async move {
            node.force_stop(ForceReason::ForceStop, secs(5), |_| {}).await;
        })), CREATE, CREATE_A),
        case!(StartTimeout, Stage::new().await.held(Point::StartSpawned), CREATE, CREATE_A),
        case!(StartCancelled, Stage::new().await.held(Point::StartSpawned).when_starting(|node| Box::pin(async move {
            node.delete("a", Default::default()).await.unwrap();
        })), CREATE, CREATE_A),
        case!(BrowserStartFailed, Stage::new().await.failing(&[Point::StartSpawned]), CREATE, CREATE_A),
        case!(RestartFailed, Stage::with_a().await.failing(&[Point::Restart]),
            ("POST", "/v1/sandboxes/a/restart-browser", r#"{"flags": ["--x"]}"#),
            |mut of| Box::pin(async move { of.sandboxes.restart_browser(restart("--x")).await.map(drop) })),
        case!(PauseNotSaved, Stage::with_a().await.failing(&[Point::CloseBegin]), PAUSE, PAUSE_A),
        case!(PauseNotSaved, Stage::with_a().await.failing(&[Point::CloseBegin, Point::StartSpawned]), PAUSE, PAUSE_A),
        case!(CheckpointNotSaved, Stage::with_a().await.failing(&[Point::ExportBegin]), CHECKPOINT, CHECKPOINT_A),
        case!(CheckpointNotSaved, Stage::with_a().await.failing(&[Point::StartSpawned]), CHECKPOINT, CHECKPOINT_A),
        case!(Unsupported, {
            let world = World::open().await;
            world.create("a").await.unwrap();
            Stage { node: world.node.clone(), world: Some(world), folder: None }
        }, CHECKPOINT, CHECKPOINT_A),
    ]
}

fn restart(flag: &str) -> RestartBrowserRequest {
    let flags = Some(restart_browser_request::Flags { flags: vec![flag.to_owned()] });
    RestartBrowserRequest { id: "a".to_owned(), flags, ..RestartBrowserRequest::default() }
}

fn status(status: proto::NodeStatus) -> SetStatusRequest {
    SetStatusRequest { status: status.into() }
}

/// What must be the same on both faces.
#[derive(Debug, PartialEq)]
struct Told {
    reason: String,
    code: String,
    metadata: BTreeMap<String, String>,
    retry_ms: Option<u64>,
}

/// Facts that no two nodes have in common.
fn comparable(mut metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let since =
        |text: &str| text.parse::<u64>().is_ok_and(|ms| ms > 0 && UNIX_EPOCH.elapsed().is_ok());
    for (key, value) in &mut metadata {
        match key.as_str() {
            "stopped_at_ms" if since(value) => *value = "a time".to_owned(),
            "lifecycle_id" | "snapshot_id" if value.len() > 20 => *value = "an id".to_owned(),
            _ => {}
        }
    }
    metadata
}

async fn by_rest(stage: &Stage, (method, path, body): Rest) -> Told {
    let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    let router = stage.node.router(UrlBuilder::of_request("127.0.0.1:7300"));
    let response = router.oneshot(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body: ErrorBody = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        panic!("{method} {path} succeeded: {}", String::from_utf8_lossy(&bytes))
    });
    let mut metadata = body.error.metadata;
    let after = serde_json::to_value(body.error.sandbox_after).unwrap();
    metadata.insert("sandbox_after".to_owned(), after.as_str().unwrap().to_owned());
    Told {
        reason: body.error.code,
        code: body.error.grpc,
        metadata: comparable(metadata),
        retry_ms: body.error.retry_after_ms,
    }
}

async fn by_grpc(stage: &Stage, call: Call) -> Told {
    let status = call(Clients::of(&stage.node)).await.expect_err("the call succeeded");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.domain, "lockkeeper");
    let metadata: BTreeMap<_, _> = info.metadata.clone().into_iter().collect();
    if info.reason == "BAD_REQUEST" {
        let wrong = details.bad_request().expect("the wrong fields");
        let fields: BTreeMap<_, _> = wrong
            .field_violations
            .iter()
            .map(|wrong| (wrong.field.clone(), wrong.description.clone()))
            .collect();
        let mut told = metadata.clone();
        told.remove("sandbox_after");
        assert_eq!(fields, told);
    }
    let reason = Reason::from_code(&info.reason).unwrap();
    let number = i32::from(reason.grpc().number());
    let code = match status.code() as i32 {
        code if code == number => reason.grpc().as_str(),
        13 => "INTERNAL",
        other => panic!("{}: code {other}", info.reason),
    };
    let retry = details.retry_info().and_then(|retry| retry.retry_delay);
    Told {
        reason: info.reason.clone(),
        code: code.to_owned(),
        metadata: comparable(metadata),
        retry_ms: retry.map(|time| u64::try_from(time.as_millis()).unwrap()),
    }
}

/// Reasons that no call of this crate can have: they come from what is around it, or the folder of a
/// test cannot bring them about. That both faces write them alike is tested where they are written.
const ELSEWHERE: [Reason; 12] = [
    Reason::TokenRequired,
    Reason::TokenInvalid,
    Reason::HostRefused,
    Reason::OriginRefused,
    Reason::ScopeMissing,
    Reason::SnapshotIncompatible,
    Reason::StoreFull,
    Reason::RunnerStartFailed,
    Reason::Bug,
    Reason::BodyTooLarge,
    Reason::MethodNotAllowed,
    Reason::RouteNotFound,
];

#[tokio::test(start_paused = true)]
async fn both_faces_tell_every_failure_alike() {
    let mut missing: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    for (index, case) in cases().into_iter().enumerate() {
        let rest = by_rest(&(case.prepare)().await, case.rest).await;
        let grpc = by_grpc(&(case.prepare)().await, case.grpc).await;
        assert_eq!(rest, grpc, "case {index}, {:?}", case.rest);
        assert_eq!(rest.reason, case.reason.code(), "case {index}, {:?}", case.rest);
        missing.remove(case.reason.code());
    }
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|reason| reason.code()).collect();
    assert_eq!(missing, elsewhere, "a reason without a case");
}
