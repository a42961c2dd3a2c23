//! Cancel from wherever a listener is: on return its socket is closed and its task is gone.
//!
//! What each waits for here lasts far longer than the test's patience, so only the cancel ends it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use between_run_listener::BoxFuture;
use between_run_listener::http::{Options, Resolve};
use between_run_listener::listener::{Rules, Setup, State};
use testkit::runner::Runner;

use crate::world::{Manner, Session, World, key, rules, setup, soon};

async fn ended(world: World) {
    assert!(soon(world.registry.cancel(&key("s"))).await);
    assert_eq!(world.registry.len(), 0);
    assert_eq!(world.registry.status(&key("s")), None);
    world.end().await;
}

struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn while_a_name_is_looked_up() {
    let session = Session::new();
    let world = World::with(Options { resolver: Box::new(Silent), ..Options::default() });
    world.registry.ensure(&key("s"), setup("http://runner.test/", &session)).await;
    session.until(|heard| heard.states == ["connecting"]).await;
    ended(world).await;
}

#[tokio::test]
async fn while_tls_is_agreed_on() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let url = format!("https://{}/", runner.address());
    world.registry.ensure(&key("s"), setup(&url, &session)).await;
    let _open = runner.connection().await;
    ended(world).await;
}

#[tokio::test]
async fn while_an_answer_is_waited_for() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.send("HTTP/1.1 200 O").await;
    ended(world).await;
    ask.closed().await;
}

#[tokio::test]
async fn while_a_stream_is_read() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream("data: a\n\ndata: torn").await;
    session.has(&["a"]).await;
    ended(world).await;
    ask.closed().await;
    assert_eq!(session.heard(|heard| heard.states.last().copied()), Some("cancelled"));
    session.has(&["a"]).await;
}

#[tokio::test]
async fn while_a_stream_floods_in() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream("").await;
    let flood = async { while ask.try_send("data: x\n\n".repeat(1000)).await.is_ok() {} };
    let cancel = async {
        session.until(|heard| heard.events.len() > 10_000).await;
        ended(world).await;
    };
    tokio::join!(flood, cancel);
}

#[tokio::test]
async fn while_the_log_takes_an_event() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    session.manner.send_replace(Manner::Holds);
    world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
    let mut ask = runner.next().await;
    ask.stream("data: a\n\n").await;
    session.until(|heard| heard.batches == 1).await;
    ended(world).await;
    ask.closed().await;
}

#[tokio::test]
async fn while_it_waits_for_the_next_attempt() {
    let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
    let rules = Rules { retry_min: Some(Duration::from_secs(30)), ..rules() };
    let setup = Setup { rules, ..setup(&runner.url("/"), &session) };
    world.registry.ensure(&key("s"), setup).await;
    drop(runner.next().await);
    world.until(&key("s"), |state| matches!(state, State::Waiting { .. })).await;
    ended(world).await;
}

#[tokio::test]
async fn at_once_for_all_of_them() {
    const MANY: usize = 200;
    let (world, runner) = (World::new(), Runner::start().await);
    let sessions: Vec<_> = (0..MANY).map(|_| Session::new()).collect();
    for (at, session) in sessions.iter().enumerate() {
        world.registry.ensure(&key(&format!("s{at}")), setup(&runner.url("/"), session)).await;
    }
    let mut asks = Vec::new();
    for _ in 0..MANY {
        let mut ask = runner.next().await;
        ask.stream("data: a\n\n").await;
        asks.push(ask);
    }
    for session in &sessions {
        session.has(&["a"]).await;
    }
    world.end().await;
    for ask in &mut asks {
        ask.closed().await;
    }
    assert!(sessions.iter().all(|session| Arc::strong_count(session) == 1));
}
