//! Snapshots in a bucket of a server that speaks S3.

use std::time::Duration;

use lockkeeper_tests::{Outcome, S3Server, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::flow_snapshots::login_outlives_its_node;
use crate::login::{LIMIT, Site, call, log_in, post, still_logged_in};

crate::facts! {
    a_login_is_there_on_another_node_that_sees_the_bucket,
    a_checkpoint_without_the_bucket_is_refused_and_the_sandbox_untouched,
    a_bucket_that_is_none_stops_the_start_without_its_text,
}

fn a_login_is_there_on_another_node_that_sees_the_bucket() -> Outcome {
    let server = S3Server::start()?;
    login_outlives_its_node("headless-shell", &|| server.keeps_of(daemon()))?;
    let left = server.list()?;
    must!(!left.contains("<Key>"), "something is left of a snapshot that was removed: {left}");
    Ok(())
}

fn a_checkpoint_without_the_bucket_is_refused_and_the_sandbox_untouched() -> Outcome {
    let site = Site::open()?;
    let server = S3Server::start()?;
    let mut node = server.keeps_of(daemon()).start()?;
    let before = node.create(&json!({ "id": "shop", "flavour": "headless-shell" }))?;
    log_in(&node, "shop", &site)?;
    let made = post(&node, "shop", "checkpoint")?;
    let listed = server.list()?;
    let id = made["snapshot"]["id"].as_str().unwrap_or_default();
    must!(listed.contains(&format!("one/site/manifests/{id}.json")), "{listed}");
    drop(server);
    let (status, refused) = call(&node, "POST", "/v1/sandboxes/shop/checkpoint")?;
    must!(status == 503 && refused["error"]["code"] == "STORE_UNAVAILABLE", "{status} {refused}");
    must!(refused["error"]["sandbox_after"] == "untouched", "{refused}");
    let log = node.log();
    must!(!log.contains("sesame"), "the secret is in the log:\n{log}");
    let (_, after) = call(&node, "GET", "/v1/sandboxes/shop")?;
    must!(after["lifecycle_id"] == made["sandbox"]["lifecycle_id"], "{before} {made} {after}");
    still_logged_in(&node, "shop", &site)?;
    call(&node, "DELETE", "/v1/sandboxes/shop?wait=cleaned")?;
    node.remember();
    node.signal(Signal::SIGTERM);
    let status = node.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", node.log());
    node.assert_nothing_left(Duration::from_secs(2))
}

fn a_bucket_that_is_none_stops_the_start_without_its_text() -> Outcome {
    let place = "s3://key:sesame@bucket";
    let options = daemon().env("LOCKKEEPER_SNAPSHOT_STORE", place);
    let (status, log) = options.run_to_end(LIMIT)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    must!(log.contains("SNAPSHOT_STORE") && log.contains("s3://BUCKET/FOLDER"), "{log}");
    must!(!log.contains("sesame"), "{log}");
    Ok(())
}
