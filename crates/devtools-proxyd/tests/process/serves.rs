//! What clients get while the browser is there, or about to come.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use lockkeeper_tests::{Cdp, Outcome, must};
use serde_json::json;
use testkit::daemon::Daemon;

use crate::browser::Supervisor;
use crate::{PATIENCE, sidecar};

/// A sidecar that reads the supervisor's log.
pub(crate) fn beside(supervisor: &Supervisor, more: &[(&str, &str)]) -> Result<Daemon, String> {
    let log = supervisor.log().display().to_string();
    let options = sidecar().env("LOCKKEEPER_BROWSER_LOG", log);
    more.iter().fold(options, |options, (name, value)| options.env(name, *value)).start()
}

pub(crate) fn a_token_is_needed_and_shown_nowhere() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let token = "sentinel-of-the-sidecar";
    let more = [("LOCKKEEPER_TOKEN", token), ("LOCKKEEPER_LOG", "trace")];
    let sidecar = beside(&supervisor, &more)?;
    for (path, header, status) in [
        ("/json/version", "", 401),
        ("/json/version", "Bearer sentinel-of-the-sidecaq", 401),
        ("/json/version", "Bearer sentinel-of-the-sidecar", 200),
    ] {
        let answer = sidecar.call_with("GET", path, &[("authorization", header)], None)?;
        must!(answer.status == status, "{header:?} was answered {}", answer.status);
        must!(!answer.body.to_string().contains(token), "the answer shows it: {}", answer.body);
    }
    let base = sidecar.ws_base();
    let refused = Cdp::open_with(&base, &[]).err().map(|refused| refused.status());
    must!(refused == Some(401), "a socket without the token was answered {refused:?}");
    let mut cdp = Cdp::open(&format!("{base}/?token={token}"))?;
    cdp.command("Browser.getVersion", &json!({}))?;
    cdp.close(1000)?;
    let events = sidecar.events()?;
    events.wait_count("cdp_disconnect", 1, PATIENCE)?;
    let told: String = events.all().iter().map(ToString::to_string).collect();
    must!(!told.contains(token), "the token is in an event");
    let places = sidecar.places_that_show(token)?;
    must!(places.is_empty(), "the token is in {places:?}");
    Ok(())
}

pub(crate) fn text(error: std::io::Error) -> String {
    error.to_string()
}

pub(crate) fn json_is_rewritten_and_any_path_is_the_browser() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let base = sidecar.ws_base();
    let version = sidecar.call("GET", "/json/version/", None)?;
    must!(version.status == 200, "{version:?}");
    let url = version.body["webSocketDebuggerUrl"].as_str().unwrap_or_default();
    must!(url == format!("{base}/devtools/browser/browser"), "{}", version.body);
    let announced = supervisor.announced().ok_or("the log has no announcement")?;
    let guid = announced.rsplit('/').next().unwrap_or_default();
    must!(!version.body.to_string().contains(guid), "the browser's own id is in {}", version.body);

    for path in ["/devtools/browser/browser", "/devtools/browser/4f2a", "/", "/any/path?q=1"] {
        let mut cdp = Cdp::open(&format!("{base}{path}"))?;
        let answer = cdp.command("Browser.getVersion", &json!({}))?;
        let product = answer["product"].as_str().unwrap_or_default();
        must!(product.contains("Chrome/"), "{path}: {answer}");
        cdp.close(1000)?;
    }
    let events = sidecar.events()?;
    let started = events.wait_count("browser_started", 1, PATIENCE)?;
    must!(started[0]["data"]["upstream_source"] == "log_follow", "{}", started[0]);
    must!(started[0]["sandbox"] == "browser", "{}", started[0]);
    let ended = events.wait_count("cdp_disconnect", 4, PATIENCE)?;
    for event in ended {
        must!(event["data"]["reason"] == "client_close", "{event}");
    }
    for event in events.of("cdp_connect") {
        must!(event["data"]["addressing"] == "sidecar", "{event}");
    }
    let metrics = sidecar.call("GET", "/metrics", None)?.body.to_string();
    must!(metrics.contains("upstream_phase{phase=\\\"ready\\\"} 1"), "{metrics}");
    must!(sidecar.call("GET", "/readyz", None)?.status == 200, "there is a browser");
    Ok(())
}

