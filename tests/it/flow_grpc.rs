//! A real daemon with real browsers, driven over gRPC only.

use std::time::Duration;

use lockkeeper_api::Reason;
use lockkeeper_api::proto::node_service_client::NodeServiceClient;
use lockkeeper_api::proto::sandbox_event::Event;
use lockkeeper_api::proto::sandbox_service_client::SandboxServiceClient;
use lockkeeper_api::proto::snapshot_service_client::SnapshotServiceClient;
use lockkeeper_api::proto::{
    CreateSandboxRequest, DeleteSandboxRequest, DrainRequest, InfoRequest, ListSnapshotsRequest,
    OperationRequest, SandboxEvent, SandboxState, WatchDrainRequest, WatchSandboxesRequest,
};
use lockkeeper_tests::{Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::Daemon;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

crate::facts! {
    a_node_is_driven_over_grpc_from_create_to_drain,
    who_may_not_call_is_refused_over_grpc_with_the_reason_that_rest_gives,
}

const LIMIT: Duration = Duration::from_secs(20);
const TOKEN: &str = "correct-horse-battery-staple";

fn told(what: &str) -> impl Fn(Status) -> String {
    move |status| format!("{what} was answered {status:?}")
}

fn run(test: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(test)
}

async fn connect(base: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(base.to_owned()).map_err(|e| e.to_string())?;
    endpoint.connect().await.map_err(|e| format!("no HTTP/2 connection: {e}"))
}

/// A request with the token.
fn with<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(bearer) = MetadataValue::try_from(format!("Bearer {TOKEN}")) {
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

async fn next<T>(stream: &mut Streaming<T>) -> Result<T, String> {
    let next = tokio::time::timeout(LIMIT, stream.message()).await;
    let next = next.map_err(|_| "nothing was told within 20 s".to_owned())?;
    next.map_err(told("a stream"))?.ok_or_else(|| "the stream has ended".to_owned())
}

/// Reads changes until the sandbox is in that state; all of its states until then.
async fn states_until(
    watch: &mut Streaming<SandboxEvent>,
    end: SandboxState,
) -> Result<Vec<SandboxState>, String> {
    let mut states = Vec::new();
    loop {
        let event = next(watch).await?.event;
        let Some(Event::Changed(sandbox)) = event else {
            return Err(format!("after {states:?} came {event:?}"));
        };
        states.push(sandbox.state());
        if sandbox.state() == end {
            states.dedup();
            return Ok(states);
        }
    }
}

fn a_node_is_driven_over_grpc_from_create_to_drain() -> Outcome {
    let mut node = daemon().env("LOCKKEEPER_TOKEN", TOKEN).start()?;
    run(drive(&mut node))?;
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(Duration::from_secs(2))
}

async fn drive(node: &mut Daemon) -> Outcome {
    let channel = connect(node.base()).await?;
    let mut sandboxes = SandboxServiceClient::new(channel.clone());
    let mut nodes = NodeServiceClient::new(channel.clone());
    let watch = sandboxes.watch(with(WatchSandboxesRequest::default())).await;
    let mut watch = watch.map_err(told("watch"))?.into_inner();
    let first = next(&mut watch).await?.event;
    must!(matches!(first, Some(Event::Synced(_))), "{first:?}");

    let request = CreateSandboxRequest { id: Some("a".into()), ..Default::default() };
    let made = sandboxes.create(with(request)).await.map_err(told("create"))?.into_inner();
    node.remember();
    must!(made.cdp_url == format!("{}/sandboxes/a", node.base()), "{made:?}");
    let states = states_until(&mut watch, SandboxState::Running).await?;
    must!(states.contains(&SandboxState::Starting), "{states:?}");

    let a = || with(OperationRequest { id: "a".into(), ..Default::default() });
    let paused = sandboxes.pause(a()).await.map_err(told("pause"))?.into_inner();
    must!(paused.state() == SandboxState::Paused, "{paused:?}");
    let states = states_until(&mut watch, SandboxState::Paused).await?;
    must!(states.contains(&SandboxState::Pausing), "{states:?}");
    let resumed = sandboxes.resume(a()).await.map_err(told("resume"))?.into_inner();
    node.remember();
    must!(resumed.lifecycle_id != made.lifecycle_id, "{resumed:?}");
    states_until(&mut watch, SandboxState::Running).await?;
    let saved = sandboxes.checkpoint(a()).await.map_err(told("checkpoint"))?.into_inner();
    node.remember();
    let snapshot = saved.snapshot.ok_or("no snapshot was told")?;
    let states = states_until(&mut watch, SandboxState::Running).await?;
    must!(states.contains(&SandboxState::Checkpointing), "{states:?}");
    let mut snapshots = SnapshotServiceClient::new(channel.clone());
    let list = snapshots.list(with(ListSnapshotsRequest::default())).await;
    let list = list.map_err(told("list"))?.into_inner();
    must!(list.snapshots == [snapshot], "{list:?}");

    let drains = nodes.watch_drain(with(WatchDrainRequest {})).await;
    let mut drains = drains.map_err(told("watch drain"))?.into_inner();
    next(&mut drains).await?;
    let info = nodes.drain(with(DrainRequest::default())).await.map_err(told("drain"))?;
    must!(!info.into_inner().accepting, "it still takes work");
    let report = next(&mut drains).await?;
    must!(report.blockers.first().is_some_and(|one| one.id == "a"), "{report:?}");
    let refused = sandboxes.create(with(CreateSandboxRequest::default())).await;
    let refused = refused.err().ok_or("a create was let in")?;
    must!(reason(&refused) == Some(Reason::NodeDraining), "{refused:?}");
    let check = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    let health = check.map_err(told("health"))?.into_inner().status();
    must!(health == ServingStatus::NotServing, "{health:?}");

    let delete = DeleteSandboxRequest { id: "a".into(), ..Default::default() };
    let ended = sandboxes.delete(with(delete)).await.map_err(told("delete"))?.into_inner();
    must!(ended.stop_reason.as_deref() == Some("request"), "{ended:?}");
    states_until(&mut watch, SandboxState::Stopped).await?;
    let info = nodes.info(with(InfoRequest {})).await.map_err(told("info"))?.into_inner();
    must!(info.sandboxes.is_empty(), "{info:?}");

    // Streams that are open do not hold up the end, and are ended, not cut.
    node.signal(Signal::SIGTERM);
    let end = tokio::time::timeout(LIMIT, watch.message()).await.map_err(|_| "it went on")?;
    must!(matches!(end, Ok(None)), "the watch ended with {end:?}");
    Ok(())
}

fn reason(status: &Status) -> Option<Reason> {
    let details = status.get_error_details();
    Reason::from_code(&details.error_info()?.reason)
}

fn who_may_not_call_is_refused_over_grpc_with_the_reason_that_rest_gives() -> Outcome {
    let node = daemon().env("LOCKKEEPER_TOKEN", TOKEN).start()?;
    run(refusals(&node))
}

async fn refusals(node: &Daemon) -> Outcome {
    let channel = connect(node.base()).await?;
    let foreign = Endpoint::from_shared(node.base().to_owned()).map_err(|e| e.to_string())?;
    let foreign = foreign.origin("http://evil.example".parse().map_err(|_| "no address")?);
    let foreign = foreign.connect().await.map_err(|e| e.to_string())?;
    let request = |name: &'static str, value: &str| {
        let mut request = with(CreateSandboxRequest::default());
        request.metadata_mut().remove(name);
        if let Ok(value) = MetadataValue::try_from(value)
            && !value.is_empty()
        {
            request.metadata_mut().insert(name, value);
        }
        request
    };
    let cases = [
        (&channel, ("authorization", ""), Code::Unauthenticated, Reason::TokenRequired),
        (&channel, ("authorization", "Bearer x"), Code::Unauthenticated, Reason::TokenInvalid),
        (
            &channel,
            ("origin", "https://evil.example"),
            Code::PermissionDenied,
            Reason::OriginRefused,
        ),
        (&foreign, ("origin", ""), Code::PermissionDenied, Reason::HostRefused),
    ];
    for (channel, (name, value), code, wanted) in cases {
        let mut client = SandboxServiceClient::new(channel.clone());
        let refused = client.create(request(name, value)).await;
        let refused = refused.err().ok_or_else(|| format!("{wanted} was let in"))?;
        must!(refused.code() == code, "{wanted}: {refused:?}");
        must!(reason(&refused) == Some(wanted), "{wanted}: {refused:?}");
    }
    let check = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    let health = check.map_err(told("health without a token"))?.into_inner().status();
    must!(health == ServingStatus::Serving, "{health:?}");
    let none = node.call("GET", "/v1/sandboxes", None)?;
    must!(none.body["sandboxes"] == json!([]), "something was made: {}", none.body);
    Ok(())
}
