//! Unmodified clients against the sidecar's port.

use lockkeeper_tests::{Outcome, must, node};

use crate::browser::Supervisor;
use crate::serves::{beside, text};
use crate::{CLIENT, PATIENCE};

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
