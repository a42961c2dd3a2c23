//! How sessions end, and how the sidecar itself does.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Ended, NotifySocket, Outcome, Unit, must};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::procs;

use crate::browser::Supervisor;
use crate::serves::{beside, text};
use crate::{PATIENCE, sidecar};

/// An open session whose browser has answered.
fn session(url: &str) -> Result<Cdp, String> {
    let mut cdp = Cdp::open(url)?;
    cdp.command("Browser.getVersion", &json!({}))?;
    Ok(cdp)
}

pub(crate) fn a_restarted_browser_closes_its_sessions_with_1012_and_the_address_stays() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let first = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let events = sidecar.events()?;
    let mut cdp = session(&sidecar.ws_base())?;
    first.kill().map_err(text)?;
    let killed = Instant::now();
    let _second = supervisor.start().map_err(text)?;
    let end = cdp.wait_end(PATIENCE)?;
    let told = killed.elapsed();
    must!(end == Ended::Close(1012, "browser restarting, reconnect".into()), "{end:?}");
    must!(told < Duration::from_secs(1), "told only after {told:?}");
    let end = events.wait_count("cdp_disconnect", 1, PATIENCE)?.remove(0);
    let data = &end["data"];
    must!(data["reason"] == "upstream_changed", "{end}");
    must!(data["detail"] == "browser_restarted", "{end}");
    must!(data["generation"] == 1 && data["new_generation"] == 2, "{end}");
    session(&sidecar.ws_base())?.close(1000)?;

    let restarted = events.wait_count("browser_restarted", 1, PATIENCE)?.remove(0);
    let data = &restarted["data"];
    must!(data["generation"] == 2 && data["previous_generation"] == 1, "{restarted}");
    must!(data["sessions_cut"] == 1, "{restarted}");
    must!(events.of("browser_started").len() == 2, "{:?}", events.all());
    for exited in events.of("browser_exited") {
        must!(exited["data"]["exit"]["kind"] == "unknown_exit", "{exited}");
    }
    Ok(())
}

/// These sources know nothing until the place or the file says something else.
pub(crate) fn a_restart_is_seen_at_a_place_and_in_a_port_file() -> Outcome {
    let supervisor = Supervisor::on_one_port().map_err(text)?;
    let place = format!("127.0.0.1:{}", supervisor.port());
    let file = supervisor.port_file().display().to_string();
    let mut browser = supervisor.start().map_err(text)?;
    for (name, value) in
        [("LOCKKEEPER_BROWSER_ADDRESS", place), ("LOCKKEEPER_BROWSER_PORT_FILE", file)]
    {
        let sidecar = sidecar().env(name, value).env("LOCKKEEPER_RESTART_EXPECTED", "true");
        let sidecar = sidecar.start()?;
        let events = sidecar.events()?;
        let mut cdp = session(&sidecar.ws_base())?;
        browser.kill().map_err(text)?;
        browser = supervisor.start().map_err(text)?;
        let end = cdp.wait_end(PATIENCE)?;
        must!(matches!(end, Ended::Close(1012, _)), "{name}: {end:?}");
        let end = events.wait_count("cdp_disconnect", 1, PATIENCE)?.remove(0);
        must!(end["data"]["reason"] == "upstream_changed", "{name}: {end}");
        let restarted = events.wait_count("browser_restarted", 1, PATIENCE)?.remove(0);
        must!(restarted["data"]["sessions_cut"] == 1, "{name}: {restarted}");
        session(&sidecar.ws_base())?.close(1000)?;
    }
    Ok(())
}

