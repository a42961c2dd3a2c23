//! Other ways to name a sandbox than a path: a port of its own, a subdomain.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, Outcome, daemon, must, node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::daemon::Daemon;

crate::facts! {
    puppeteer_24_and_25_and_playwright_drive_a_sandbox_at_its_own_port,
    playwright_and_puppeteer_drive_a_sandbox_at_its_subdomain,
    a_port_outlives_its_browser_and_ends_with_its_sandbox,
    answers_at_a_port_show_that_port,
    a_taken_port_is_passed_over_and_none_is_no_reason_to_refuse,
    a_port_has_the_checks_of_every_address,
    the_key_of_a_subdomain_is_the_token,
    a_range_that_is_none_is_refused_at_start,
}

const CLIENT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(8);

/// The first of `count` ports in a row that nobody has now. Processes start to look at different
/// places, below the ports that the system gives out by itself.
fn free_ports(count: u16) -> Result<u16, String> {
    let from = 10_000 + (std::process::id() % 1_000) as u16 * 16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (from..30_000)
        .step_by(16)
        .find(|first| (*first..first + count).all(|port| free(&port)))
        .ok_or_else(|| format!("no {count} ports in a row are free above {from}"))
}

fn range(first: u16, count: u16) -> String {
    format!("{first}-{}", first + count - 1)
}

/// One GET at an authority; the Host header may say something else.
fn get(authority: &str, host: &str, path: &str, more: &str) -> Result<(u16, Value), String> {
    let failed = |e: std::io::Error| format!("GET {authority}{path}: {e}");
    let mut stream = TcpStream::connect(authority).map_err(failed)?;
    stream.set_read_timeout(Some(SOON)).map_err(failed)?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Ok((status, serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))))
}

/// The authority of a sandbox's own port.
fn own_port(sandbox: &Value) -> Result<String, String> {
    let url = sandbox["port_url"].as_str().ok_or(format!("no port in {sandbox}"))?;
    let authority = url.strip_prefix("http://").ok_or(format!("the port is {url}"))?;
    Ok(authority.to_owned())
}

/// Waits until nobody listens there any more.
fn wait_refused(authority: &str) -> Outcome {
    let until = Instant::now() + SOON;
    while TcpStream::connect(authority).is_ok() {
        must!(Instant::now() < until, "{authority} still accepts");
        std::thread::yield_now();
    }
    Ok(())
}

fn delete(daemon: &Daemon, id: &str) -> Result<Value, String> {
    let answer = daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    must_be(answer.status, 200, "DELETE")?;
    Ok(answer.body)
}

fn must_be(status: u16, expected: u16, what: &str) -> Outcome {
    must!(status == expected, "{what} was answered {status}, not {expected}");
    Ok(())
}

fn finish(mut daemon: Daemon) -> Outcome {
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(Duration::from_secs(20))?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn puppeteer_24_and_25_and_playwright_drive_a_sandbox_at_its_own_port() -> Outcome {
    let first = free_ports(4)?;
    let mut daemon = daemon().env("LOCKKEEPER_SANDBOX_PORTS", range(first, 4)).start()?;
    let sandbox = daemon.create(&json!({ "id": "ported" }))?;
    let url = format!("http://127.0.0.1:{first}");
    must!(sandbox["port_url"] == url.as_str(), "the first port is {first}: {sandbox}");
    for major in ["24", "25"] {
        let lines = node("puppeteer.mjs", &[major, "http", &url])?.finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "puppeteer {major}: {lines:?}");
    }
    let shot = daemon.state().path().join("shot.png");
    let lines =
        node("playwright.mjs", &["drive", &url, &shot.to_string_lossy()])?.finish(CLIENT)?;
    must!(lines.iter().any(|l| l["step"] == "screenshot"), "playwright: {lines:?}");
    let ends = daemon.events()?.wait_count("cdp_disconnect", 3, SOON)?;
    must!(ends.iter().all(|e| e["data"]["reason"] == "client_close"), "{ends:?}");
    let connects = daemon.events()?.wait_count("cdp_connect", 3, SOON)?;
    must!(connects.iter().all(|e| e["data"]["addressing"] == "port"), "{connects:?}");
    // The sandbox still lives: its port has to end with the node.
    finish(daemon)?;
    wait_refused(&format!("127.0.0.1:{first}"))
}

