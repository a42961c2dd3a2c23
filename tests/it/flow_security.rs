//! What an attacker would try: from a web page, from a sandbox, with crooked requests, by holding on.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use serde_json::{Value, json};
use testkit::census::Census;
use testkit::daemon::Daemon;

crate::facts! {
    a_page_in_a_sandbox_reaches_neither_the_api_nor_another_browser,
    crooked_paths_and_ids_are_refused_and_change_nothing,
    slow_senders_are_cut_off,
    ten_thousand_connections_stop_at_the_limit_and_leave_nothing,
    what_a_sandbox_is_given_is_in_no_log_and_no_event,
    the_browsers_own_sandbox_goes_only_where_the_node_allows_it,
}

const PATIENCE: Duration = Duration::from_secs(30);

/// One raw request, and everything that comes back until the other side closes.
fn raw(daemon: &Daemon, request: &str) -> Result<String, String> {
    let mut stream = connect(daemon)?;
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // What was not read of a refused request makes the end a reset.
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => return Err(format!("no end to the answer: {e}")),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect(daemon: &Daemon) -> Result<TcpStream, String> {
    let authority = daemon.base().trim_start_matches("http://");
    let stream = TcpStream::connect(authority).map_err(|e| format!("connect: {e}"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    Ok(stream)
}

/// A new page of a sandbox, driven over its own socket.
fn page(sandbox: &Value) -> Result<Cdp, String> {
    let ws = sandbox["ws_url"].as_str().unwrap_or_default();
    let mut browser = Cdp::open(ws)?;
    let made = browser.command("Target.createTarget", &json!({ "url": "data:text/html,x" }))?;
    let target = made["targetId"].as_str().unwrap_or_default();
    let (base, _) = ws.split_once("/devtools/").ok_or(format!("{ws} has no DevTools path"))?;
    Cdp::open(&format!("{base}/devtools/page/{target}"))
}

fn evaluate(page: &mut Cdp, script: &str) -> Result<Value, String> {
    let script = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
    let answer = page.command("Runtime.evaluate", &script)?;
    Ok(answer["result"]["value"].clone())
}

fn a_page_in_a_sandbox_reaches_neither_the_api_nor_another_browser() -> Outcome {
    let mut daemon = daemon().start()?;
    let attacker = daemon.create(&json!({ "id": "attacker" }))?;
    let victim = daemon.create(&json!({ "id": "victim" }))?;
    let mut page = page(&attacker)?;
    let api = daemon.base().to_owned();
    let victim_ws = victim["ws_url"].as_str().unwrap_or_default().to_owned();

    // What a page may send without being asked, and what it would have to ask for first.
    for (method, path, mode) in [
        ("GET", "/v1/sandboxes", "cors"),
        ("GET", "/v1/telemetry/events", "cors"),
        ("GET", "/sandboxes/victim/json/version", "cors"),
        ("POST", "/v1/node/drain", "no-cors"),
        ("POST", "/v1/sandboxes", "no-cors"),
        ("DELETE", "/v1/sandboxes/victim", "cors"),
        ("PUT", "/sandboxes/victim/json/new?about:blank", "cors"),
    ] {
        let script = format!(
            "fetch('{api}{path}', {{method: '{method}', mode: '{mode}'}})
                .then(a => a.type + ' ' + a.status, e => 'refused')"
        );
        let seen = evaluate(&mut page, &script)?;
        must!(
            seen == "refused" || seen == "opaque 0",
            "{method} {path} was answered {seen} to a page"
        );
    }
    let socket = |url: &str| {
        format!(
            "new Promise(done => {{ const s = new WebSocket('{url}');
                s.onopen = () => done('open'); s.onerror = () => done('refused'); }})"
        )
    };
    let seen = evaluate(&mut page, &socket(&victim_ws))?;
    must!(seen == "refused", "a page's socket to another sandbox was {seen}");
    let seen = evaluate(&mut page, &socket(&format!("{}/connect", daemon.ws_base())))?;
    must!(seen == "refused", "a page's quick connect was {seen}");

    // Past the daemon: the other browser's own port, which is open on loopback.
    let port = own_port(&daemon, &victim)?;
    let script = format!(
        "fetch('http://127.0.0.1:{port}/json/version').then(a => a.text(), e => 'refused')"
    );
    let seen = evaluate(&mut page, &script)?;
    must!(seen == "refused", "a page read another browser's address: {seen}");
    let seen = evaluate(&mut page, &socket(&format!("ws://127.0.0.1:{port}/devtools/browser/x")))?;
    must!(seen == "refused", "a page's socket to another browser was {seen}");

    let list = daemon.call("GET", "/v1/sandboxes", None)?;
    let running = list.body["sandboxes"].as_array().map_or(0, Vec::len);
    must!(running == 2, "a page changed what is there: {}", list.body);
    let node = daemon.call("GET", "/v1/node", None)?;
    must!(node.body["status"] == "healthy", "a page drained the node: {}", node.body);
    let mut cdp = Cdp::open(&victim_ws)?;
    let targets = cdp.command("Target.getTargets", &json!({}))?;
    let pages = targets["targetInfos"].as_array().map_or(0, Vec::len);
    must!(pages <= 1, "a page opened pages in another sandbox: {targets}");
    Ok(())
}

