//! Bad input is answered with what was wrong and what to do.

use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use serde_json::{Value, json};

crate::facts! {
    bad_input_is_refused_with_its_field_and_remedy,
    the_json_routes_answer_both_spellings_and_hide_the_browser,
    health_readiness_and_metrics_answer,
    a_full_view_shows_what_a_sandbox_uses_how_its_browsers_ended_and_what_they_said,
}

fn a_full_view_shows_what_a_sandbox_uses_how_its_browsers_ended_and_what_they_said() -> Outcome {
    let mut daemon = daemon().start()?;
    daemon.create(&json!({ "id": "seen" }))?;
    let basic = daemon.call("GET", "/v1/sandboxes/seen", None)?;
    must!(basic.body.get("details").is_none(), "{}", basic.body);
    let wrong = daemon.call("GET", "/v1/sandboxes/seen?view=fully", None)?;
    must!(wrong.status == 400 && wrong.body.to_string().contains("basic, full"), "{}", wrong.body);
    let full = "/v1/sandboxes/seen?view=full";
    let seen = daemon.call("GET", full, None)?.body["details"].clone();
    let usage = |name: &str| seen["usage"][name].as_u64().unwrap_or_default();
    must!(usage("memory_bytes") > 10 << 20 && usage("processes") > 1, "{seen}");
    must!(usage("profile_bytes") > 0 && usage("cpu_ms") > 0, "{seen}");
    let log = seen["log_tail"].as_str().unwrap_or_default();
    must!(log.contains("DevTools listening on ws://127.0.0.1:"), "{seen}");
    must!(seen["ended_browsers"] == json!([]), "{seen}");

    let events = daemon.events()?;
    let started = events.wait_count("browser_started", 1, Duration::from_secs(5))?;
    let pid = started[0]["data"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    let pid = nix::unistd::Pid::from_raw(pid.ok_or("no pid")?);
    daemon.remember();
    nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).map_err(|e| e.to_string())?;
    events.wait_count("browser_started", 2, Duration::from_secs(20))?;
    let seen = daemon.call("GET", full, None)?.body["details"].clone();
    let ended = &seen["ended_browsers"][0];
    must!(ended["generation"] == 1 && ended["expected"] == false, "{seen}");
    must!(ended["cause"] == "killed: signal 9", "{seen}");

    daemon.call("DELETE", "/v1/sandboxes/seen", None)?;
    let seen = daemon.call("GET", full, None)?.body["details"].clone();
    must!(seen["usage"].is_null() && seen["ended_browsers"][1]["expected"] == true, "{seen}");
    Ok(())
}

/// Method, path, body, expected status, words that the answer must hold.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, u16, &'a [&'a str]);

