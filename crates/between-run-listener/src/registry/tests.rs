use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use bytestring::ByteString;

use super::*;
use crate::feed::{Batch, BoxFuture, Connection, Feed, FeedError};
use crate::http::{Headers, Options, Resolve, Target};
use crate::listener::{Reason, Rules, State};
use crate::sse::Limits;

mod random;

/// What a look-up of a name does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    Never,
    Panic,
}

/// Names that nobody has, and how many look for each now: as many as listeners that connect.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Answer>>,
    looking: Mutex<HashMap<String, usize>>,
    most_at_once: Mutex<usize>,
    asked: Mutex<Vec<(String, Instant)>>,
}

/// One look-up.
struct Look<'a> {
    names: &'a Names,
    name: String,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        *self.names.looking.lock().unwrap().get_mut(&self.name).unwrap() -= 1;
    }
}

impl Names {
    fn look(&self, name: &str) -> Look<'_> {
        let mut looking = self.looking.lock().unwrap();
        let same = looking.entry(name.to_owned()).or_default();
        *same += 1;
        assert_eq!(*same, 1, "two listeners of one session");
        let mut most = self.most_at_once.lock().unwrap();
        *most = looking.values().sum::<usize>().max(*most);
        self.asked.lock().unwrap().push((name.to_owned(), now()));
        Look { names: self, name: name.to_owned() }
    }

    fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == name).count()
    }

    fn looking(&self) -> usize {
        self.looking.lock().unwrap().values().sum()
    }
}

impl Resolve for Arc<Names> {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let _look = self.look(name);
            let answer = self.answers.lock().unwrap().get(name).copied();
            match answer.unwrap_or(Answer::None) {
                Answer::None => Ok(Vec::new()),
                Answer::Never => std::future::pending().await,
                // Without the hook that prints: there are many of these.
                Answer::Panic => std::panic::resume_unwind(Box::new("as the test says")),
            }
        })
    }
}

struct Deaf;

impl Feed for Deaf {
    fn accept<'a>(&'a self, _: Batch) -> BoxFuture<'a, Result<(), FeedError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn resume_id(&self) -> Option<ByteString> {
        None
    }

    fn cut(&self, _: Connection, _: &Reason) {}

    fn status(&self, _: &Status) {}
}

struct World {
    names: Arc<Names>,
    keeper: draingate::Keeper,
    registry: Arc<Registry>,
    feed: Arc<dyn Feed>,
}

fn key(name: &str) -> SessionKey {
    SessionKey::new("p", name).unwrap()
}

impl World {
    fn new(settings: Settings) -> Self {
        let names = Arc::<Names>::default();
        let options = Options { resolver: Box::new(Arc::clone(&names)), ..Options::default() };
        let keeper = draingate::Keeper::new();
        let registry = Registry::new(Client::new(options), settings, keeper.gate());
        Self { names, keeper, registry: Arc::new(registry), feed: Arc::new(Deaf) }
    }

    fn answer(&self, name: &str, answer: Answer) {
        self.names.answers.lock().unwrap().insert(name.to_owned(), answer);
    }

    fn setup(&self, name: &str, failures: u32) -> Setup {
        let url = format!("http://{name}/").parse().unwrap();
        Setup {
            target: Target { url, headers: Headers::default() },
            rules: Rules { failures, ..Rules::default() },
            limits: Limits::default(),
            feed: Arc::clone(&self.feed),
        }
    }

    async fn ensure(&self, name: &str, failures: u32) -> Ensured {
        self.registry.ensure(&key(name), self.setup(name, failures)).await
    }