/// The DevTools port of a sandbox's browser, from the file that Chromium leaves in its profile.
fn own_port(daemon: &Daemon, sandbox: &Value) -> Result<u16, String> {
    let lifecycle = sandbox["lifecycle_id"].as_str().unwrap_or_default();
    let folder = daemon.state().path().join("sandboxes");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().contains(lifecycle) {
            let file = entry.path().join("profile/DevToolsActivePort");
            let text = std::fs::read_to_string(&file).map_err(|e| format!("{e}"))?;
            let port = text.lines().next().and_then(|line| line.parse().ok());
            return port.ok_or_else(|| format!("no port in {text:?}"));
        }
    }
    Err(format!("no folder of {lifecycle} in {}", folder.display()))
}

fn crooked_paths_and_ids_are_refused_and_change_nothing() -> Outcome {
    let mut daemon = daemon().start()?;
    daemon.create(&json!({ "id": "straight" }))?;
    let host = daemon.base().trim_start_matches("http://").to_owned();
    for target in [
        "/sandboxes/../v1/node",
        "/sandboxes/%2e%2e/json/version",
        "/sandboxes/straight%2f..%2f..%2fv1/json/version",
        "/sandboxes/straight/../../v1/node",
        "/v1/sandboxes/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/sandboxes/%00",
        "/v1/sandboxes/a%0d%0aset-cookie:%20x=1",
        "/devtools/browser/..%2fstraight",
        "/sandboxes/straight/devtools/page/..%2f..%2fjson%2fnew",
        "//sandboxes/straight/json/version",
        "/sandboxes//json/version",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(&daemon, &request)?;
        let status = answer.get(9..12).unwrap_or_default();
        // 426: a DevTools address that wants an upgrade; nothing was looked up.
        must!(
            ["400", "404", "405", "426"].contains(&status),
            "GET {target} was answered: {answer}"
        );
        let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        must!(!head.contains("set-cookie"), "GET {target} put a header in: {answer}");
        must!(!answer.contains("root:"), "GET {target} read a file: {answer}");
    }
    for id in ["../../x", "a\r\nx: y", "a/b", "a%2fb", "", ".", "..", "A", "a--b", "é"] {
        let answer = daemon.call("POST", "/v1/sandboxes", Some(&json!({ "id": id })))?;
        must!(
            answer.status == 400,
            "create {id:?} was answered {}: {}",
            answer.status,
            answer.body
        );
    }
    // Two lengths, two hosts, an unknown coding: what two readers would read in two ways.
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Host: evil.example\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let request = format!(
            "POST /v1/sandboxes HTTP/1.1\r\nHost: {host}\r\n{head}Connection: close\r\n\r\n0\r\n\r\n"
        );
        let answer = raw(&daemon, &request)?;
        let status = answer.get(9..12).unwrap_or_default();
        must!(["400", "403", "411", "501"].contains(&status), "{head:?} was answered: {answer}");
    }
    let list = daemon.call("GET", "/v1/sandboxes", None)?;
    must!(list.body["sandboxes"].as_array().map(Vec::len) == Some(1), "{}", list.body);
    Ok(())
}

