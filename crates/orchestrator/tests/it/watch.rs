//! Those who watch see what exists, then every change, and are told when they have missed some.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use lockkeeper_api::{DrainReport, NodeStatus, SandboxEvent, SandboxState, UpdateRequest};
use orchestrator::urls::UrlBuilder;
use orchestrator::watch::{Cursor, Missed};
use orchestrator::{Config, ListFilter, OperatorDrain, Snapshot, Watch, Watched};
use testkit::fake_driver::Act;
use tokio::task::JoinSet;
use tower::ServiceExt;
use upstream::Cause;

use crate::world::{World, by, config, named, request, secs};

/// What one who watches knows.
#[derive(Debug, Default)]
struct Known {
    sandboxes: BTreeMap<String, String>,
    picture: Option<BTreeMap<String, String>>,
    cursor: Option<Cursor>,
    /// `id state` of each change, in order.
    changes: Vec<String>,
    gaps: Vec<Missed>,
}

/// What must be the same for one who watches and one who looks.
fn facts(snapshot: &Snapshot) -> (String, String) {
    let record = snapshot.record();
    let labels = format!("{:?}", record.labels);
    let (state, browser) = (snapshot.state().word(), &record.browser);
    (record.id.to_string(), format!("{} {state:?} {labels} {browser:?}", record.lifecycle))
}

impl Known {
    fn take(&mut self, watched: Watched) {
        match watched {
            Watched::Present(snapshot) => {
                self.picture.get_or_insert_default().extend([facts(&snapshot)]);
            }
            Watched::Synced { cursor, sandboxes } => {
                self.sandboxes = self.picture.take().unwrap_or_default();
                assert_eq!(self.sandboxes.len() as u64, sandboxes);
                self.cursor = Some(cursor);
            }
            Watched::Changed { cursor, sandbox } => {
                let before = self.cursor.as_ref().map(|cursor| cursor.last);
                assert!(before.is_none_or(|last| cursor.last == last + 1), "{before:?} {cursor}");
                let (id, facts) = facts(&sandbox);
                let state = sandbox.state().word();
                self.changes.push(format!("{id} {}", state.as_str()));
                match state {
                    SandboxState::Stopped => self.sandboxes.remove(&id),
                    _ => self.sandboxes.insert(id, facts),
                };
                self.cursor = Some(cursor);
            }
            Watched::Gap(missed) => {
                self.gaps.push(missed);
                self.cursor = None;
            }
        }
    }

    /// Everything that is known by now.
    async fn catch_up(&mut self, watch: &mut Watch) {
        while let Ok(Some(watched)) =
            tokio::time::timeout(Duration::from_millis(1), watch.next()).await
        {
            self.take(watched);
        }
    }
}

