//! What every test here needs: a session that remembers, and a registry around it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use between_run_listener::feed::{Batch, BoxFuture, Connection, Feed, FeedError, SessionKey};
use between_run_listener::http::{Client, Headers, Options, Target};
use between_run_listener::listener::{Reason, Rules, Setup, State, Status};
use between_run_listener::registry::{Registry, Settings};
use between_run_listener::sse::{Item, Limits};
use bytestring::ByteString;
use draingate::Keeper;
use testkit::runner::PATIENCE;
use tokio::sync::watch;

/// What a session has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) events: Vec<String>,
    pub(crate) ids: Vec<Option<String>>,
    pub(crate) losses: usize,
    pub(crate) comments: usize,
    pub(crate) states: Vec<&'static str>,
    pub(crate) cuts: Vec<(Connection, Reason)>,
    pub(crate) last_event_id: Option<ByteString>,
    pub(crate) batches: usize,
}

/// What a session does with what it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Holds,
    Fails(FeedError),
    Panics,
}

/// A session that remembers all it hears.
pub(crate) struct Session {
    heard: Mutex<Heard>,
    changed: watch::Sender<u64>,
    pub(crate) manner: watch::Sender<Manner>,
}

impl Session {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            changed: watch::Sender::new(0),
            manner: watch::Sender::new(Manner::Takes),
        })
    }

    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().expect("not poisoned"))
    }

    fn note(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut self.heard.lock().expect("not poisoned"));
        self.changed.send_modify(|count| *count += 1);
    }

    /// Waits until what was heard is such.
    pub(crate) async fn until(&self, mut such: impl FnMut(&Heard) -> bool) {
        let mut changed = self.changed.subscribe();
        let reached = async {
            while !self.heard(&mut such) {
                changed.changed().await.expect("the session lives");
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            self.heard(|heard| panic!("never came to it: {heard:?}"));
        }
    }

    pub(crate) async fn has(&self, events: &[&str]) {
        self.until(|heard| heard.events == events).await;
    }
}

impl Feed for Session {
    fn accept<'a>(&'a self, batch: Batch) -> BoxFuture<'a, Result<(), FeedError>> {
        Box::pin(async move {
            let mut manner = self.manner.subscribe();
            self.note(|heard| heard.batches += 1);
            let now = *manner.wait_for(|manner| *manner != Manner::Holds).await.expect("it lives");
            match now {
                Manner::Takes | Manner::Holds => {}
                Manner::Fails(error) => return Err(error),
                Manner::Panics => panic!("as the test says"),
            }
            self.note(|heard| {
                for item in batch.items {
                    match item {
                        Item::Event(event) => {
                            heard.events.push(event.data.to_string());
                            heard.ids.push(event.id.map(|id| id.to_string()));
                        }
                        Item::Oversize { .. } => heard.losses += 1,
                        Item::Comment { .. } => heard.comments += 1,
                        Item::Retry(_) => panic!("the listener keeps these to itself"),
                    }
                }
                heard.last_event_id = batch.last_event_id;
            });
            Ok(())
        })
    }

    fn resume_id(&self) -> Option<ByteString> {
        self.heard(|heard| heard.last_event_id.clone())
    }

    fn cut(&self, connection: Connection, why: &Reason) {
        self.note(|heard| heard.cuts.push((connection, *why)));
    }

    fn status(&self, status: &Status) {
        self.note(|heard| heard.states.push(status.state.kind()));
    }
}

/// A registry that may reach loopback, and its gate.
pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) keeper: Keeper,
}

/// Waits are short here: this is about what happens, not when.
pub(crate) fn rules() -> Rules {
    Rules { retry_min: Some(Duration::from_millis(100)), ..Rules::default() }
}

pub(crate) fn key(session: &str) -> SessionKey {
    SessionKey::new("tests", session).expect("a name")
}

pub(crate) fn target(url: &str) -> Target {
    Target { url: url.parse().expect(url), headers: Headers::default() }
}

pub(crate) fn setup(url: &str, session: &Arc<Session>) -> Setup {
    let feed: Arc<dyn Feed> = Arc::<Session>::clone(session);
    Setup { target: target(url), rules: rules(), limits: Limits::default(), feed }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let keeper = Keeper::new();
        let registry = Registry::new(Client::new(options), Settings::default(), keeper.gate());
        Self { registry: Arc::new(registry), keeper }
    }

    /// Waits until the session's listener is in such a state.
    pub(crate) async fn until(&self, key: &SessionKey, such: impl Fn(&State) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.registry.status(key);
            if let Some(status) = status.filter(|status| such(&status.state)) {
                return status;
            }
            assert!(Instant::now() < deadline, "never came to it: {status:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends everything and shows that nothing is left.
    pub(crate) async fn end(self) {
        let report = self.registry.shutdown(Instant::now() + PATIENCE).await;
        assert_eq!(report.late, 0);
        assert_eq!((self.registry.len(), self.registry.tasks()), (0, 0));
    }
}

/// Waits for something that has a deadline.
pub(crate) async fn soon<T: Debug>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}
