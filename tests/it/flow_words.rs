//! What templates and creates say of a browser in words of their own, as pages and sites see it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Outcome, daemon, must};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::daemon::{Daemon, Options, StateDir};

use crate::login::{LIMIT, Site, evaluate, evaluate_at};

crate::facts! {
    a_page_sees_the_viewport_and_the_user_agent_that_were_asked_for,
    a_request_of_a_page_goes_through_the_proxy_that_was_asked_for,
    the_full_browser_loads_an_extension_from_a_folder,
    words_that_mean_nothing_are_refused_by_the_name_of_their_field,
    a_create_that_changes_the_launch_does_not_get_a_browser_that_waits,
}

fn with_file(text: &str) -> Result<Options, String> {
    let state = StateDir::create().map_err(|e| e.to_string())?;
    let file = state.path().join("settings.toml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(daemon().arg(format!("--config={}", file.display())).state(state))
}

fn a_page_sees_the_viewport_and_the_user_agent_that_were_asked_for() -> Outcome {
    let site = Site::open()?;
    let script = "[innerWidth, innerHeight, navigator.userAgent].join(' ')";
    for flavour in ["headless-shell", "chromium"] {
        let text = format!(
            "[templates.robot]\nflavour = '{flavour}'\nviewport = '777x555'\n\
             user_agent = 'Robot/1.0 (tests)'\noverridable = ['viewport', 'flags']\n"
        );
        let mut daemon = with_file(&text)?.start()?;
        let own = json!({ "id": "own", "template": "robot" });
        daemon.create(&own)?;
        let seen = evaluate(&daemon, "own", &site, script)?;
        must!(seen == "777 555 Robot/1.0 (tests)", "{flavour}: {seen}");
        let wide = json!({ "id": "wide", "template": "robot", "viewport": "1024x600" });
        daemon.create(&wide)?;
        let seen = evaluate(&daemon, "wide", &site, script)?;
        must!(seen == "1024 600 Robot/1.0 (tests)", "{flavour}: {seen}");
        // Other switches leave what was said in words as it is.
        let change = json!({ "flags": ["--lang=de"] });
        let answer = daemon.call("POST", "/v1/sandboxes/wide/restart-browser", Some(&change))?;
        must!(answer.status == 200, "{flavour}: {} {}", answer.status, answer.body);
        let seen = evaluate(&daemon, "wide", &site, script)?;
        must!(seen == "1024 600 Robot/1.0 (tests)", "{flavour}: {seen} after a restart");
        let heads = site.heads();
        must!(heads.iter().any(|h| h.contains("User-Agent: Robot/1.0 (tests)\r\n")), "{heads:?}");
        end(daemon)?;
    }
    Ok(())
}

fn a_request_of_a_page_goes_through_the_proxy_that_was_asked_for() -> Outcome {
    let proxy = Site::open()?;
    for flavour in ["headless-shell", "chromium"] {
        let mut daemon = daemon().start()?;
        let body = json!({ "id": "behind", "flavour": flavour, "proxy": proxy.url() });
        daemon.create(&body)?;
        // Nobody has this name: only a proxy can answer.
        let origin = format!("http://{flavour}.shop.test");
        let seen = evaluate_at(&daemon, "behind", &origin, "location.host")?;
        must!(seen == format!("{flavour}.shop.test"), "{seen}");
        let asked = format!("GET {origin}/ HTTP/1.1\r\n");
        let heads = proxy.heads();
        must!(heads.iter().any(|head| head.starts_with(&asked)), "{asked:?} not in {heads:?}");
        end(daemon)?;
    }
    Ok(())
}

const MANIFEST: &str = r#"{
    "manifest_version": 3, "name": "Mark", "version": "1",
    "content_scripts": [{ "matches": ["<all_urls>"], "js": ["mark.js"], "run_at": "document_start" }]
}"#;

