//! Templates of the settings file, down to the browser's own process.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::daemon::{Options, StateDir};

crate::facts! {
    a_template_shapes_the_browser_and_a_create_changes_only_what_it_leaves_open,
    every_mistake_in_a_template_is_named_at_start,
    a_create_on_a_nearly_full_disk_is_refused_as_disk_low,
}

const TEMPLATES: &str = r#"
    [templates.robot]
    flavour = "chromium"
    viewport = "777x555"
    user_agent = "Robot/1.0"
    env = { TZ = "Asia/Tokyo" }
    limits = { memory = "1 GiB", pids = 600, cpu = 1.5 }
    ttl = "5m"
    overridable = ["idle"]
"#;

/// A daemon with this settings file.
fn with_file(text: &str) -> Result<Options, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("settings.toml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(daemon().arg(format!("--config={}", file.display())).state(state))
}

fn a_template_shapes_the_browser_and_a_create_changes_only_what_it_leaves_open() -> Outcome {
    let options = with_file(TEMPLATES)?.env("LOCKKEEPER_SANDBOX_UIDS", "60650-60659");
    let mut daemon = options.start()?;
    let sandbox = daemon.create(&json!({ "template": "robot", "idle": "1m" }))?;
    must!(sandbox["template"] == "robot" && sandbox["flavour"] == "chromium", "{sandbox}");
    must!(sandbox["ttl_ms"] == 300_000 && sandbox["idle_ms"] == 60_000, "{sandbox}");
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    let version = cdp.command("Browser.getVersion", &json!({}))?;
    must!(version["userAgent"] == "Robot/1.0", "{version}");

    let started = daemon.events()?.wait_count("browser_started", 1, Duration::from_secs(5))?;
    let pid = started[0]["data"]["pid"].as_i64().unwrap_or_default();
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).map_err(|e| e.to_string());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace('\0', " ");
    let line = text(read("cmdline")?);
    // What a page then sees is `flow_words`; the window around it is taller.
    must!(line.contains("--window-size=777,"), "{line}");
    must!(text(read("environ")?).contains("TZ=Asia/Tokyo "), "the variable is not there");
    if nix::unistd::geteuid().is_root() {
        let owner = std::fs::metadata(format!("/proc/{pid}")).map_err(|e| e.to_string())?.uid();
        must!((60_650..=60_659).contains(&owner), "the browser runs as {owner}");
        let limits = text(read("limits")?);
        let line = limits.lines().find(|line| line.starts_with("Max processes"));
        must!(line.is_some_and(|line| line.contains(" 600 ")), "{limits}");
    }

    let closed = json!({ "template": "robot", "ttl": "1m", "flags": ["--mute-audio"] });
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&closed))?;
    must!(refused.status == 400, "{} {}", refused.status, refused.body);
    let text = refused.body.to_string();
    must!(text.contains("ttl") && text.contains("flags") && text.contains("idle"), "{text}");
    let unknown = daemon.call("POST", "/v1/sandboxes", Some(&json!({ "template": "robt" })))?;
    must!(unknown.body["error"]["code"] == "TEMPLATE_NOT_FOUND", "{}", unknown.body);
    must!(unknown.body.to_string().contains("robot"), "{}", unknown.body);
    daemon.remember();
    drop(cdp);
    let id = sandbox["id"].as_str().unwrap_or_default();
    daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(Duration::from_secs(20))?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}

fn every_mistake_in_a_template_is_named_at_start() -> Outcome {
    let limit = Duration::from_secs(20);
    let (status, log) = with_file("[templates.a]\nflavor = 'chromium'\n")?.run_to_end(limit)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    must!(log.contains("templates.a.flavor is unknown; did you mean flavour?"), "{log}");

    let file = "[templates.a]\nttl = '30d'\nflags = ['--no-sandbox']\n";
    let (status, log) = with_file(file)?.run_to_end(limit)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    for part in ["templates.a.ttl `30d` is longer", "templates.a.flags `--no-sandbox` is refused"] {
        must!(log.contains(part), "{part:?} is not named:\n{log}");
    }
    Ok(())
}

fn a_create_on_a_nearly_full_disk_is_refused_as_disk_low() -> Outcome {
    let daemon = daemon().env("LOCKKEEPER_MIN_FREE_DISK", "1024 GiB").start()?;
    let refused = daemon.call("POST", "/v1/sandboxes", Some(&json!({ "id": "none" })))?;
    must!(refused.status == 507, "{} {}", refused.status, refused.body);
    must!(refused.body["error"]["code"] == "DISK_LOW", "{}", refused.body);
    must!(refused.body["error"]["sandbox_after"] == "none", "{}", refused.body);
    must!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    let known = daemon.call("GET", "/v1/sandboxes/none", None)?;
    must!(known.status == 404, "{} {}", known.status, known.body);
    Ok(())
}