fn listed(world: &World) -> BTreeMap<String, String> {
    world.node.list(&ListFilter::default()).sandboxes.iter().map(facts).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_with_what_exists_and_goes_on_with_every_change() {
    let world = World::open().await;
    world.create("old").await.unwrap();
    let (mut watch, mut known) = (world.node.watch(None), Known::default());
    known.catch_up(&mut watch).await;
    assert_eq!(known.sandboxes.keys().collect::<Vec<_>>(), ["old"]);

    world.create("new").await.unwrap();
    let update = UpdateRequest::from_json(br#"{"labels": {"team": "a"}}"#).unwrap();
    world.node.update("old", update).unwrap();
    world.delete("old").await;
    known.catch_up(&mut watch).await;
    assert_eq!(known.sandboxes, listed(&world));
    let of = |id: &str| -> Vec<&str> {
        known
            .changes
            .iter()
            .filter_map(|change| change.strip_prefix(id)?.strip_prefix(' '))
            .collect()
    };
    let mut new = of("new");
    new.dedup();
    assert_eq!(new, ["starting", "running"]);
    assert_eq!(of("old"), ["running", "stopping", "stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_back_goes_on_where_it_was() {
    let world = World::open().await;
    let (mut watch, mut known) = (world.node.watch(None), Known::default());
    world.create("a").await.unwrap();
    known.catch_up(&mut watch).await;
    drop(watch);
    world.delete("a").await;
    let place: Cursor = known.cursor.clone().unwrap().to_string().parse().unwrap();
    known.changes.clear();
    let mut again = world.node.watch(Some(&place));
    known.catch_up(&mut again).await;
    assert_eq!(known.changes, ["a stopping", "a stopped"]);
    assert!(known.gaps.is_empty() && known.sandboxes.is_empty());

    let other = World::open().await;
    other.create("b").await.unwrap();
    let (mut foreign, mut known) = (other.node.watch(Some(&place)), Known::default());
    known.catch_up(&mut foreign).await;
    assert_eq!(known.gaps, [Missed::Foreign], "the cursor is of another daemon");
    assert_eq!(known.sandboxes, listed(&other));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_is_told_of_the_gap_and_begins_anew() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let (mut watch, mut known) = (world.node.watch(None), Known::default());
    known.catch_up(&mut watch).await;
    for turn in 0..5_000 {
        let body = format!(r#"{{"labels": {{"turn": "{turn}"}}}}"#);
        world.node.update("a", UpdateRequest::from_json(body.as_bytes()).unwrap()).unwrap();
    }
    known.catch_up(&mut watch).await;
    assert_eq!(known.gaps, [Missed::Overtaken]);
    assert_eq!(known.sandboxes, listed(&world));
    world.node.end_watches();
    assert!(watch.next().await.is_none(), "a watch outlives the end of the daemon");
}

/// Whatever happens to the sandboxes, those who watch know in the end what one who looks sees:
/// no step is taken where watchers do not hear of it.
#[tokio::test(start_paused = true)]
async fn no_step_is_taken_unheard() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::with(Config { max_sandboxes: 6, queue_len: 20, ..config() }).await;
        let dice = std::sync::Mutex::new(random.fork());
        world.driver.script(move |_| {
            let mut dice = dice.lock().unwrap();
            if dice.u8(..) < 10 {
                return Act::Fail("unlucky".to_owned());
            }
            Act::Wait(Duration::from_millis(dice.u64(0..200)))
        });
        let (mut watch, mut known) = (world.node.watch(None), Known::default());
        let began = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..40 {
            let (node, driver) = (world.node.clone(), std::sync::Arc::clone(&world.driver));
            let at = began + Duration::from_millis(random.u64(0..2_000));
            let (id, kind) = (format!("s{}", random.u8(0..6)), random.u8(0..8));
            tasks.spawn(async move {
                tokio::time::sleep_until(at).await;
                match kind {
                    0..4 => drop(node.create(named(&id)).await),
                    4..6 => drop(node.delete(&id, by("test")).await),
                    6 => {
                        if let Some(one) = driver.instances().first() {
                            driver.end_browser(one, Cause::Signalled { signal: 9 }).await;
                        }
                    }
                    _ => drop(node.create(request(r#"{"ttl": "1s"}"#)).await),
                }
            });
        }
        loop {
            tokio::select! {
                biased;
                watched = watch.next() => known.take(watched.unwrap()),
                done = tasks.join_next() => if done.is_none() { break },
            }
        }
        tokio::time::sleep(secs(3)).await;
        known.catch_up(&mut watch).await;
        assert_eq!(known.sandboxes, listed(&world), "seed {seed}: {:#?}", known.changes);
        assert!(known.gaps.is_empty(), "seed {seed}");
    }
}

/// The frames of a stream so far: name, id, data.
async fn frames(body: &mut Body, count: usize) -> Vec<(String, Option<String>, String)> {
    let mut frames = Vec::new();
    while frames.len() < count {
        let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(chunk.to_vec()).unwrap();
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if let Some(name) = field("event: ") {
            frames.push((name, field("id: "), field("data: ").unwrap()));
        }
    }
    frames
}

async fn open(world: &World, path: &str) -> (StatusCode, Body) {
    let router = world.node.router(UrlBuilder::of_request("127.0.0.1:7300"));
    let request = Request::get(path).header("host", "node-1:7300").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    (response.status(), response.into_body())
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_sandboxes_speaks_in_events_that_can_be_resumed() {
    let world = World::open().await;
    world.create("a").await.unwrap();
    let (status, mut body) = open(&world, "/v1/sandboxes/events").await;
    assert_eq!(status, StatusCode::OK);
    let first = frames(&mut body, 2).await;
    assert_eq!((first[0].0.as_str(), &first[0].1), ("present", &None));
    let SandboxEvent::Present { sandbox } = serde_json::from_str(&first[0].2).unwrap() else {
        panic!("{first:?}")
    };
    assert_eq!(sandbox.cdp_url, "http://node-1:7300/sandboxes/a");
    let cursor = first[1].1.clone().unwrap();
    world.delete("a").await;
    let path = format!("/v1/sandboxes/events?after={cursor}");
    let (_, mut again) = open(&world, &path).await;
    for body in [&mut body, &mut again] {
        let next = frames(body, 2).await;
        assert!(next.iter().all(|(name, id, _)| name == "changed" && id.is_some()), "{next:?}");
        let SandboxEvent::Changed { sandbox } = serde_json::from_str(&next[1].2).unwrap() else {
            panic!("{next:?}")
        };
        assert_eq!(sandbox.state, SandboxState::Stopped);
        assert_eq!(sandbox.stop_reason.as_deref(), Some("request"));
    }
    let (status, _) = open(&world, "/v1/sandboxes/events?after=yesterday").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let refused = world.create("events").await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("API uses itself"), "{refused}: it could not be reached");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_watched_to_its_end_with_who_is_in_the_way() {
    let world = World::open().await;
    world.create("last").await.unwrap();
    let (_, mut body) = open(&world, "/v1/node/drain/events").await;
    let mut next = async |count: usize| -> DrainReport {
        let frames = frames(&mut body, count).await;
        serde_json::from_str(&frames[count - 1].2).unwrap()
    };
    let before = next(1).await;
    assert_eq!((before.status, before.phase.as_str()), (NodeStatus::Healthy, "serving"));
    assert_eq!(before.blocking, 1, "it says whom a drain would wait for");
    let order = OperatorDrain { deadline: Some(secs(600)), ..OperatorDrain::default() };
    world.node.drain(order).unwrap();
    let began = next(1).await;
    assert_eq!((began.status, began.accepting), (NodeStatus::Draining, false));
    assert_eq!(began.blockers[0].id, "last");
    assert!(began.budget_left_ms.is_some_and(|ms| ms > 590_000), "{began:?}");
    // Nothing changes, and time passes: what is left of the budget is told anew. A change that the
    // drain itself makes may be told before that, at the very same moment.
    let mut later = next(1).await;
    while later.budget_left_ms == began.budget_left_ms {
        later = next(1).await;
    }
    assert!(later.budget_left_ms < began.budget_left_ms, "{later:?}");
    world.delete("last").await;
    let mut report = next(1).await;
    while report.lifecycles > 0 {
        assert!(report.blockers[0].state >= SandboxState::Running, "{report:?}");
        report = next(1).await;
    }
    assert_eq!(report.blocking, 0);
    assert!(report.sandboxes.is_empty(), "{report:?}");
}
