//! Tokens that may do only some things, and what happens when their file changes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, gateway, must};
use serde_json::{Value, json};
use testkit::daemon::Daemon;

crate::facts! {
    every_route_needs_its_scope,
    a_browser_is_driven_with_the_scope_of_sandboxes_and_the_end_names_whose_call_it_was,
    a_changed_file_of_tokens_takes_effect_and_a_bad_one_does_not,
    a_withdrawn_token_ends_its_sessions_and_no_others,
    a_bad_file_of_tokens_stops_the_start,
    a_project_is_open_to_its_tokens_only,
}

const LIMIT: Duration = Duration::from_secs(20);
/// For what the test itself asks of the daemon.
const ROOT: &str = "root-of-the-test";

/// Principals, each with one scope and a token that is `token-of-` and the name.
const PRINCIPALS: [(&str, &str, &str); 4] = [
    ("sandbox-reader", "read", "sandbox"),
    ("sandbox-writer", "write", "sandbox"),
    ("node-reader", "read", "node"),
    ("node-writer", "write", "node"),
];

fn tokens(principals: &[(&str, &str, &str)]) -> String {
    let table = |(name, level, scope): &(&str, &str, &str)| {
        format!("[tokens.{name}]\ntoken = \"token-of-{name}\"\n{level} = [\"{scope}\"]\n")
    };
    principals.iter().map(table).collect()
}

fn write(path: &Path, text: &str) -> Result<String, String> {
    fs::write(path, text).map_err(|e| e.to_string())?;
    Ok(path.display().to_string())
}