    async fn end(self) {
        let report = self.registry.shutdown(now() + Duration::from_secs(1)).await;
        assert_eq!(report.late, 0);
        assert_eq!((self.registry.len(), self.registry.tasks(), self.names.looking()), (0, 0, 0));
        assert_eq!(Arc::strong_count(&self.feed), 1 + self.registry.snapshot().len());
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_holds_or_uses_for_an_hour_loses_its_listener_and_a_held_one_never() {
    let world = World::new(Settings::default());
    world.ensure("unused", u32::MAX).await;
    world.ensure("held", u32::MAX).await;
    let pin = world.registry.pin(&key("held"));
    let keep = Arc::clone(&world.registry);
    let mut sweeps = tokio::task::JoinSet::new();
    sweeps.spawn(async move { keep.run().await });
    tokio::time::sleep(HOUR - Duration::from_secs(60)).await;
    assert_eq!(world.registry.len(), 2);
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(world.registry.status(&key("unused")), None);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(world.registry.len(), 1, "a run of hours is a use");
    assert_eq!(world.registry.snapshot()[0].pins, 1);
    // The hour begins when the last one lets go.
    drop(pin);
    tokio::time::sleep(HOUR - Duration::from_secs(60)).await;
    assert_eq!(world.registry.len(), 1);
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(world.registry.len(), 0);
    drop(sweeps);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_five_minutes_while_held_and_what_cannot_is_not() {
    let world = World::new(Settings::default());
    let mut keeping = tokio::task::JoinSet::new();
    let keep = Arc::clone(&world.registry);
    keeping.spawn(async move { keep.run().await });
    let _pins = [world.registry.pin(&key("held")), world.registry.pin(&key("blocked"))];
    world.ensure("held", 1).await;
    world.ensure("let-go", 1).await;
    let mut blocked = world.setup("blocked", 1);
    blocked.target.url = "http://10.0.0.1/".parse().unwrap();
    world.registry.ensure(&key("blocked"), blocked).await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!((world.names.asked("held"), world.names.asked("let-go")), (1, 1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((world.names.asked("held"), world.names.asked("let-go")), (2, 1));
    let status = world.registry.status(&key("blocked")).unwrap();
    assert_eq!((status.generation, status.reason), (3, Some(Reason::Blocked)));
    // Once it is let go, it is not tried for ever.
    drop(_pins);
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.names.asked("held"), 2);
    drop(keeping);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn triggers_start_a_listener_that_gave_up_again_at_most_every_ten_seconds() {
    let world = World::new(Settings::default());
    assert_eq!(world.ensure("s", 1).await, Ensured::Started(1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let wait = Duration::from_secs(6);
    assert_eq!(world.ensure("s", 1).await, Ensured::Refused(Refusal::TooSoon { wait }));
    tokio::time::sleep(wait).await;
    assert_eq!(world.ensure("s", 1).await, Ensured::Started(2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A delete forgets it all.
    assert!(!world.registry.cancel(&key("s")).await);
    assert!(world.registry.snapshot().is_empty());
    assert_eq!(world.ensure("s", 1).await, Ensured::Started(3));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_spreads_its_starts_over_ten_seconds_with_at_most_64_connecting() {
    let world = World::new(Settings::default());
    let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    for name in &names {
        world.answer(name, Answer::Never);
    }
    let sessions = names.iter().map(|name| (key(name), world.setup(name, 1))).collect();
    let begin = now();
    assert_eq!(world.registry.start_all(sessions).await, 200);
    assert_eq!(*world.names.most_at_once.lock().unwrap(), 64);
    let first: Vec<Duration> =
        world.names.asked.lock().unwrap().iter().take(64).map(|(_, at)| *at - begin).collect();
    assert!(first.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(40)));
    world.end().await;

    // Nobody hangs: it takes the ten seconds.
    let world = World::new(Settings::default());
    let sessions = names.iter().map(|name| (key(name), world.setup(name, 1))).collect();
    let begin = now();
    assert_eq!(world.registry.start_all(sessions).await, 200);
    let took = now() - begin;
    assert!((9..=10).contains(&took.as_secs()), "{took:?}");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_ends_after_its_successor_started_leaves_the_successors_entry() {
    let world = World::new(Settings::default());
    world.answer("s", Answer::Never);
    let Ensured::Started(first) = world.ensure("s", 1).await else { panic!("not started") };
    let replaced = world.registry.replace(&key("s"), world.setup("s", 1)).await;
    let Ensured::Started(second) = replaced else { panic!("not started") };
    // As if the first one's task ended only now.
    world.registry.inner.table().finished(&key("s"), first);
    let status = world.registry.status(&key("s")).unwrap();
    assert_eq!(status.generation, second);
    assert_eq!(world.registry.len(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_registry_ends_its_listeners() {
    let world = World::new(Settings::default());
    world.answer("s", Answer::Never);
    world.ensure("s", 1).await;
    tokio::task::yield_now().await;
    assert_eq!(world.names.looking(), 1);
    drop(world.registry);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!((world.names.looking(), Arc::strong_count(&world.feed)), (0, 1));
    assert!(!world.keeper.gate().is_draining());
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_up_and_frees_the_entry() {
    let world = World::new(Settings::default());
    world.answer("s", Answer::Panic);
    world.ensure("s", u32::MAX).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = world.registry.status(&key("s")).unwrap();
    assert_eq!(status.state, State::GaveUp(crate::listener::GiveUp::Internal));
    assert_eq!((world.registry.len(), world.registry.tasks()), (0, 0));
    world.end().await;
}
