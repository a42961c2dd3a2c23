//! Where a runner may send us.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use between_run_listener::BoxFuture;
use between_run_listener::http::{Blocked, Client, Guard, Headers, Options, Resolve};
use between_run_listener::listener::{GiveUp, Reason, Setup, State};
use testkit::runner::Runner;

use crate::world::{Session, World, key, setup};

fn with_secret(setup: Setup) -> Setup {
    let headers = Headers::new([("authorization", "Bearer hush")]).expect("headers");
    Setup { target: between_run_listener::http::Target { headers, ..setup.target }, ..setup }
}

#[tokio::test]
async fn redirects_are_followed_and_another_origin_gets_no_configured_header() {
    let (world, session) = (World::new(), Session::new());
    let (one, two) = (Runner::start().await, Runner::start().await);
    world.registry.ensure(&key("s"), with_secret(setup(&one.url("/a/b"), &session))).await;
    let ask = one.next().await;
    assert_eq!(ask.field("authorization"), Some("Bearer hush"));
    ask.answer(307, &["Location: c?d"]).await;
    let ask = one.next().await;
    assert_eq!((ask.path(), ask.field("authorization")), ("/a/c?d", Some("Bearer hush")));
    ask.answer(302, &[&format!("Location: {}", two.url("/e"))]).await;
    let ask = two.next().await;
    assert_eq!((ask.path(), ask.field("authorization")), ("/e", None));
    assert!(ask.head.starts_with("GET "));
    // And not when it leads back either.
    ask.answer(303, &[&format!("Location: {}", one.url("/f"))]).await;
    let mut ask = one.next().await;
    assert_eq!((ask.path(), ask.field("authorization")), ("/f", None));
    ask.stream("data: a\n\n").await;
    session.has(&["a"]).await;
    drop(ask);
    // Each attempt begins where the settings say.
    assert_eq!(one.next().await.path(), "/a/b");
    world.end().await;
}

#[tokio::test]
async fn the_sixth_redirect_and_one_without_an_address_are_too_many() {
    for location in [Some("Location: /again"), None] {
        let (world, runner, session) = (World::new(), Runner::start().await, Session::new());
        world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
        let asks = if location.is_some() { 6 } else { 1 };
        for _ in 0..asks {
            runner.next().await.answer(308, location.as_slice()).await;
        }
        let status = world.until(&key("s"), State::is_final).await;
        assert_eq!(status.state, State::GaveUp(GiveUp::Permanent(Reason::Redirect)));
        world.end().await;
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_past_the_guard() {
    let other = Runner::start().await;
    for location in [
        "http://169.254.169.254/latest",
        "ftp://127.0.0.1/",
        "http://u:p@127.0.0.1/",
        &other.url("/"),
    ] {
        let (runner, session) = (Runner::start().await, Session::new());
        let entry = runner.address().to_string();
        let guard = Guard::new([entry.as_str()]).expect("an entry");
        let world = World::with(Options { guard, ..Options::default() });
        world.registry.ensure(&key("s"), setup(&runner.url("/"), &session)).await;
        runner.next().await.answer(302, &[&format!("Location: {location}")]).await;
        let status = world.until(&key("s"), State::is_final).await;
        assert_eq!(status.state, State::GaveUp(GiveUp::Permanent(Reason::Blocked)), "{location}");
        world.end().await;
    }
    assert!(!other.is_asked_within(std::time::Duration::from_millis(50)).await);
}

/// A name whose address is another one with each look-up; the last one stays.
struct Rebound(Vec<IpAddr>, AtomicUsize);

impl Rebound {
    fn new(addresses: &[&str]) -> Box<Self> {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address"));
        Box::new(Self(addresses.collect(), AtomicUsize::new(0)))
    }
}

impl Resolve for Rebound {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let at = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        Box::pin(std::future::ready(Ok(vec![self.0[at]])))
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_does_not_lead_past_the_guard() {
    for elsewhere in ["10.0.0.1", "169.254.169.254"] {
        let (runner, session) = (Runner::start().await, Session::new());
        let resolver = Rebound::new(&["127.0.0.1", elsewhere]);
        let world = World::with(Options { resolver, ..Options::default() });
        let url = format!("http://runner.test:{}/", runner.address().port());
        world.registry.ensure(&key("s"), setup(&url, &session)).await;
        let mut ask = runner.next().await;
        assert_eq!(ask.field("host"), Some(&*format!("runner.test:{}", runner.address().port())));
        ask.stream("data: a\n\n").await;
        session.has(&["a"]).await;
        drop(ask);
        let status = world.until(&key("s"), State::is_final).await;
        assert_eq!(status.state, State::GaveUp(GiveUp::Permanent(Reason::Blocked)));
        world.end().await;
    }
}

#[tokio::test]
async fn new_settings_are_judged_by_what_their_name_means_now() {
    let judged = async |url: &str, addresses: &[&str]| {
        let resolver = Rebound::new(addresses);
        let client = Client::new(Options { resolver, ..Options::default() });
        client.check(&url.parse().expect("a URL")).await
    };
    assert_eq!(judged("http://runner.test/", &["127.0.0.1"]).await, Ok(()));
    let elsewhere = judged("http://runner.test/", &["10.0.0.1"]).await;
    assert_eq!(elsewhere, Err(Blocked::NotAllowed { place: "10.0.0.1:80".into() }));
    let metadata = judged("http://169.254.169.254/", &["127.0.0.1"]).await;
    assert_eq!(metadata, Err(Blocked::Special { place: "169.254.169.254:80".into() }));
}