pub(crate) fn a_browser_that_never_comes_back_is_unreachable() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let browser = supervisor.start().map_err(text)?;
    let quick = [("LOCKKEEPER_RESTART_WAIT", "1s"), ("LOCKKEEPER_HOLD_MAX", "500ms")];
    let sidecar = beside(&supervisor, &quick)?;
    let events = sidecar.events()?;
    // A client is held for half a second only.
    events.wait_count("browser_started", 1, PATIENCE)?;
    let mut cdp = session(&sidecar.ws_base())?;
    // Its sockets end before it can be waited for.
    let killed = Instant::now();
    browser.kill().map_err(text)?;
    let end = cdp.wait_end(PATIENCE)?;
    // The writer of a log is a supervisor, so a client that asks again does right.
    must!(matches!(end, Ended::Close(1012, _)), "{end:?}");
    let end = events.wait_count("cdp_disconnect", 1, PATIENCE)?.remove(0);
    let decided = killed.elapsed();
    must!(end["data"]["reason"] == "upstream_error", "{end}");
    must!(end["data"]["detail"] == "browser_unreachable", "{end}");
    let window = Duration::from_secs(1)..Duration::from_secs(4);
    must!(window.contains(&decided), "decided after {decided:?}");
    let exited = events.wait_count("browser_exited", 1, PATIENCE)?.remove(0);
    must!(exited["data"]["sessions"] == 1 && exited["data"]["expected"] == false, "{exited}");
    let refused = Cdp::open_with(&sidecar.ws_base(), &[]).err().map(|refused| refused.status());
    must!(refused == Some(503), "an upgrade was answered {refused:?}");
    must!(sidecar.call("GET", "/readyz", None)?.status == 503, "no client can be served");
    Ok(())
}

pub(crate) fn sessions_leave_nothing_behind() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let events = sidecar.events()?;
    session(&sidecar.ws_base())?.close(1000)?;
    events.wait_count("cdp_disconnect", 1, PATIENCE)?;
    let until = Instant::now() + PATIENCE;
    let before = procs::open_files(sidecar.pid()).ok_or("it ended")?;
    for round in 0..30 {
        let cdp = session(&sidecar.ws_base())?;
        match round % 3 {
            0 => drop(cdp.close(1000)?),
            1 => drop(cdp),
            _ => drop(cdp.into_stream()),
        }
    }
    events.wait_count("cdp_disconnect", 31, PATIENCE)?;
    loop {
        let now = procs::open_files(sidecar.pid()).ok_or("it ended")?;
        if now <= before {
            return Ok(());
        }
        must!(Instant::now() < until, "{before} files were open, and now {now}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn sigterm_closes_every_session_with_1001_and_exits_with_0() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let mut browser = supervisor.start().map_err(text)?;
    let mut sidecar = beside(&supervisor, &[])?;
    let events = sidecar.events()?;
    let mut sessions = [session(&sidecar.ws_base())?, session(&sidecar.ws_base())?];
    sidecar.signal(Signal::SIGTERM);
    let asked = Instant::now();
    for cdp in &mut sessions {
        let end = cdp.wait_end(PATIENCE)?;
        must!(end == Ended::Close(1001, "node draining".into()), "{end:?}");
    }
    let status = sidecar.wait_exit(PATIENCE)?;
    let took = asked.elapsed();
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    must!(took < Duration::from_secs(2), "it took {took:?}; its log:\n{}", sidecar.log());
    events.wait_end(PATIENCE)?;
    let ended = events.of("cdp_disconnect");
    must!(ended.len() == 2, "{ended:?}");
    for event in ended {
        must!(event["data"]["reason"] == "context_cancelled", "{event}");
        must!(event["data"]["detail"] == "node_drain", "{event}");
    }
    must!(events.of("browser_exited").is_empty(), "the browser did not end: {:?}", events.all());
    for once in ["node_started", "drain_finished", "node_stopped"] {
        must!(events.of(once).len() == 1, "{once}: {:?}", events.all());
    }
    must!(browser.is_alive(), "the browser is somebody else's and must go on");
    Ok(())
}

pub(crate) fn a_client_that_is_held_hears_of_the_drain_at_once() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let one = [("LOCKKEEPER_MAX_SESSIONS", "1"), ("LOCKKEEPER_HOLD_MAX", "5min")];
    let mut sidecar = beside(&supervisor, &one)?;
    let events = sidecar.events()?;
    let url = sidecar.ws_base();
    let open = || {
        let url = url.clone();
        std::thread::spawn(move || Cdp::open_with(&url, &[]).err().map(|refused| refused.status()))
    };
    // There is one place: when one of them is refused, the other one has it and is held.
    let clients = [open(), open()];
    let full = events.wait_count("cdp_refused", 1, PATIENCE)?.remove(0);
    must!(full["data"]["detail"] == "over_limit", "{full}");
    sidecar.signal(Signal::SIGTERM);
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.join().map_err(|_| "the client panicked")?);
    }
    answers.sort_unstable();
    must!(answers == [Some(429), Some(503)], "{answers:?}");
    let refused = events.wait_count("cdp_refused", 2, PATIENCE)?.remove(1);
    must!(refused["data"]["detail"] == "node_drain", "{refused}");
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    Ok(())
}

