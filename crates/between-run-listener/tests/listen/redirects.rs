//! Where a runner may send us.

use between_run_listener::http::{Guard, Headers, Options};
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
