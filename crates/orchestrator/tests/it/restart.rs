//! Another browser in place of one that runs, on request.

use lockkeeper_api::RestartRequest;
use orchestrator::RestartError;
use orchestrator::driver::RestartError as DriverError;
use testkit::fake_driver::{Act, Hold, Point};

use crate::world::{World, flagged, named, settle};

fn with(flag: &str) -> RestartRequest {
    RestartRequest { flags: Some(vec![flag.to_owned()]), ..RestartRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn a_restart_on_request_is_told_as_such_and_is_no_crash() {
    let world = World::open().await;
    world.create("one").await.unwrap();
    let mut changes = world.node.live("one").unwrap().upstream.changes();
    let restarted = world.node.restart_browser("one", with("--lang=de")).await.unwrap();
    let record = restarted.record();
    assert_eq!((record.browser.generation, record.browser.crashes), (2, 0));
    assert_eq!(changes.current().generation, 2);
    let events = world.events_of("browser_restarted").await;
    assert_eq!(events.len(), 1);
    let data = &events[0]["data"];
    assert_eq!((&data["requested_by"], &data["previous_generation"]), (&"api".into(), &1.into()));
    assert_eq!(data["exit"]["kind"], "restart_requested");
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_does_not_come_up_as_asked_runs_again_as_before_and_the_error_says_so() {
    let world = World::open().await;
    world.create("one").await.unwrap();
    world.driver.script(|at| match at.point {
        Point::Restart if at.has("--bad") => Act::Fail("it ended at once".to_owned()),
        _ => Act::Go,
    });
    let error = world.node.restart_browser("one", with("--bad")).await.unwrap_err();
    let restored = DriverError::Restored { why: "it ended at once".to_owned(), generation: 2 };
    assert_eq!(error, RestartError::Driver(restored));
    assert!(error.to_string().contains("runs again with the old ones, as generation 2"), "{error}");
    assert_eq!(world.state("one"), Some(lockkeeper_api::SandboxState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_refused_before_anything_is_done() {
    let world = World::open().await;
    world.create("one").await.unwrap();
    let refused = async |id: &str, request| world.node.restart_browser(id, request).await;
    let unknown = refused("two", RestartRequest::default()).await;
    assert_eq!(unknown.unwrap_err().kind(), "unknown");
    let ours = refused("one", with("--user-data-dir=/tmp")).await.unwrap_err();
    assert!(ours.to_string().contains("is set by the node"), "{ours}");
    let pinned = RestartRequest { lifecycle_id: Some("lcother".into()), ..with("--a") };
    assert_eq!(refused("one", pinned).await.unwrap_err().kind(), "mismatch");
    assert_eq!(world.node.get("one").unwrap().record().browser.generation, 1);
    world.delete("one").await;
    assert_eq!(refused("one", with("--a")).await.unwrap_err().kind(), "stopped");
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_in_a_drain_and_does_not_outlive_a_delete() {
    let world = World::open().await;
    world.create("one").await.unwrap();
    world.node.begin_announce();
    world.node.begin_server_drain(None);
    world.node.restart_browser("one", RestartRequest::default()).await.unwrap();
    let hold = Hold::new();
    world.driver.script({
        let hold = hold.clone();
        move |at| match at.point {
            Point::Restart => Act::Hold(hold.clone()),
            _ => Act::Go,
        }
    });
    let node = world.node.clone();
    let mut restarting = Box::pin(node.restart_browser("one", RestartRequest::default()));
    assert!(futures_util::poll!(&mut restarting).is_pending());
    hold.reached(1).await;
    let deleting = world.deleting("one");
    settle().await;
    hold.release();
    assert_eq!(restarting.await.unwrap_err(), RestartError::Driver(DriverError::Gone));
    deleting.await.unwrap().unwrap();
    world.nothing_left().await;
    assert!(world.node.create(named("two")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn switches_of_a_restart_are_those_of_later_incarnations_too() {
    let world = World::open().await;
    world.node.create(flagged("a", "--lang=de")).await.unwrap();
    let flags = Some(vec!["--lang=fr".to_owned()]);
    let request = RestartRequest { flags, ..Default::default() };
    world.node.restart_browser("a", request).await.unwrap();
    world.node.pause("a", Default::default()).await.unwrap();
    let resumed = world.node.resume("a", Default::default()).await.unwrap();
    assert_eq!(world.driver.flags(&resumed.record().lifecycle), ["--lang=fr"]);
}