pub(crate) fn the_unit_starts_the_sidecar_and_hears_of_its_start_and_end() -> Outcome {
    let folder = tempfile::tempdir().map_err(text)?;
    let systemd = NotifySocket::in_folder(folder.path())?;
    let unit = Unit::read("devtools-proxyd")?;
    let options = unit.options(env!("CARGO_BIN_EXE_devtools-proxyd").into())?;
    // There is no browser, which is no reason not to start.
    let mut sidecar = options.env("NOTIFY_SOCKET", systemd.path()).start()?;
    systemd.wait_for("READY=1")?;
    sidecar.signal(Signal::SIGTERM);
    systemd.wait_for("STOPPING=1")?;
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    Ok(())
}

pub(crate) fn a_quiet_drain_closes_what_is_never_quiet_at_its_deadline() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let settings = [
        ("LOCKKEEPER_CDP_DRAIN", "quiet"),
        ("LOCKKEEPER_CDP_QUIET", "1s"),
        ("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "4s"),
    ];
    let mut sidecar = beside(&supervisor, &settings)?;
    let events = sidecar.events()?;
    let mut idle = session(&sidecar.ws_base())?;
    let mut busy = session(&sidecar.ws_base())?;
    sidecar.signal(Signal::SIGTERM);
    let asked = Instant::now();
    let lost = loop {
        if let Err(lost) = busy.command("Browser.getVersion", &json!({})) {
            break lost;
        }
        must!(asked.elapsed() < PATIENCE, "it is served for ever");
    };
    let after = asked.elapsed();
    must!(lost.contains("node draining"), "{lost}");
    must!(after > Duration::from_millis(3500), "it was closed after only {after:?}");
    let end = idle.wait_end(PATIENCE)?;
    must!(end == Ended::Close(1001, "node draining".into()), "{end:?}");
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    events.wait_end(PATIENCE)?;
    let ends = events.of("cdp_disconnect");
    let words: Vec<_> =
        ends.iter().map(|e| (&e["data"]["detail"], &e["data"]["quiet_end"])).collect();
    let told = |word| words.contains(&(&json!("node_drain"), &json!(word)));
    must!(words.len() == 2 && told("quiet") && told("deadline"), "{words:?}");
    Ok(())
}