pub(crate) fn a_page_has_a_socket_of_its_own() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let list = sidecar.call("GET", "/json/list", None)?;
    let page = list.body.as_array().and_then(|list| list.iter().find(|t| t["type"] == "page"));
    let url = page.and_then(|page| page["webSocketDebuggerUrl"].as_str());
    let url = url.ok_or_else(|| format!("no page in {}", list.body))?;
    must!(url.starts_with(&format!("{}/devtools/page/", sidecar.ws_base())), "{url}");
    let mut cdp = Cdp::open(url)?;
    let answer = cdp.command("Runtime.evaluate", &json!({ "expression": "6 * 7" }))?;
    must!(answer["result"]["value"] == 42, "{answer}");
    Ok(())
}

pub(crate) fn every_source_reaches_the_browser() -> Outcome {
    let supervisor = Supervisor::on_one_port().map_err(text)?;
    let mut browser = supervisor.start().map_err(text)?;
    let until = Instant::now() + PATIENCE;
    // The whole address is needed before the last of them can be started.
    let url = loop {
        match supervisor.announced() {
            Some(url) => break url,
            None if Instant::now() > until => {
                return Err(format!("no announcement; alive: {}", browser.is_alive()));
            }
            None => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    let place = format!("127.0.0.1:{}", supervisor.port());
    for (name, value, word) in [
        ("LOCKKEEPER_BROWSER_LOG", supervisor.log().display().to_string(), "log_follow"),
        ("LOCKKEEPER_BROWSER_PORT_FILE", supervisor.port_file().display().to_string(), "port_file"),
        ("LOCKKEEPER_BROWSER_ADDRESS", place, "http_poll"),
        ("LOCKKEEPER_BROWSER_URL", url, "fixed"),
    ] {
        let sidecar = sidecar().env(name, value).start()?;
        let mut cdp = Cdp::open(&sidecar.ws_base()).map_err(|error| format!("{word}: {error}"))?;
        cdp.command("Browser.getVersion", &json!({}))?;
        let started = sidecar.events()?.wait_count("browser_started", 1, PATIENCE)?;
        must!(started[0]["data"]["upstream_source"] == word, "{}", started[0]);
        must!(started[0]["data"]["adopted"] == true, "{}", started[0]);
    }
    Ok(())
}

pub(crate) fn a_client_is_held_until_the_browser_comes() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let sidecar = beside(&supervisor, &[("LOCKKEEPER_HOLD_MAX", "20s")])?;
    let url = sidecar.ws_base();
    let client = std::thread::spawn(move || Cdp::open(&url).map(drop));
    let _browser = supervisor.start().map_err(text)?;
    client.join().map_err(|_| "the client panicked")??;
    let connect = sidecar.events()?.wait_count("cdp_connect", 1, PATIENCE)?;
    must!(connect[0]["data"]["hold_ms"].as_f64() > Some(0.0), "{}", connect[0]);
    Ok(())
}

pub(crate) fn a_line_that_a_page_printed_changes_nothing_and_is_counted() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let mut cdp = Cdp::open(&sidecar.ws_base())?;
    for line in [
        "DevTools listening on ws://elsewhere.example:9222/devtools/browser/4f2a",
        "DevTools listening on wss://127.0.0.1:9222/devtools/browser/4f2a",
    ] {
        supervisor.print(line).map_err(text)?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let metrics = sidecar.call("GET", "/metrics", None)?.body;
        let metrics = metrics.as_str().unwrap_or_default();
        let counted = |cause: &str| {
            metrics.contains(&format!("upstream_url_refused_total{{cause=\"{cause}\"}} 1"))
        };
        if counted("host") && counted("scheme") {
            break;
        }
        must!(Instant::now() < until, "they were not counted: {metrics}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    cdp.command("Browser.getVersion", &json!({}))?;
    must!(sidecar.events()?.wait_count("browser_started", 1, PATIENCE)?.len() == 1, "a new one");
    Ok(())
}

/// A place where nothing listens.
fn nobody() -> Result<String, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    Ok(listener.local_addr().map_err(text)?.to_string())
}

pub(crate) fn without_a_browser_it_is_healthy_and_not_ready() -> Outcome {
    let sidecar = sidecar()
        .env("LOCKKEEPER_BROWSER_ADDRESS", nobody()?)
        .env("LOCKKEEPER_HOLD_MAX", "200ms")
        .start()?;
    must!(sidecar.call("GET", "/healthz", None)?.status == 200, "it works");
    let ready = sidecar.call("GET", "/readyz", None)?;
    must!(ready.status == 503 && ready.body["status"] == "no_browser", "{ready:?}");
    let refused = Cdp::open_with(&sidecar.ws_base(), &[]).err().map(|refused| refused.status());
    must!(refused == Some(503), "the upgrade was answered {refused:?}");
    let refused = sidecar.events()?.wait_count("cdp_refused", 1, PATIENCE)?;
    must!(refused[0]["data"]["detail"] == "browser_unreachable", "{}", refused[0]);
    let plain = sidecar.call("GET", "/any/path", None)?;
    must!(plain.status == 426, "a path of the browser without an upgrade: {plain:?}");
    Ok(())
}

pub(crate) fn admin_routes_can_have_a_port_of_their_own() -> Outcome {
    let admin = nobody()?;
    let sidecar = sidecar()
        .env("LOCKKEEPER_BROWSER_ADDRESS", nobody()?)
        .env("LOCKKEEPER_ADMIN_LISTEN", admin.clone())
        .start()?;
    // On the browser's own port the path is the browser's.
    let answer = sidecar.call("GET", "/healthz", None)?;
    must!(answer.status == 426, "{answer:?}");
    let mut stream = TcpStream::connect(&admin).map_err(text)?;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    must!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    must!(answer.contains("devtools-proxyd"), "{answer}");
    Ok(())
}

pub(crate) fn the_token_guards_the_browser_and_the_events() -> Outcome {
    let sidecar = sidecar()
        .env("LOCKKEEPER_BROWSER_ADDRESS", nobody()?)
        .env("LOCKKEEPER_HOLD_MAX", "100ms")
        .env("LOCKKEEPER_TOKEN", "secret")
        .start()?;
    let none = [("authorization", "")];
    for path in ["/json/version", "/", "/v1/telemetry/events", "/metrics"] {
        let answer = sidecar.call_with("GET", path, &none, None)?;
        must!(answer.status == 401, "{path}: {answer:?}");
    }
    must!(sidecar.call_with("GET", "/healthz", &none, None)?.status == 200, "health is for all");
    let refused = Cdp::open_with(&sidecar.ws_base(), &[]).err().map(|refused| refused.status());
    must!(refused == Some(401), "an upgrade without the token was answered {refused:?}");
    let refused = Cdp::open_with(&format!("{}/?token=secret", sidecar.ws_base()), &[]);
    let refused = refused.err().map(|refused| refused.status());
    must!(refused == Some(503), "an upgrade with the token was answered {refused:?}");
    Ok(())
}

pub(crate) fn a_file_of_lines_has_every_event_of_the_process() -> Outcome {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("deep/events.jsonl");
    let mut epochs = Vec::new();
    for _ in 0..2 {
        let mut sidecar = sidecar()
            .env("LOCKKEEPER_BROWSER_ADDRESS", nobody()?)
            .env("LOCKKEEPER_EVENTS_FILE", file.to_string_lossy())
            .start()?;
        for _ in 0..3 {
            let event = json!({ "type": "test_event", "category": "system" });
            let answer = sidecar.call("POST", "/v1/telemetry/events", Some(&event))?;
            must!(answer.status == 200, "{answer:?}");
        }
        sidecar.signal(nix::sys::signal::Signal::SIGTERM);
        sidecar.wait_exit(PATIENCE)?;
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
        let lines = lines.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let epoch = lines.last().map(|line| line["epoch"].clone()).unwrap_or_default();
        let mine = lines.iter().filter(|line| line["epoch"] == epoch);
        let offsets: Vec<_> = mine.filter_map(|line| line["offset"].as_u64()).collect();
        let all: Vec<_> = (1..=offsets.len() as u64).collect();
        must!(offsets.len() > 3 && offsets == all, "not from the first on: {offsets:?}");
        epochs.push(epoch);
    }
    must!(epochs[0] != epochs[1], "a log in memory has a new epoch each time: {epochs:?}");
    Ok(())
}