fn playwright_and_puppeteer_drive_a_sandbox_at_its_subdomain() -> Outcome {
    let mut daemon = daemon().env("LOCKKEEPER_SUBDOMAINS_OF", "localhost").start()?;
    daemon.create(&json!({ "id": "named" }))?;
    let port = daemon.base().rsplit(':').next().unwrap_or_default().to_owned();
    let url = format!("http://named.localhost:{port}");
    let shot = daemon.state().path().join("shot.png");
    let shot = shot.to_string_lossy();
    let scripts: [&[&str]; 3] = [
        &["playwright.mjs", "drive", &url, &shot],
        &["puppeteer.mjs", "24", "http", &url],
        &["puppeteer.mjs", "25", "http", &url],
    ];
    for script in scripts {
        let args = [&["./names.mjs"], script].concat();
        let lines = node("--import", &args)?.finish(CLIENT)?;
        must!(lines.iter().any(|l| l["step"] == "screenshot"), "{script:?}: {lines:?}");
    }
    let connects = daemon.events()?.wait_count("cdp_connect", 3, SOON)?;
    must!(connects.iter().all(|e| e["data"]["addressing"] == "subdomain"), "{connects:?}");
    // The parent itself is the node's, and a name that no sandbox has is not found.
    let node = format!("127.0.0.1:{port}");
    let (status, body) = get(&node, &format!("localhost:{port}"), "/v1/sandboxes/named", "")?;
    must!(status == 200 && body["id"] == "named", "the node answered {status} {body}");
    let (status, _) = get(&node, &format!("nobody.localhost:{port}"), "/json/version", "")?;
    must_be(status, 404, "an unknown subdomain")?;
    delete(&daemon, "named")?;
    finish(daemon)
}

fn a_port_outlives_its_browser_and_ends_with_its_sandbox() -> Outcome {
    let first = free_ports(4)?;
    let mut daemon = daemon().env("LOCKKEEPER_SANDBOX_PORTS", range(first, 4)).start()?;
    let sandbox = daemon.create(&json!({ "id": "first" }))?;
    let other = own_port(&daemon.create(&json!({ "id": "other" }))?)?;
    let port = own_port(&sandbox)?;
    must!(other == format!("127.0.0.1:{}", first + 1), "the second has {other}");
    let events = daemon.events()?;
    let mut cdp = Cdp::open(&format!("ws://{port}/"))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    let started = events.wait_for("the start", SOON, |e| {
        e["type"] == "browser_started" && e["sandbox"] == "first"
    })?;
    let pid = started["data"]["pid"].as_i64().ok_or(format!("no pid in {started}"))?;
    daemon.remember();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).map_err(|e| e.to_string())?;
    let end = cdp.wait_end(SOON)?;
    must!(matches!(end, Ended::Close(1012, _)), "the client saw {end:?}");
    let mut again = Cdp::open(&format!("ws://{port}/devtools/browser/first"))?;
    again.command("Browser.getVersion", &json!({}))?;
    let view = daemon.call("GET", "/v1/sandboxes/first", None)?.body;
    must!(own_port(&view)? == port, "another port after the restart: {view}");
    must!(view["browser"]["generation"] == 2, "no restart: {view}");

    let deleted = delete(&daemon, "first")?;
    must!(deleted.get("port_url").is_none(), "an ended sandbox has a port: {deleted}");
    let end = again.wait_end(SOON)?;
    must!(end == Ended::Close(1001, "sandbox deleted".into()), "the client saw {end:?}");
    wait_refused(&port)?;
    let mut still = Cdp::open(&format!("ws://{other}/"))?;
    still.command("Browser.getVersion", &json!({}))?;
    // The port is free again a moment after it was closed.
    let until = Instant::now() + SOON;
    for turn in 0.. {
        let id = format!("next-{turn}");
        let next = own_port(&daemon.create(&json!({ "id": id }))?)?;
        delete(&daemon, &id)?;
        if next == port {
            break;
        }
        must!(Instant::now() < until, "the lowest port is not used again, but {next}");
    }
    delete(&daemon, "other")?;
    finish(daemon)
}

