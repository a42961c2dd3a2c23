//! The gRPC face: the same sandboxes as over REST, streams, health, reflection.

use std::time::Duration;

use axum::Router;
use futures_util::{StreamExt, stream};
use http::Uri;
use lockkeeper_api::proto::node_service_client::NodeServiceClient;
use lockkeeper_api::proto::sandbox_event::Event;
use lockkeeper_api::proto::sandbox_service_client::SandboxServiceClient;
use lockkeeper_api::proto::snapshot_service_client::SnapshotServiceClient;
use lockkeeper_api::proto::{
    CreateSandboxRequest, DeleteSandboxRequest, DrainRequest, GetSandboxRequest, InfoRequest,
    ListSandboxesRequest, ListSnapshotsRequest, NodeStatus, OperationRequest,
    RestartBrowserRequest, SandboxState, SetStatusRequest, UpdateSandboxRequest, WatchDrainRequest,
    WatchSandboxesRequest, restart_browser_request,
};
use orchestrator::urls::UrlBuilder;
use orchestrator::{Config, Orchestrator};
use prost_types::Duration as Span;
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::checkpoint::world as world_with_store;
use crate::world::{World, config};

/// Clients that call the routes without a network.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) sandboxes: SandboxServiceClient<Router>,
    pub(crate) snapshots: SnapshotServiceClient<Router>,
    pub(crate) node: NodeServiceClient<Router>,
    health: HealthClient<Router>,
    router: Router,
}

impl Clients {
    pub(crate) fn of(node: &Orchestrator) -> Self {
        let urls = UrlBuilder::of_request("127.0.0.1:7300");
        let router =
            orchestrator::grpc::answer_grpc(node.grpc(urls, None).merge(node.grpc_health()));
        let origin = Uri::from_static("http://node-1:7300");
        Self {
            sandboxes: SandboxServiceClient::with_origin(router.clone(), origin.clone()),
            snapshots: SnapshotServiceClient::with_origin(router.clone(), origin.clone()),
            node: NodeServiceClient::with_origin(router.clone(), origin.clone()),
            health: HealthClient::with_origin(router.clone(), origin),
            router,
        }
    }
}

async fn open() -> (World, Clients) {
    with(config()).await
}

async fn with(config: Config) -> (World, Clients) {
    let world = World::with(config).await;
    let clients = Clients::of(&world.node);
    (world, clients)
}

fn span(seconds: i64) -> Option<Span> {
    Some(Span { seconds, nanos: 0 })
}

fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn next<T>(stream: &mut Streaming<T>) -> T {
    let next = tokio::time::timeout(Duration::from_secs(60), stream.message()).await;
    next.expect("nothing was told").unwrap().expect("the stream has ended")
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_is_made_shown_changed_and_ended_over_grpc() {
    let (_world, mut clients) = open().await;
    let request = CreateSandboxRequest {
        id: Some("crawl-7".to_owned()),
        ttl: span(3600),
        labels: labels(&[("team", "a")]),
        flags: vec!["--mute-audio".to_owned()],
        ..CreateSandboxRequest::default()
    };
    let made = clients.sandboxes.create(request).await.unwrap().into_inner();
    assert_eq!(made.cdp_url, "http://node-1:7300/sandboxes/crawl-7", "the host that was used");
    assert_eq!((made.state(), made.ttl), (SandboxState::Running, span(3600)));
    let expires = made.expires_at.unwrap().seconds - made.ready_at.unwrap().seconds;
    assert!((3599..=3601).contains(&expires), "{expires}");
    let times = made.times.unwrap();
    assert_eq!(times.start, Some(Span { seconds: 0, nanos: 100_000_000 }));
    assert_eq!(made.browser.clone().unwrap().phase, "ready");

    let id = || made.id.clone();
    let shown = clients
        .sandboxes
        .get(GetSandboxRequest { id: id(), full: true })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.lifecycle_id, made.lifecycle_id);
    let update = UpdateSandboxRequest {
        id: id(),
        ttl: span(7200),
        set_labels: labels(&[("stage", "2")]),
        remove_labels: vec!["team".to_owned()],
        ..UpdateSandboxRequest::default()
    };
    let changed = clients.sandboxes.update(update).await.unwrap().into_inner();
    assert_eq!((changed.ttl, changed.labels), (span(7200), labels(&[("stage", "2")])));
    let flags = restart_browser_request::Flags { flags: Vec::new() };
    let restart =
        RestartBrowserRequest { id: id(), flags: Some(flags), ..RestartBrowserRequest::default() };
    let restarted = clients.sandboxes.restart_browser(restart).await.unwrap().into_inner();
    assert_eq!(restarted.browser.unwrap().generation, 2);
    let delete = DeleteSandboxRequest { id: id(), ..DeleteSandboxRequest::default() };
    let ended = clients.sandboxes.delete(delete).await.unwrap().into_inner();
    assert_eq!(ended.state(), SandboxState::Stopped);
    assert_eq!(ended.stop_reason.as_deref(), Some("request"));
    assert!(ended.stopped_at.is_some() && ended.expires_at.is_none());
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_paged_over_grpc() {
    let (world, mut clients) = open().await;
    for id in ["a", "b", "c"] {
        world.create(id).await.unwrap();
    }
    world.delete("a").await;
    let ids = async |clients: &mut Clients, request| {
        let list = clients.sandboxes.list(request).await.unwrap().into_inner();
        (list.sandboxes.into_iter().map(|one| one.id).collect::<Vec<_>>(), list.next)
    };
    let all = ListSandboxesRequest::default;
    assert_eq!(ids(&mut clients, all()).await.0, ["b", "c"]);
    let (page, next) = ids(&mut clients, ListSandboxesRequest { limit: Some(1), ..all() }).await;
    assert_eq!((page, next.is_some()), (vec!["b".to_owned()], true));
    let rest = ListSandboxesRequest { after: next, ..all() };
    assert_eq!(ids(&mut clients, rest).await, (vec!["c".to_owned()], None));
    let states = vec![SandboxState::Stopped.into()];
    assert_eq!(ids(&mut clients, ListSandboxesRequest { states, ..all() }).await.0, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_is_parked_brought_back_and_saved_over_grpc() {
    let (world, _folder) = world_with_store().await;
    let mut clients = Clients::of(&world.node);
    world.create("a").await.unwrap();
    let a = || OperationRequest { id: "a".to_owned(), ..OperationRequest::default() };
    let paused = clients.sandboxes.pause(a()).await.unwrap().into_inner();
    assert_eq!(paused.state(), SandboxState::Paused);
    assert!(paused.paused_at.is_some());
    let resumed = clients.sandboxes.resume(a()).await.unwrap().into_inner();
    assert_eq!(resumed.state(), SandboxState::Running);
    assert_ne!(resumed.lifecycle_id, paused.lifecycle_id);
    let saved = clients.sandboxes.checkpoint(a()).await.unwrap().into_inner();
    let snapshot = saved.snapshot.unwrap();
    assert_eq!(saved.sandbox.unwrap().state(), SandboxState::Running);
    assert_eq!(snapshot.sandbox_id, "a");
    let list = clients.snapshots.list(ListSnapshotsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.snapshots, std::slice::from_ref(&snapshot));
    let id = snapshot.id.clone();
    let from =
        CreateSandboxRequest { snapshot_id: Some(id.clone()), ..CreateSandboxRequest::default() };
    let copy = clients.sandboxes.create(from).await.unwrap().into_inner();
    assert_eq!(copy.state(), SandboxState::Running);
    let delete = lockkeeper_api::proto::DeleteSnapshotRequest { id: id.clone() };
    assert_eq!(clients.snapshots.delete(delete).await.unwrap().into_inner(), snapshot);
    let get = lockkeeper_api::proto::GetSnapshotRequest { id };
    assert_eq!(clients.snapshots.get(get).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn who_watches_over_grpc_misses_no_step_and_comes_back_where_it_was() {
    let (world, mut clients) = open().await;
    world.create("before").await.unwrap();
    let watch = clients.sandboxes.watch(WatchSandboxesRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let first = next(&mut watch).await.event;
    assert!(matches!(&first, Some(Event::Present(one)) if one.id == "before"), "{first:?}");
    let synced = next(&mut watch).await;
    assert!(matches!(&synced.event, Some(Event::Synced(synced)) if synced.sandboxes == 1));
    assert!(synced.cursor.is_some());
    world.create("a").await.unwrap();
    world.delete("a").await;
    let mut cursor = None;
    let mut states: Vec<SandboxState> = Vec::new();
    while states.last() != Some(&SandboxState::Stopped) {
        let told = next(&mut watch).await;
        let Some(Event::Changed(sandbox)) = told.event else { panic!("{told:?}") };
        assert_eq!(sandbox.id, "a");
        if cursor.is_none() {
            cursor = told.cursor;
        }
        states.push(sandbox.state());
    }
    states.dedup();
    let life = [
        SandboxState::Requested,
        SandboxState::Starting,
        SandboxState::Running,
        SandboxState::Stopping,
        SandboxState::Stopped,
    ];
    assert_eq!(states, life[life.len() - states.len()..]);
    assert!(states.len() >= 4, "{states:?}");
    // Behind the first change: the second one is what is told first.
    let back = clients.sandboxes.watch(WatchSandboxesRequest { after: cursor.clone() }).await;
    let told = next(&mut back.unwrap().into_inner()).await;
    assert!(matches!(told.event, Some(Event::Changed(_))), "{told:?}");
    assert_ne!(told.cursor, cursor);
    let bad = WatchSandboxesRequest { after: Some("here".to_owned()) };
    assert_eq!(clients.sandboxes.watch(bad).await.unwrap_err().code(), Code::InvalidArgument);
    world.node.end_watches();
    assert!(watch.message().await.unwrap().is_none(), "it ends with the daemon");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_watched_over_grpc_and_ended_by_the_status() {
    let (world, mut clients) = open().await;
    world.create("a").await.unwrap();
    let reports = clients.node.watch_drain(WatchDrainRequest {}).await;
    let mut reports = reports.unwrap().into_inner();
    assert_eq!(next(&mut reports).await.phase, "serving");
    let order = DrainRequest { deadline: span(60), ..DrainRequest::default() };
    let info = clients.node.drain(order).await.unwrap().into_inner();
    assert_eq!((info.status(), info.accepting), (NodeStatus::Draining, false));
    let report = next(&mut reports).await;
    assert_eq!((report.status(), report.blocking), (NodeStatus::Draining, 1));
    assert_eq!(report.blockers[0].id, "a");
    let left = report.budget_left.unwrap().seconds;
    assert!((58..=60).contains(&left), "{left}");
    let refused = clients.sandboxes.create(CreateSandboxRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let healthy = SetStatusRequest { status: NodeStatus::Healthy.into() };
    let info = clients.node.set_status(healthy).await.unwrap().into_inner();
    assert!(info.accepting);
    clients.sandboxes.create(CreateSandboxRequest::default()).await.unwrap();
    let info = clients.node.info(InfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.sandboxes["running"], 2);
}

#[tokio::test(start_paused = true)]
async fn health_over_grpc_follows_the_door() {
    let (world, mut clients) = open().await;
    let all = || HealthCheckRequest { service: String::new() };
    let one = || HealthCheckRequest { service: "lockkeeper.v1.NodeService".to_owned() };
    for name in [all(), one()] {
        let status = clients.health.check(name).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }
    let mut watch = clients.health.watch(all()).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.status(), ServingStatus::Serving);
    // A sandbox that comes and goes is no news.
    world.create("a").await.unwrap();
    world.delete("a").await;
    world.node.set_status(lockkeeper_api::NodeStatus::Draining).unwrap();
    assert_eq!(next(&mut watch).await.status(), ServingStatus::NotServing);
    assert_eq!(
        clients.health.check(all()).await.unwrap().into_inner().status(),
        ServingStatus::NotServing
    );
    world.node.set_status(lockkeeper_api::NodeStatus::Healthy).unwrap();
    assert_eq!(next(&mut watch).await.status(), ServingStatus::Serving);
    let other = || HealthCheckRequest { service: "other".to_owned() };
    assert_eq!(clients.health.check(other()).await.unwrap_err().code(), Code::NotFound);
    let mut watch = clients.health.watch(other()).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.status(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn reflection_names_every_service_and_their_files() {
    let (_world, clients) = open().await;
    let origin = Uri::from_static("http://node-1:7300");
    let mut client = ServerReflectionClient::with_origin(clients.router, origin);
    let mut ask = async |what| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(what) };
        let asked = client.server_reflection_info(stream::iter([request])).await.unwrap();
        asked.into_inner().next().await.unwrap().unwrap().message_response.unwrap()
    };
    let answer = ask(MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["SandboxService", "SnapshotService", "NodeService"] {
        let name = format!("lockkeeper.v1.{name}");
        assert!(names.contains(&name.as_str()), "{name} is missing in {names:?}");
        let answer = ask(MessageRequest::FileContainingSymbol(name)).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_method_is_unimplemented_as_grpc_says_it() {
    let (_world, clients) = open().await;
    let mut grpc = tonic::client::Grpc::new(clients.router);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/lockkeeper.v1.SandboxService/Clone");
    let codec =
        tonic_prost::ProstCodec::<GetSandboxRequest, lockkeeper_api::proto::Sandbox>::default();
    let request = tonic::Request::new(GetSandboxRequest::default());
    let status = grpc.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
