//! Safe by default: who may talk to the daemon.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, gateway, must};
use serde_json::json;
use testkit::daemon::{Daemon, StateDir};

crate::facts! {
    foreign_hosts_and_origins_are_refused_on_every_route,
    an_open_bind_without_a_token_is_refused_at_start,
    a_token_is_needed_where_one_is_set_and_is_shown_nowhere,
    the_gateways_token_is_needed_and_shown_nowhere,
}

fn foreign_hosts_and_origins_are_refused_on_every_route() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "guarded" }))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let routes = [
        ("GET", "/v1/sandboxes"),
        ("GET", "/v1/telemetry/stream"),
        ("GET", "/v1/telemetry/events"),
        ("POST", "/v1/node/drain"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/sandboxes/guarded/json/version"),
        ("GET", "/connect"),
        ("GET", "/nowhere"),
    ];
    let bad: [&[(&str, &str)]; 5] = [
        &[("host", "evil.example")],
        &[("host", "localhost.evil.example:7300")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
    ];
    for (method, path) in routes {
        for headers in bad {
            let answer = daemon.call_with(method, path, headers, None)?;
            must!(answer.status == 403, "{method} {path} with {headers:?}: {}", answer.status);
            must!(!answer.body.to_string().is_empty(), "{method} {path}: no text");
        }
    }
    for headers in bad {
        let refused = Cdp::open_with(ws, headers).err().map(|r| r.status());
        must!(refused == Some(403), "a socket with {headers:?} was answered {refused:?}");
    }
    let own = daemon.base().to_owned();
    let same = Cdp::open_with(ws, &[("origin", own.as_str())]);
    must!(same.is_ok(), "the request's own origin was refused");
    let devtools = Cdp::open_with(ws, &[("origin", "devtools://devtools")]);
    must!(devtools.is_ok(), "the DevTools front-end was refused");
    let status = daemon.call("GET", "/v1/node", None)?;
    must!(status.body["status"] == "healthy", "a refused drain took effect: {}", status.body);
    Ok(())
}

fn an_open_bind_without_a_token_is_refused_at_start() -> Outcome {
    let (status, log) =
        daemon().env("LOCKKEEPER_API_LISTEN", "0.0.0.0:0").run_to_end(Duration::from_secs(10))?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    must!(log.contains("TOKEN"), "the text does not name the token:\n{log}");
    Ok(())
}

fn a_token_is_needed_where_one_is_set_and_is_shown_nowhere() -> Outcome {
    let token = "correct-horse-battery-staple";
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("events.jsonl");
    let mut daemon = daemon()
        .state(state)
        .env("LOCKKEEPER_TOKEN", token)
        .env("LOCKKEEPER_LOG", "trace")
        .env("LOCKKEEPER_EVENTS_FILE", file.to_string_lossy())
        .start()?;
    for header in ["", "Bearer wrong", "Basic correct-horse-battery-staple"] {
        let answer =
            daemon.call_with("GET", "/v1/sandboxes", &[("authorization", header)], None)?;
        must!(answer.status == 401, "authorization {header:?} was answered {}", answer.status);
    }
    let sandbox = daemon.create(&json!({}))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let refused = Cdp::open_with(ws, &[]).err().map(|r| r.status());
    must!(refused == Some(401), "a socket without the token was answered {refused:?}");
    let mut cdp = Cdp::open(&format!("{ws}?token={token}"))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    // With its browser, and the session that began with the token.
    shown_nowhere(&daemon, token)?;
    let events = daemon.events()?;
    cdp.close(1000)?;
    let end = |e: &serde_json::Value| e["type"] == "cdp_disconnect";
    events.wait_for("the disconnect", Duration::from_secs(5), end)?;
    let told: String = events.all().iter().map(ToString::to_string).collect();
    must!(!told.contains(token), "the token is in an event");
    let lines = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
    must!(lines.contains("cdp_connect"), "the events are not in the file: {lines}");
    let found = daemon.places_that_show("cdp_connect")?;
    must!(found.iter().any(|place| place.contains("events.jsonl")), "only {found:?} is looked at");
    shown_nowhere(&daemon, token)
}

fn shown_nowhere(daemon: &Daemon, token: &str) -> Outcome {
    let places = daemon.places_that_show(token)?;
    must!(places.is_empty(), "the token is in {places:?}");
    Ok(())
}

fn the_gateways_token_is_needed_and_shown_nowhere() -> Outcome {
    let token = "sentinel-of-the-gateway";
    let gateway =
        gateway().env("LOCKKEEPER_TOKEN", token).env("LOCKKEEPER_LOG", "trace").start()?;
    let session = "/v1/projects/p/sessions/one";
    let in_query = format!("{session}?token={token}");
    for (path, header, admitted) in [
        (session, "", false),
        (session, "Bearer wrong", false),
        (session, "Bearer sentinel-of-the-gatewax", false),
        (session, "Bearer sentinel-of-the-gateway", true),
        (&in_query, "Bearer wrong", false),
    ] {
        let answer = gateway.call_with("GET", path, &[("authorization", header)], None)?;
        let refused = answer.status == 401;
        must!(refused != admitted, "{path} with {header:?} was answered {}", answer.status);
        must!(!answer.body.to_string().contains(token), "the answer shows it: {}", answer.body);
    }
    // Whoever reads an event stream in a browser cannot send a header.
    let stream = format!("{session}/agui/events?token={token}");
    gateway.call_with("GET", &stream, &[("authorization", "")], None)?;
    shown_nowhere(&gateway, token)
}