fn answers_at_a_port_show_that_port() -> Outcome {
    let first = free_ports(1)?;
    let mut daemon = daemon().env("LOCKKEEPER_SANDBOX_PORTS", first.to_string()).start()?;
    let port = own_port(&daemon.create(&json!({ "id": "shown" }))?)?;
    for path in ["/json/version", "/json/version/", "/json/version?x=1"] {
        for host in [port.clone(), format!("localhost:{first}")] {
            let (status, body) = get(&port, &host, path, "")?;
            must_be(status, 200, path)?;
            let url = format!("ws://{host}/devtools/browser/shown");
            must!(body["webSocketDebuggerUrl"] == url.as_str(), "{path} of {host}: {body}");
        }
    }
    // As chromedp goes: by the number of the address, and to the socket that the answer names.
    let (_, version) = get(&port, &port, "/json/version", "")?;
    let mut browser = Cdp::open(version["webSocketDebuggerUrl"].as_str().unwrap_or_default())?;
    browser.command("Target.createTarget", &json!({ "url": "about:blank" }))?;
    let (status, listed) = get(&port, &port, "/json/list", "")?;
    must_be(status, 200, "/json/list")?;
    let pages = listed.as_array().cloned().unwrap_or_default();
    let own = format!("ws://{port}/devtools/page/");
    let urls: Vec<&str> = pages.iter().filter_map(|p| p["webSocketDebuggerUrl"].as_str()).collect();
    must!(!urls.is_empty() && urls.iter().all(|url| url.starts_with(&own)), "{listed}");
    let mut page = Cdp::open(urls[0])?;
    let href = page.command("Runtime.evaluate", &json!({ "expression": "location.href" }))?;
    must!(href["result"]["value"] == "about:blank", "the page says {href}");
    // The node's own routes are not here: every path is this sandbox's.
    for path in ["/v1/sandboxes", "/sandboxes/shown/json/version", "/connect", "/metrics"] {
        let (status, body) = get(&port, &port, path, "")?;
        must!([404, 426].contains(&status), "{path} was answered {status} {body}");
    }
    delete(&daemon, "shown")?;
    finish(daemon)
}