pub(crate) fn a_draining_sidecar_refuses_new_sockets_at_once() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let mut sidecar = beside(&supervisor, &[("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "10s")])?;
    let events = sidecar.events()?;
    // It does not answer its Close, so the drain lasts as long as one may wait for that.
    let silent = session(&sidecar.ws_base())?;
    sidecar.signal(Signal::SIGTERM);
    events.wait_for("the drain", PATIENCE, |e| {
        e["type"] == "drain_progress" && e["data"]["phase"] == "wait_live"
    })?;
    let refused = Cdp::open_with(&sidecar.ws_base(), &[]).err();
    let status = refused.as_ref().map(lockkeeper_tests::Refused::status);
    must!(status == Some(503), "an upgrade was answered {status:?}; {}", sidecar.log());
    let refused = events.wait_count("cdp_refused", 1, PATIENCE)?.remove(0);
    must!(refused["data"]["reason"] == "context_cancelled", "{refused}");
    must!(refused["data"]["detail"] == "node_drain", "{refused}");
    let ready = sidecar.call("GET", "/readyz", None)?;
    must!(ready.body["status"] == "draining", "{ready:?}");
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    drop(silent);
    Ok(())
}

pub(crate) fn force_stop_ends_sessions_without_a_drain() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let mut sidecar = beside(&supervisor, &[("LOCKKEEPER_FORCE_STOP", "true")])?;
    let events = sidecar.events()?;
    let mut cdp = session(&sidecar.ws_base())?;
    sidecar.signal(Signal::SIGTERM);
    let end = cdp.wait_end(PATIENCE)?;
    must!(end == Ended::Close(1001, "stopped".into()), "{end:?}");
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    events.wait_end(PATIENCE)?;
    let ended = events.of("cdp_disconnect");
    must!(ended.len() == 1 && ended[0]["data"]["detail"] == "forced_stop", "{ended:?}");
    Ok(())
}

pub(crate) fn a_second_signal_forces_the_end() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let mut sidecar = beside(&supervisor, &[("LOCKKEEPER_SHUTDOWN_DRAIN_TIMEOUT", "1m")])?;
    let events = sidecar.events()?;
    let silent = session(&sidecar.ws_base())?;
    sidecar.signal(Signal::SIGTERM);
    events.wait_for("the drain", PATIENCE, |e| {
        e["type"] == "drain_progress" && e["data"]["phase"] == "wait_live"
    })?;
    // Signals that come at once are one.
    let until = Instant::now() + PATIENCE;
    while events.of("drain_forced").is_empty() && Instant::now() < until {
        sidecar.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(250));
        if !events.of("drain_finished").is_empty() {
            break;
        }
    }
    let forced = events.wait_count("drain_forced", 1, PATIENCE)?.remove(0);
    must!(forced["data"]["cause"] == "second_signal", "{forced}");
    must!(forced["data"]["sessions"] == 1, "{forced}");
    let status = sidecar.wait_exit(PATIENCE)?;
    must!(status.code() == Some(0), "{status}; its log:\n{}", sidecar.log());
    drop(silent);
    Ok(())
}

pub(crate) fn every_mistake_in_the_settings_is_named_and_nothing_starts() -> Outcome {
    let (status, log) = sidecar()
        .env("LOCKKEEPER_SANDBOX_ID", "Not--An-Id")
        .env("LOCKKEEPER_BROWSER_LOG_FORM", "xml")
        .env("LOCKKEEPER_RESTART_WAIT", "ten")
        .env("LOCKKEEPER_API_LISTEN", "0.0.0.0:0")
        .run_to_end(PATIENCE)?;
    must!(status.code() == Some(64), "{status}: {log}");
    let named = ["SANDBOX_ID", "BROWSER_LOG_FORM", "RESTART_WAIT", "TOKEN", "where the browser is"];
    for name in named {
        must!(log.contains(name), "{name} is not named in: {log}");
    }
    must!(log.contains("5 mistakes"), "{log}");
    Ok(())
}

pub(crate) fn a_port_that_is_taken_is_named_and_nothing_starts() -> Outcome {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    let taken = listener.local_addr().map_err(text)?.to_string();
    let (status, log) = sidecar()
        .env("LOCKKEEPER_BROWSER_ADDRESS", taken.clone())
        .env("LOCKKEEPER_API_LISTEN", taken.clone())
        .run_to_end(PATIENCE)?;
    must!(status.code() == Some(69), "{status}: {log}");
    must!(log.contains(&taken) && log.contains("API_LISTEN"), "{log}");
    Ok(())
}
