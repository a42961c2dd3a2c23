//! Unmodified clients against one URL.

use std::time::Duration;

use lockkeeper_tests::{Outcome, daemon, must, node, rust_client};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::{Client, Daemon};

crate::facts! {
    playwright_drives_a_sandbox_over_http_and_ws,
    puppeteer_24_and_25_drive_a_sandbox_over_ws,
    a_rust_client_finds_the_browser_by_either_address_and_drives_it,
    each_client_connects_again_to_the_same_url_after_a_crash,
    a_message_of_twenty_mebibytes_passes,
    quick_connect_makes_a_sandbox_for_the_life_of_the_socket,
}

const CLIENT: Duration = Duration::from_secs(60);

/// A client by its script, or the one in Rust.
fn client(script: &str, arguments: &[&str]) -> Result<Client, String> {
    match script {
        "rust" => rust_client(arguments),
        script => node(script, arguments),
    }
}

fn finish(mut daemon: Daemon) -> Outcome {
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(Duration::from_secs(20))?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn playwright_drives_a_sandbox_over_http_and_ws() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "clients" }))?;
    let http = sandbox["cdp_url"].as_str().unwrap_or_default().to_owned();
    let ws = sandbox["ws_url"].as_str().unwrap_or_default().to_owned();
    must!(http == format!("{}/sandboxes/clients", daemon.base()), "cdp_url is {http}");
    must!(
        ws == format!("{}/sandboxes/clients/devtools/browser/clients", daemon.ws_base()),
        "ws_url is {ws}"
    );
    let bare = format!("{}/sandboxes/clients", daemon.ws_base());
    for endpoint in [http, ws, bare] {
        let shot = daemon.state().path().join("shot.png");
        let lines = node("playwright.mjs", &["drive", &endpoint, &shot.to_string_lossy()])?
            .finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "{endpoint}: {lines:?}");
    }
    let events = daemon.events()?;
    let ends = events.wait_count("cdp_disconnect", 3, Duration::from_secs(5))?;
    must!(ends.iter().all(|e| e["data"]["reason"] == "client_close"), "{ends:?}");
    daemon.call("DELETE", "/v1/sandboxes/clients", None)?;
    finish(daemon)
}

fn puppeteer_24_and_25_drive_a_sandbox_over_ws() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "flavour": "chromium" }))?;
    let ws = sandbox["ws_url"].as_str().unwrap_or_default().to_owned();
    for major in ["24", "25"] {
        let lines = node("puppeteer.mjs", &[major, "ws", &ws])?.finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "puppeteer {major}: {lines:?}");
    }
    let id = sandbox["id"].as_str().unwrap_or_default();
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    finish(daemon)
}

fn a_rust_client_finds_the_browser_by_either_address_and_drives_it() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "rust" }))?;
    for endpoint in ["cdp_url", "ws_url"] {
        let endpoint = sandbox[endpoint].as_str().unwrap_or_default();
        let lines = rust_client(&["drive", endpoint])?.finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "{endpoint}: {lines:?}");
    }
    let events = daemon.events()?;
    let ends = events.wait_count("cdp_disconnect", 2, Duration::from_secs(5))?;
    // Its process ends without a close frame.
    must!(ends.iter().all(|e| e["data"]["detail"] == "client_vanished"), "{ends:?}");
    daemon.call("DELETE", "/v1/sandboxes/rust", None)?;
    finish(daemon)
}

fn each_client_connects_again_to_the_same_url_after_a_crash() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({ "id": "crashing", "flavour": "chromium" }))?;
    let http = sandbox["cdp_url"].as_str().unwrap_or_default().to_owned();
    let ws = sandbox["ws_url"].as_str().unwrap_or_default().to_owned();
    let events = daemon.events()?;
    let clients: [(&str, &[&str]); 4] = [
        ("playwright.mjs", &["drive", &http]),
        ("puppeteer.mjs", &["24", "ws", &ws]),
        ("puppeteer.mjs", &["25", "ws", &ws]),
        ("rust", &["drive", &http]),
    ];
    for (crashes, (script, arguments)) in clients.into_iter().enumerate() {
        let drive = || -> Outcome {
            let lines = client(script, arguments)?.finish(CLIENT)?;
            must!(lines.iter().any(|l| l["step"] == "screenshot"), "{arguments:?}: {lines:?}");
            Ok(())
        };
        drive()?;
        let started = events.wait_count("browser_started", crashes + 1, CLIENT)?;
        let pid = started[crashes]["data"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| format!("no pid in {}", started[crashes]))?;
        daemon.remember();
        let killed = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        killed.map_err(|e| e.to_string())?;
        events.wait_count("browser_exited", crashes + 1, CLIENT)?;
        drive()?;
    }
    let connects = events.of("cdp_connect");
    let generations: Vec<_> = connects.iter().map(|e| e["data"]["generation"].clone()).collect();
    must!(generations == [1, 2, 2, 3, 3, 4, 4, 5], "they came to {generations:?}");
    daemon.call("DELETE", "/v1/sandboxes/crashing", None)?;
    finish(daemon)
}

fn a_message_of_twenty_mebibytes_passes() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let http = sandbox["cdp_url"].as_str().unwrap_or_default();
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let events = daemon.events()?;
    let clients: [(&str, &[&str]); 4] = [
        ("playwright.mjs", &["large", http]),
        ("puppeteer.mjs", &["24", "large", ws]),
        ("puppeteer.mjs", &["25", "large", ws]),
        ("rust", &["large", http]),
    ];
    for (done, (script, arguments)) in clients.into_iter().enumerate() {
        let lines = client(script, arguments)?.finish(CLIENT)?;
        let wire = lines.iter().find_map(|l| l["wire"].as_u64()).unwrap_or(0);
        must!(wire >= 20 << 20, "only {wire} bytes went over the wire: {lines:?}");
        let ends = events.wait_count("cdp_disconnect", done + 1, Duration::from_secs(5))?;
        let bytes = ends[done]["data"]["bytes_to_client"].as_u64().unwrap_or(0);
        must!(bytes >= wire, "only {bytes} bytes were counted, {wire} were sent: {ends:?}");
    }
    let id = sandbox["id"].as_str().unwrap_or_default();
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    finish(daemon)
}

fn quick_connect_makes_a_sandbox_for_the_life_of_the_socket() -> Outcome {
    let daemon = daemon().start()?;
    let endpoint = format!("{}/connect", daemon.ws_base());
    let shot = daemon.state().path().join("shot.png");
    node("playwright.mjs", &["drive", &endpoint, &shot.to_string_lossy()])?.finish(CLIENT)?;
    let events = daemon.events()?;
    let stopped = events
        .wait_for("sandbox_stopped", Duration::from_secs(8), |e| e["type"] == "sandbox_stopped")?;
    must!(stopped["data"]["stop_reason"] == "request", "{stopped}");
    must!(stopped["data"]["stop_detail"] == "quick_connect", "{stopped}");
    let ends = events.of("cdp_disconnect");
    must!(ends.len() == 1 && ends[0]["data"]["reason"] == "client_close", "{ends:?}");
    let list = daemon.call("GET", "/v1/sandboxes", None)?;
    must!(list.body["sandboxes"] == json!([]), "still listed: {}", list.body);
    finish(daemon)
}
