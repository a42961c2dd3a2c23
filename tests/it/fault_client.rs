//! The client fails.

use std::io::Write;
use std::time::{Duration, Instant};

use lockkeeper_tests::{Cdp, Outcome, daemon, must};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use testkit::procs;

crate::facts! {
    a_client_that_vanishes_is_not_a_clean_close,
    a_killed_playwright_has_vanished,
    a_malformed_frame_is_the_clients_fault,
    sessions_leave_no_descriptor_behind,
}

const SOON: Duration = Duration::from_secs(6);

fn a_client_that_vanishes_is_not_a_clean_close() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let mut cdp = Cdp::open(sandbox["ws_url"].as_str().unwrap_or_default())?;
    cdp.command("Browser.getVersion", &json!({}))?;
    drop(cdp);
    let end = events.wait_for("disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
    must!(end["data"]["reason"] == "client_close", "{end}");
    must!(end["data"]["detail"] == "client_vanished", "{end}");
    must!(end["data"].get("close_code").is_none(), "{end}");
    Ok(())
}

fn a_killed_playwright_has_vanished() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let endpoint = sandbox["cdp_url"].as_str().unwrap_or_default();
    let playing = lockkeeper_tests::node("playwright.mjs", &["hold", endpoint])?;
    playing.wait_step("holding", Duration::from_secs(30))?;
    kill(Pid::from_raw(playing.pid()), Signal::SIGKILL).map_err(|e| e.to_string())?;
    let end = events.wait_for("disconnect", SOON, |e| e["type"] == "cdp_disconnect")?;
    must!(end["data"]["detail"] == "client_vanished", "{end}");
    Ok(())
}

fn a_malformed_frame_is_the_clients_fault() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let events = daemon.events()?;
    let url = sandbox["ws_url"].as_str().unwrap_or_default();
    // An unmasked text frame, a reserved bit, a reserved opcode.
    for (n, bytes) in [[0x81, 0x00], [0xc1, 0x80], [0x83, 0x80]].into_iter().enumerate() {
        let mut cdp = Cdp::open(url)?;
        cdp.command("Browser.getVersion", &json!({}))?;
        cdp.into_stream().write_all(&bytes).map_err(|e| e.to_string())?;
        let ends = events.wait_count("cdp_disconnect", n + 1, SOON)?;
        let end = &ends[n];
        must!(end["data"]["reason"] == "client_close", "{bytes:?}: {end}");
        must!(end["data"]["detail"] == "client_protocol_error", "{bytes:?}: {end}");
        must!(end["data"]["error"].is_string(), "{bytes:?}: the rule is missing: {end}");
    }
    Ok(())
}

fn sessions_leave_no_descriptor_behind() -> Outcome {
    let mut daemon = daemon().start()?;
    let sandbox = daemon.create(&json!({}))?;
    let url = sandbox["ws_url"].as_str().unwrap_or_default();
    let settle = |wanted: usize, limit: Duration| -> Result<usize, String> {
        let until = Instant::now() + limit;
        loop {
            let now = procs::open_files(daemon.pid()).ok_or("the daemon has gone")?;
            if now <= wanted || Instant::now() > until {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    Cdp::open(url)?.close(1000)?;
    let before = settle(0, Duration::from_secs(1))?;
    for n in 0..40 {
        let mut cdp = Cdp::open(url)?;
        cdp.command("Browser.getVersion", &json!({}))?;
        if n % 2 == 0 {
            cdp.close(1000)?;
        }
    }
    let after = settle(before, SOON)?;
    must!(after <= before, "{before} descriptors before 40 sessions, {after} after");
    Ok(())
}