fn slow_senders_are_cut_off() -> Outcome {
    let daemon = daemon().env("LOCKKEEPER_HEADER_TIMEOUT", "400ms").start()?;
    let before = Census::of(daemon.pid());
    let mut stream = connect(&daemon)?;
    let began = Instant::now();
    let mut open = true;
    while open && began.elapsed() < PATIENCE {
        open = stream.write_all(b"G").is_ok();
        std::thread::sleep(Duration::from_millis(50));
    }
    must!(!open, "a head that never ends was read for {PATIENCE:?}");
    let mut answer = String::new();
    // The answer may have been lost to the reset that our late bytes made.
    let _ = stream.read_to_string(&mut answer);
    must!(answer.is_empty() || answer.contains(" 408 "), "it was answered: {answer}");
    // A body has three times the time of a head.
    let mut stream = connect(&daemon)?;
    let head = "POST /v1/sandboxes HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let mut open = true;
    while open && began.elapsed() < PATIENCE {
        open = stream.write_all(b" ").is_ok();
        std::thread::sleep(Duration::from_millis(50));
    }
    must!(!open, "a body that never ends was read for {PATIENCE:?}");
    must!(began.elapsed() > Duration::from_secs(1), "it was cut off too early");
    before.wait_until_back(PATIENCE)
}

fn ten_thousand_connections_stop_at_the_limit_and_leave_nothing() -> Outcome {
    const LIMIT: usize = 300;
    let daemon = daemon()
        .env("LOCKKEEPER_MAX_CONNECTIONS", LIMIT.to_string())
        .env("LOCKKEEPER_HEADER_TIMEOUT", "20s")
        .start()?;
    let before = Census::of(daemon.pid());
    let mut open = Vec::new();
    for _ in 0..10_000 {
        let stream = connect(&daemon)?;
        // Those over the limit are closed at once; only what may still be open is kept.
        if open.len() < 2 * LIMIT {
            open.push(stream);
        }
    }
    let held = Census::of(daemon.pid());
    let sockets = |census: &Census| census.descriptors.get("socket").copied().unwrap_or(0);
    let (most, now) = (sockets(&before) + LIMIT + 8, sockets(&held));
    must!(now <= most, "{now} sockets are held with a limit of {LIMIT}");
    drop(open);
    before.wait_until_back(PATIENCE)?;
    let answer = daemon.call("GET", "/v1/node", None)?;
    must!(answer.status == 200, "afterwards it answers {}", answer.status);
    Ok(())
}

fn what_a_sandbox_is_given_is_in_no_log_and_no_event() -> Outcome {
    const SECRET: &str = "sentinel-5f1c9a";
    let mut daemon = daemon().env("LOCKKEEPER_LOG", "trace").start()?;
    let events = daemon.events()?;
    let sandbox = daemon.create(&json!({
        "id": "keeper",
        "env": { "API_KEY": SECRET },
    }))?;
    must!(!sandbox.to_string().contains(SECRET), "the answer shows it: {sandbox}");
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    let typed = json!({ "expression": format!("'{SECRET}'") });
    // It is no command of the browser's own socket; what counts is that it passed through.
    let _ = cdp.command("Runtime.evaluate", &typed);
    cdp.close(1000)?;
    daemon.call("DELETE", "/v1/sandboxes/keeper", None)?;
    events.wait_for("the end", PATIENCE, |e| e["type"] == "sandbox_stopped")?;
    let told: String = events.all().iter().map(Value::to_string).collect();
    must!(!told.contains(SECRET), "it is in an event");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains(SECRET)).unwrap_or_default();
    must!(line.is_empty(), "it is in the log: {line}");
    let kept = daemon.call("GET", "/v1/sandboxes/keeper", None)?;
    must!(!kept.body.to_string().contains(SECRET), "the tombstone shows it: {}", kept.body);
    Ok(())
}

fn the_browsers_own_sandbox_goes_only_where_the_node_allows_it() -> Outcome {
    let body = json!({ "id": "bare", "flags": ["--no-sandbox"] });
    let strict = daemon().start()?;
    let refused = strict.call("POST", "/v1/sandboxes", Some(&body))?;
    must!(refused.status == 400, "it was answered {}: {}", refused.status, refused.body);
    must!(refused.body.to_string().contains("ALLOW_NO_SANDBOX"), "no remedy: {}", refused.body);
    let mut lax = daemon().env("LOCKKEEPER_ALLOW_NO_SANDBOX", "true").start()?;
    let sandbox = lax.create(&body)?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    Ok(())
}