/// An extension that leaves a mark on every page.
fn write_extension(folder: &Path) -> Result<(), std::io::Error> {
    let files = [
        ("manifest.json", MANIFEST),
        ("mark.js", "document.documentElement.dataset.mark = 'loaded'"),
    ];
    std::fs::create_dir(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    for (name, text) in files {
        let file = folder.join(name);
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn the_full_browser_loads_an_extension_from_a_folder() -> Outcome {
    let site = Site::open()?;
    let outer = StateDir::create().map_err(|e| e.to_string())?;
    let folder = outer.path().join("extension");
    write_extension(&folder).map_err(|e| e.to_string())?;
    let text = format!(
        "[templates.marks]\nflavour = 'chromium'\nextensions = ['{0}']\n\
         [templates.small]\nflavour = 'headless-shell'\noverridable = ['extensions']\n",
        folder.display()
    );
    let mut daemon = with_file(&text)?.start()?;
    daemon.create(&json!({ "id": "marks", "template": "marks" }))?;
    let script = "document.documentElement.dataset.mark";
    let seen = evaluate(&daemon, "marks", &site, script)?;
    must!(seen == "loaded", "{seen}");
    // A create that names a folder gets the browser that loads it.
    let sandbox = daemon.create(&json!({ "id": "asked", "extensions": [folder] }))?;
    must!(sandbox["flavour"] == "chromium", "{sandbox}");
    let seen = evaluate(&daemon, "asked", &site, script)?;
    must!(seen == "loaded", "{seen}");
    let small = json!({ "template": "small", "extensions": [folder] });
    refused(&daemon, &small, 400, "extensions", "full browser only")?;
    let nothing = json!({ "extensions": [outer.path().join("nothing")] });
    let answer = daemon.call("POST", "/v1/sandboxes", Some(&nothing))?;
    must!(answer.status == 502, "{} {}", answer.status, answer.body);
    must!(answer.body.to_string().contains("no manifest.json"), "{}", answer.body);
    end(daemon)
}

fn words_that_mean_nothing_are_refused_by_the_name_of_their_field() -> Outcome {
    let node = daemon().start()?;
    for (field, value, problem) in [
        ("viewport", json!("wide"), "two numbers"),
        ("user_agent", json!("a\nb"), "control character"),
        ("proxy", json!("htp://a:1"), "did you mean `http`?"),
        ("extensions", json!(["relative"]), "absolute path"),
        ("viewpot", json!("1x1"), "did you mean `viewport`?"),
        ("on_expire", json!("park"), "not one of stop, pause"),
    ] {
        refused(&node, &json!({ field: value }), 400, field, problem)?;
    }
    end(node)?;
    let file = "[templates.a]\nviewport = 'wide'\nextensions = ['/nowhere/at/all']\n\
                flavour = 'chromium'\n[templates.b]\nproxy = 'htp://a:1'\non_expre = 'pause'\n";
    let (status, log) = with_file(file)?.run_to_end(LIMIT)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    for part in
        ["templates.a.viewport must be two", "templates.b.on_expre is unknown; did you mean"]
    {
        must!(log.contains(part), "{part:?} is not named:\n{log}");
    }
    let file = file.replace("viewport = 'wide'\n", "").replace("on_expre = 'pause'\n", "");
    let (status, log) = with_file(&file)?.run_to_end(LIMIT)?;
    must!(status.code() == Some(64), "it ended with {status}:\n{log}");
    for part in
        ["templates.a.extensions: /nowhere/at/all has no manifest", "templates.b.proxy `htp`"]
    {
        must!(log.contains(part), "{part:?} is not named:\n{log}");
    }
    Ok(())
}

fn refused(daemon: &Daemon, body: &Value, status: u16, field: &str, problem: &str) -> Outcome {
    let answer = daemon.call("POST", "/v1/sandboxes", Some(body))?;
    let error = &answer.body["error"];
    must!(answer.status == status && error["code"] == "BAD_REQUEST", "{body}: {}", answer.body);
    let text = error.to_string();
    must!(text.contains(field) && text.contains(problem), "{body}: {text}");
    Ok(())
}

fn a_create_that_changes_the_launch_does_not_get_a_browser_that_waits() -> Outcome {
    let text = "[templates.fast]\nflavour = 'headless-shell'\npool = 1\nviewport = '800x600'\n\
                on_expire = 'pause'\noverridable = ['viewport', 'on_expire', 'on_drain']\n";
    let mut daemon = with_file(text)?.start()?;
    for (change, warm) in [
        (json!({ "viewport": "801x600" }), false),
        (json!({ "on_expire": "stop", "on_drain": "pause" }), true),
        (json!({}), true),
    ] {
        filled(&daemon)?;
        let mut body = json!({ "template": "fast" });
        for (word, value) in change.as_object().into_iter().flatten() {
            body[word] = value.clone();
        }
        let sandbox = daemon.create(&body)?;
        must!(sandbox["warm"] == warm, "{body}: {sandbox}");
        let expire = change["on_expire"].as_str().unwrap_or("pause");
        must!(sandbox["on_expire"] == expire, "{body}: {sandbox}");
        let id = sandbox["id"].as_str().unwrap_or_default();
        daemon.call("DELETE", &format!("/v1/sandboxes/{id}"), None)?;
    }
    end(daemon)
}

/// Waits until a browser waits.
fn filled(daemon: &Daemon) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    loop {
        let node = daemon.call("GET", "/v1/node", None)?;
        if node.body["pool"]["fast"]["idle"] == 1 {
            return Ok(());
        }
        must!(Instant::now() < deadline, "the pool has {}", node.body["pool"]);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(mut daemon: Daemon) -> Outcome {
    daemon.remember();
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_exit(LIMIT)?;
    must!(status.success(), "the daemon ended with {status}:\n{}", daemon.log());
    daemon.assert_nothing_left(Duration::from_secs(2))
}
