//! The disk of the state folder is full, and then it is not.

use std::io::Write;
use std::path::{Path, PathBuf};

use lockkeeper_tests::{Cdp, Ended, daemon};
use serde_json::{Value, json};

use super::{Acknowledged, Stage, wait_until};
use crate::fault::{CLIENT_CODE, Seen, Truth};
use crate::ledger::{Ledger, read_log};
use crate::session::{MEMORY, PATIENCE, compare};

const ONCE: Truth = Truth::fact("each acknowledged event once");
const CLOSED: Truth = Truth::new("client_close", "client_closed", Seen::Close(CLIENT_CODE));
const GONE: Truth = Truth::new("client_close", "client_vanished", Seen::Nobody);

/// Room for a log and little more.
const DISK: &str =
    "mount -t tmpfs -o size=12m,mode=755 tmpfs \"$LOCKKEEPER_STATE_DIR\" && exec \"$0\" \"$@\"";

pub(super) fn a_full_disk_loses_nothing_acknowledged(stage: &mut Stage<'_>) -> Result<(), String> {
    let daemon = daemon()
        .wrapped("unshare", &["--mount", "sh", "-c", DISK])
        .env("LOCKKEEPER_BROWSER", stage.scripted.display().to_string())
        .env("LOCKKEEPER_SANDBOX_MEMORY", MEMORY)
        .env("LOCKKEEPER_MIN_FREE_DISK", "0")
        .start()?;
    let ledger = Ledger::follow(&daemon)?;
    // The file system exists for the daemon alone.
    let disk = daemon.state().path().display().to_string();
    let disk = PathBuf::from(format!("/proc/{}/root{disk}", daemon.pid()));
    let answer = daemon.call("POST", "/v1/sandboxes", Some(&json!({ "id": "wet" })))?;
    let url = answer.body["ws_url"].as_str().unwrap_or_default().to_owned();
    let mut acknowledged = Acknowledged::default();
    let mut number = 0;
    for nth in 0..2 {
        let mut cdp = Cdp::open(&url)?;
        let gone = Cdp::open(&url)?;
        let ballast = disk.join("ballast");
        fill(&ballast)?;
        let mut refused = 0;
        while refused < 2 {
            number += 1;
            refused += usize::from(!acknowledged.post(&daemon, number, 4_000)?);
            if number > 10_000 {
                return Err("a full disk takes everything".to_owned());
            }
        }
        // Who browses does not notice.
        cdp.command("Browser.getVersion", &json!({}))?;
        drop(gone);
        let seen = cdp.close(CLIENT_CODE)?;
        std::fs::remove_file(&ballast).map_err(|e| format!("{}: {e}", ballast.display()))?;
        wait_until("events are taken again", || {
            number += 1;
            Ok(acknowledged.post(&daemon, number, 100)?.then(Value::default))
        })?;
        // What had to wait is told; which of the two ended first is not.
        let first = ledger.wait("wet", "cdp_disconnect", 2 * nth, PATIENCE)?;
        let second = ledger.wait("wet", "cdp_disconnect", 2 * nth + 1, PATIENCE)?;
        let vanished = |end: &Value| end["data"]["detail"] == GONE.detail;
        let (gone, closed) = if vanished(&first) { (first, second) } else { (second, first) };
        let none: Option<&Ended> = None;
        stage.tell("full disk: client closes", CLOSED, compare(CLOSED, &closed, Some(&seen)));
        stage.tell("full disk: client vanishes", GONE, compare(GONE, &gone, none));
    }
    let log = read_log(&daemon)?;
    stage.result.wrong.extend(ledger.audit(&log));
    stage.tell("full disk and room again", ONCE, acknowledged.audit(&log));
    stage.end(daemon)
}

/// Writes until nothing more is taken, not even the smallest piece.
fn fill(path: &Path) -> Result<(), String> {
    let mut file = std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    for piece in [64 << 10, 4 << 10, 64] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    Ok(())
}