fn bad_input_is_refused_with_its_field_and_remedy() -> Outcome {
    let mut daemon = daemon().start()?;
    daemon.create(&json!({ "id": "taken" }))?;
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(2 << 20));
    let create = "/v1/sandboxes";
    let cases: &[Case<'_>] = &[
        ("GET", "/v1/sandboxes/nobody", None, 404, &["nobody"]),
        ("DELETE", "/v1/sandboxes/nobody", None, 404, &["nobody"]),
        ("GET", "/sandboxes/nobody/json/version", None, 404, &["no such sandbox"]),
        ("POST", create, Some("{"), 400, &["JSON"]),
        ("POST", create, Some(r#"{"ttl":"soon"}"#), 400, &["ttl", "15m"]),
        ("POST", create, Some(r#"{"ttl":-1}"#), 400, &["ttl"]),
        ("POST", create, Some(r#"{"id":"Not_A_Label"}"#), 400, &["id"]),
        ("POST", create, Some(r#"{"flavor":"chromium"}"#), 400, &["flavor", "flavour"]),
        (
            "POST",
            create,
            Some(r#"{"flavour":"netscape"}"#),
            400,
            &["netscape", "chromium", "headless-shell"],
        ),
        ("POST", create, Some(r#"{"template":"nope"}"#), 404, &["nope", "default"]),
        ("POST", create, Some(r#"{"id":"taken"}"#), 409, &["taken"]),
        ("POST", create, Some(&long), 413, &[]),
        ("PUT", create, Some("{}"), 405, &[]),
        ("GET", "/connect", None, 426, &[]),
        ("GET", "/sandboxes/taken/devtools/browser/taken", None, 426, &[]),
        ("GET", "/sandboxes/taken/json/new", None, 405, &[]),
        ("GET", "/nowhere", None, 404, &[]),
    ];
    for (method, path, body, status, words) in cases {
        let answer =
            daemon.call_with(method, path, &[("content-type", "application/json")], *body)?;
        let text = answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned);
        let what = format!("{method} {path} was answered {} {text}", answer.status);
        must!(answer.status == *status, "{what}, not {status}");
        must!(!text.is_empty(), "{what}: no text");
        for word in *words {
            must!(text.contains(word), "{what}: {word:?} is missing");
        }
    }
    daemon.remember();
    Ok(())
}

fn the_json_routes_answer_both_spellings_and_hide_the_browser() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "routes" }))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    for path in ["/json/version", "/json/version/", "/json/version?x=1"] {
        let answer = daemon.call("GET", &format!("/sandboxes/routes{path}"), None)?;
        must!(answer.status == 200, "{path} was answered {}", answer.status);
        must!(answer.body["webSocketDebuggerUrl"] == ws, "{path}: {}", answer.body);
        must!(answer.body["Browser"].is_string(), "{path}: {}", answer.body);
    }
    let opened = daemon.call("PUT", "/sandboxes/routes/json/new?about:blank", None)?;
    must!(opened.status == 200, "json/new was answered {}", opened.status);
    let page = opened.body["webSocketDebuggerUrl"].as_str().unwrap_or_default();
    let target = opened.body["id"].as_str().unwrap_or_default();
    let start = format!("{}/sandboxes/routes/devtools/page/", daemon.ws_base());
    must!(page == format!("{start}{target}"), "the page's address is {page}");
    for path in ["/json", "/json/", "/json/list", "/json/list/"] {
        let answer = daemon.call("GET", &format!("/sandboxes/routes{path}"), None)?;
        let listed = answer.body.as_array().cloned().unwrap_or_default();
        must!(listed.iter().any(|t| t["id"] == target), "{path}: {}", answer.body);
        must!(!has_port_of_the_browser(&answer.body, daemon.base()), "{path}: {}", answer.body);
    }
    let mut cdp = Cdp::open(page)?;
    let title = cdp.command("Runtime.evaluate", &json!({ "expression": "location.href" }))?;
    must!(title["result"]["value"] == "about:blank", "the page says {title}");
    let closed = daemon.call("GET", &format!("/sandboxes/routes/json/close/{target}"), None)?;
    must!(closed.status == 200, "json/close was answered {}", closed.status);
    let end = cdp.wait_end(Duration::from_secs(5))?;
    must!(
        end == lockkeeper_tests::Ended::Close(1000, "target closed".into()),
        "the page's client saw {end:?}"
    );
    daemon.remember();
    Ok(())
}

/// Whether any address in `value` is on loopback but not the daemon's own.
fn has_port_of_the_browser(value: &Value, base: &str) -> bool {
    let own = base.trim_start_matches("http://");
    value.to_string().split("127.0.0.1:").skip(1).any(|rest| {
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        !own.ends_with(&format!(":{port}"))
    })
}

fn health_readiness_and_metrics_answer() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    for path in ["/healthz", "/readyz"] {
        let answer = daemon.call("GET", path, None)?;
        must!(answer.status == 200, "{path} was answered {} {}", answer.status, answer.body);
    }
    let metrics = daemon.call("GET", "/metrics", None)?;
    let text = metrics.body.as_str().unwrap_or_default();
    for line in ["lockkeeper_cdp_sessions 1", "lockkeeper_sandboxes{state=\"running\"} 1"] {
        must!(text.lines().any(|l| l == line), "{line:?} is missing in:\n{text}");
    }
    daemon.remember();
    Ok(())
}