fn a_taken_port_is_passed_over_and_none_is_no_reason_to_refuse() -> Outcome {
    let first = free_ports(2)?;
    let taken = TcpListener::bind(("127.0.0.1", first)).map_err(|e| e.to_string())?;
    let mut daemon = daemon()
        .env("LOCKKEEPER_SANDBOX_PORTS", range(first, 2))
        .env("LOCKKEEPER_MAX_SANDBOXES", "3")
        .start()?;
    must!(daemon.log().contains("SANDBOX_PORTS has 2 ports"), "no warning:\n{}", daemon.log());
    let with = daemon.create(&json!({ "id": "with" }))?;
    must!(own_port(&with)? == format!("127.0.0.1:{}", first + 1), "{with}");
    let without = daemon.create(&json!({ "id": "without" }))?;
    must!(without.get("port_url").is_none(), "there was no port to give: {without}");
    let mut cdp = Cdp::open(without["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    drop(taken);
    // What an answer has said of a sandbox stays true for its life; the next one gets the port.
    let view = daemon.call("GET", "/v1/sandboxes/without", None)?.body;
    must!(view.get("port_url").is_none(), "a port came later: {view}");
    let next = daemon.create(&json!({ "id": "next" }))?;
    must!(own_port(&next)? == format!("127.0.0.1:{first}"), "{next}");
    finish(daemon)
}

fn a_port_has_the_checks_of_every_address() -> Outcome {
    let first = free_ports(1)?;
    let token = "correct-horse-battery-staple";
    let mut daemon = daemon()
        .env("LOCKKEEPER_SANDBOX_PORTS", first.to_string())
        .env("LOCKKEEPER_TOKEN", token)
        .start()?;
    let port = own_port(&daemon.create(&json!({ "id": "guarded" }))?)?;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let cases: [(&str, &str, u16); 6] = [
        (&port, "", 401),
        (&port, "authorization: Bearer wrong\r\n", 401),
        (&port, &bearer, 200),
        ("evil.example", &bearer, 403),
        ("guarded.localhost", &bearer, 403),
        (&port, &format!("origin: {}\r\n{bearer}", daemon.base()), 403),
    ];
    for (host, headers, expected) in cases {
        let (status, _) = get(&port, host, "/json/version", headers)?;
        let headers = headers.replace(token, "...");
        must_be(status, expected, &format!("host {host} with {headers:?}"))?;
    }
    let refused = Cdp::open_with(&format!("ws://{port}/"), &[]).err().map(|r| r.status());
    must!(refused == Some(401), "a socket without the token was answered {refused:?}");
    let mut cdp = Cdp::open(&format!("ws://{port}/?token={token}"))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    Ok(())
}

fn the_key_of_a_subdomain_is_the_token() -> Outcome {
    let token = "k7m2q9x4w8r3t6y1p5n0b2v8c4";
    let mut daemon = daemon()
        .env("LOCKKEEPER_SUBDOMAINS_OF", "localhost")
        .env("LOCKKEEPER_TOKEN", token)
        .env("LOCKKEEPER_LOG", "trace")
        .start()?;
    daemon.create(&json!({ "id": "keyed" }))?;
    let node = daemon.base().trim_start_matches("http://").to_owned();
    let cases = [
        ("keyed.localhost".to_owned(), 401),
        ("keyed--wrong.localhost".to_owned(), 401),
        (format!("nobody--{token}.localhost"), 404),
        (format!("keyed--{token}.localhost"), 200),
        (format!("keyed--{token}.localhost.evil.example"), 403),
    ];
    for (host, expected) in &cases {
        let (status, _) = get(&node, host, "/json/version", "")?;
        must_be(status, *expected, &host.replace(token, "..."))?;
    }
    let host = format!("keyed--{token}.localhost");
    let (_, body) = get(&node, &host, "/json/version", "")?;
    let url = format!("ws://{host}/devtools/browser/keyed");
    must!(body["webSocketDebuggerUrl"] == url.as_str(), "the socket is at {body}");
    let events = daemon.events()?;
    let mut cdp = Cdp::open_with(&format!("ws://{node}/"), &[("host", &host)])
        .map_err(|refused| format!("{} {}", refused.status(), refused.text()))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    cdp.close(1000)?;
    events.wait_for("the disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
    let told: String = events.all().iter().map(ToString::to_string).collect();
    must!(!told.contains(token), "the token is in an event");
    must!(!daemon.log().contains(token), "the token is in the log");
    Ok(())
}

fn a_range_that_is_none_is_refused_at_start() -> Outcome {
    let cases = [
        ("LOCKKEEPER_SANDBOX_PORTS", "7499-7400", "7499-7400"),
        ("LOCKKEEPER_SANDBOX_PORTS", "many", "7400-7499"),
        ("LOCKKEEPER_SUBDOMAINS_OF", "127.0.0.1", "localhost"),
    ];
    for (name, value, word) in cases {
        let (status, log) = daemon().env(name, value).run_to_end(Duration::from_secs(10))?;
        must!(status.code() == Some(64), "{name}={value} ended with {status}:\n{log}");
        must!(log.contains(word), "{name}={value}: {word:?} is missing in:\n{log}");
    }
    Ok(())
}
