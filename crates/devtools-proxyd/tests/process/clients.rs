//! Unmodified clients against the sidecar's port.

use lockkeeper_tests::{Certified, Outcome, must, node, node_trusting};

use crate::browser::Supervisor;
use crate::serves::{beside, text};
use crate::{CLIENT, PATIENCE, sidecar};

pub(crate) fn playwright_drives_the_browser_in_every_form_of_address() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    let path = format!("{}/devtools/browser/browser", sidecar.ws_base());
    for endpoint in [sidecar.base().to_owned(), sidecar.ws_base(), path] {
        let lines = node("playwright.mjs", &["drive", &endpoint])?.finish(CLIENT)?;
        must!(lines.iter().any(|line| line["step"] == "screenshot"), "{endpoint}: {lines:?}");
    }
    let ends = sidecar.events()?.wait_count("cdp_disconnect", 3, PATIENCE)?;
    must!(ends.iter().all(|end| end["data"]["reason"] == "client_close"), "{ends:?}");
    Ok(())
}

pub(crate) fn playwright_drives_the_browser_over_https_and_wss() -> Outcome {
    let (supervisor, files) = (Supervisor::new().map_err(text)?, Certified::new()?);
    let _browser = supervisor.start().map_err(text)?;
    let log = supervisor.log().display().to_string();
    let sidecar = files.on(sidecar()).env("LOCKKEEPER_BROWSER_LOG", log).start()?;
    let version = sidecar.call("GET", "/json/version", None)?.body;
    let url = version["webSocketDebuggerUrl"].as_str().unwrap_or_default().to_owned();
    must!(url == format!("{}/devtools/browser/browser", sidecar.ws_base()), "{version}");
    must!(url.starts_with("wss://"), "{version}");
    for endpoint in [sidecar.base().to_owned(), url] {
        let client = node_trusting("playwright.mjs", &["drive", &endpoint], &files.ca())?;
        let lines = client.finish(CLIENT)?;
        must!(lines.iter().any(|line| line["step"] == "screenshot"), "{endpoint}: {lines:?}");
    }
    let events = sidecar.events()?;
    events.wait_count("cdp_disconnect", 2, PATIENCE)?;
    let connects = events.of("cdp_connect");
    must!(connects.iter().all(|one| one["data"]["tls"] == true), "{connects:?}");
    Ok(())
}

/// By `browserURL` it drops whatever path it was given, so that only a port of its own works.
pub(crate) fn puppeteer_drives_the_browser_by_its_port_alone() -> Outcome {
    let supervisor = Supervisor::new().map_err(text)?;
    let _browser = supervisor.start().map_err(text)?;
    let sidecar = beside(&supervisor, &[])?;
    for (form, endpoint) in [("http", sidecar.base().to_owned()), ("ws", sidecar.ws_base())] {
        for major in ["24", "25"] {
            let lines = node("puppeteer.mjs", &[major, form, &endpoint])?.finish(CLIENT)?;
            let seen = lines.iter().any(|line| line["step"] == "screenshot");
            must!(seen, "puppeteer {major} {form}: {lines:?}");
        }
    }
    Ok(())
}