/// What a call with the token of a principal is answered.
fn ask(daemon: &Daemon, name: &str, method: &str, path: &str) -> Result<(u16, Value), String> {
    let bearer = format!("Bearer token-of-{name}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    // A member that nothing knows, so that who is let in changes nothing.
    let body = (!matches!(method, "GET" | "HEAD")).then_some(r#"{"unheard_of":1}"#);
    let answer = daemon.call_with(method, path, &headers, body)?;
    Ok((answer.status, answer.body))
}

fn every_route_needs_its_scope() -> Outcome {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = write(&dir.path().join("tokens.toml"), &tokens(&PRINCIPALS))?;
    let daemon =
        daemon().env("LOCKKEEPER_TOKEN", ROOT).env("LOCKKEEPER_TOKENS_FILE", file).start()?;
    let document = daemon.call("GET", "/v1/openapi.json", None)?.body;
    let paths = document["paths"].as_object().ok_or("the document has no paths")?;
    let mut routes: Vec<(String, String, &str)> = Vec::new();
    for (path, methods) in paths {
        let scope = match path.split('/').nth(2) {
            Some("sandboxes" | "snapshots") => "sandbox",
            _ => "node",
        };
        let methods = methods.as_object().ok_or("a path has no methods")?.keys();
        for method in methods.filter(|method| *method != "parameters") {
            routes.push((method.to_uppercase(), path.replace("{id}", "nobody"), scope));
        }
    }
    for (method, path) in [
        ("GET", "/v1/telemetry"),
        ("PATCH", "/v1/telemetry"),
        ("POST", "/v1/telemetry/events"),
        ("GET", "/v1/telemetry/events"),
        ("GET", "/v1/telemetry/stream"),
        ("GET", "/metrics"),
    ] {
        routes.push((method.to_owned(), path.to_owned(), "node"));
    }
    must!(routes.len() > 20, "only {} routes", routes.len());
    let (mut refused, mut admitted) = (0, 0);
    for (method, path, scope) in &routes {
        for (name, level, has) in PRINCIPALS {
            let any = path == "/v1/openapi.json";
            let enough = any || (has == *scope && (level == "write" || method == "GET"));
            if enough && (path.ends_with("/events") || path.ends_with("/stream")) {
                // Who is let in gets a stream that does not end.
                continue;
            }
            let (status, body) = ask(&daemon, name, method, path)?;
            let told = body["error"]["code"] == "SCOPE_MISSING";
            must!(told != enough, "{name}: {method} {path} was answered {status}: {body}");
            must!(
                (status == 403) != enough,
                "{name}: {method} {path} was answered {status}: {body}"
            );
            *if enough { &mut admitted } else { &mut refused } += 1;
        }
    }
    must!(refused > 40 && admitted > 20, "{refused} refused, {admitted} let in");
    let node = daemon.call("GET", "/v1/node", None)?;
    must!(node.body["status"] == "healthy", "a refused call took effect: {}", node.body);
    Ok(())
}

fn a_browser_is_driven_with_the_scope_of_sandboxes_and_the_end_names_whose_call_it_was() -> Outcome
{
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = write(&dir.path().join("tokens.toml"), &tokens(&PRINCIPALS))?;
    let mut daemon = daemon()
        .env("LOCKKEEPER_TOKEN", ROOT)
        .env("LOCKKEEPER_TOKENS_FILE", file)
        .env("LOCKKEEPER_LOG", "trace")
        .start()?;
    let change = json!({ "categories": { "api": { "enabled": true } } });
    daemon.call("PATCH", "/v1/telemetry", Some(&change))?;
    let events = daemon.events()?;
    let sandbox = daemon.create(&json!({ "id": "driven" }))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    for name in ["sandbox-reader", "node-reader", "node-writer"] {
        let refused =
            Cdp::open_with(&format!("{ws}?token=token-of-{name}"), &[]).err().map(|r| r.status());
        must!(refused == Some(403), "{name} was answered {refused:?}");
    }
    let mut cdp = Cdp::open(&format!("{ws}?token=token-of-sandbox-writer"))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let (status, gone) = ask(&daemon, "sandbox-writer", "DELETE", "/v1/sandboxes/driven")?;
    must!(status == 200, "{status}: {gone}");
    must!(gone["stop_detail"] == "api, by sandbox-writer", "{gone}");
    let ours = |event: &Value| {
        event["type"] == "api_call" && event["data"]["principal"] == "sandbox-writer"
    };
    events.wait_for("whose call it was", LIMIT, ours)?;
    for name in PRINCIPALS.map(|(name, ..)| name) {
        let token = format!("token-of-{name}");
        must!(!daemon.log().contains(&token), "{token} is in the log");
        must!(events.all().iter().all(|e| !e.to_string().contains(&token)), "{token} in an event");
    }
    Ok(())
}

/// Waits until a call of `node-reader` is answered so.
fn becomes(daemon: &Daemon, wanted: u16) -> Outcome {
    let until = Instant::now() + LIMIT;
    loop {
        let (status, body) = ask(daemon, "node-reader", "GET", "/v1/node")?;
        if status == wanted {
            return Ok(());
        }
        must!(Instant::now() < until, "still {status}: {body}\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_changed_file_of_tokens_takes_effect_and_a_bad_one_does_not() -> Outcome {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = dir.path().join("tokens.toml");
    let file = write(&path, &tokens(&PRINCIPALS))?;
    let daemon = daemon().env("LOCKKEEPER_TOKENS_FILE", file).start()?;
    becomes(&daemon, 200)?;
    write(&path, &tokens(&PRINCIPALS[..2]))?;
    becomes(&daemon, 401)?;
    // As a cluster does it: another file takes the name.
    let other = dir.path().join("other.toml");
    write(&other, &tokens(&PRINCIPALS))?;
    fs::rename(&other, &path).map_err(|e| e.to_string())?;
    becomes(&daemon, 200)?;
    write(&path, "[tokens.node-reader]\ntoken = \"token-of-nobody\"\nread = [\"nodes\"]\n")?;
    let until = Instant::now() + LIMIT;
    while !daemon.log().contains("is no scope") {
        must!(Instant::now() < until, "nothing says what is wrong:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    becomes(&daemon, 200)?;
    must!(!daemon.log().contains("token-of-nobody"), "the log shows a token");
    Ok(())
}

fn a_bad_file_of_tokens_stops_the_start() -> Outcome {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let bad = "[tokens.ci]\ntoken = \"token-of-ci\"\nwrite = [\"sandboxes\"]\n";
    let file = write(&dir.path().join("tokens.toml"), bad)?;
    for (what, start) in [("node", daemon()), ("gateway", gateway())] {
        let start = start.env("LOCKKEEPER_TOKENS_FILE", file.clone());
        let (status, log) = start.run_to_end(LIMIT)?;
        must!(status.code() == Some(64), "the {what} ended with {status}:\n{log}");
        must!(log.contains("tokens.ci.write") && log.contains("project:NAME"), "{what}: {log}");
        must!(!log.contains("token-of-ci"), "the {what} shows the token:\n{log}");
    }
    let missing = dir.path().join("none.toml").display().to_string();
    let (status, log) = daemon().env("LOCKKEEPER_TOKENS_FILE", missing).run_to_end(LIMIT)?;
    must!(status.code() == Some(64) && log.contains("none.toml cannot be read"), "{status}: {log}");
    Ok(())
}

fn a_project_is_open_to_its_tokens_only() -> Outcome {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let principals = [
        ("demo", "write", "project:demo"),
        ("looker", "read", "project:*"),
        ("sandboxes", "write", "sandbox"),
    ];
    let file = write(&dir.path().join("tokens.toml"), &tokens(&principals))?;
    let gateway = gateway().env("LOCKKEEPER_TOKENS_FILE", file).start()?;
    for (name, method, project, enough) in [
        ("demo", "GET", "demo", true),
        ("demo", "PUT", "demo", true),
        ("demo", "GET", "%64emo", true),
        ("demo", "GET", "other", false),
        ("demo", "GET", "demo%2F..%2Fother", false),
        ("looker", "GET", "demo", true),
        ("looker", "GET", "other", true),
        ("looker", "PUT", "demo", false),
        ("looker", "DELETE", "other", false),
        ("sandboxes", "GET", "demo", false),
    ] {
        let path = format!("/v1/projects/{project}/sessions/one");
        let (status, body) = ask(&gateway, name, method, &path)?;
        must!((status == 403) != enough, "{name}: {method} {path} was answered {status}: {body}");
    }
    let (status, _) = ask(&gateway, "demo", "GET", "/v1/telemetry")?;
    must!(status == 403, "the node's events were shown to a project");
    Ok(())
}

fn a_withdrawn_token_ends_its_sessions_and_no_others() -> Outcome {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = dir.path().join("tokens.toml");
    let (gone, stays) = (("gone", "write", "sandbox"), ("stays", "write", "sandbox"));
    let file = write(&path, &tokens(&[gone, stays]))?;
    let mut daemon =
        daemon().env("LOCKKEEPER_TOKEN", ROOT).env("LOCKKEEPER_TOKENS_FILE", file).start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let mut withdrawn = Cdp::open(&format!("{ws}?token=token-of-gone"))?;
    let mut kept = Cdp::open(&format!("{ws}?token=token-of-stays"))?;
    let mut root = Cdp::open(&format!("{ws}?token={ROOT}"))?;
    write(&path, &tokens(&[stays]))?;
    let end = withdrawn.wait_end(LIMIT)?;
    must!(end == Ended::Close(1008, "access revoked".into()), "it saw {end:?}");
    let ended = |event: &Value| event["type"] == "cdp_disconnect";
    let end = events.wait_for("its end", LIMIT, ended)?;
    let words = (&end["data"]["reason"], &end["data"]["detail"]);
    must!(words == (&json!("context_cancelled"), &json!("auth_revoked")), "{end}");
    for cdp in [&mut kept, &mut root] {
        cdp.command("Browser.getVersion", &json!({}))?;
    }
    must!(events.of("cdp_disconnect").len() == 1, "{:?}", events.of("cdp_disconnect"));
    Ok(())
}
