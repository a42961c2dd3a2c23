//! The server that keeps the events is killed and comes back, while sessions go on.

use std::time::Duration;

use lockkeeper_tests::{NatsServer, daemon};
use testkit::daemon::Daemon;

use super::{Acknowledged, Stage, wait_until};
use crate::fault::Truth;
use crate::ledger::{Ledger, read_log};
use crate::session::{MEMORY, Worker};

const ONCE: Truth = Truth::fact("each acknowledged event once");
/// How often it is killed, and sessions in all.
const OUTAGES: u64 = 3;
const SESSIONS: usize = 24;

pub(super) fn a_restarted_event_server_loses_nothing_acknowledged(
    stage: &mut Stage<'_>,
) -> Result<(), String> {
    let mut server = NatsServer::start()?;
    let daemon = daemon()
        .env("LOCKKEEPER_EVENT_LOG", server.url())
        .env("LOCKKEEPER_BROWSER", stage.scripted.display().to_string())
        .env("LOCKKEEPER_SANDBOX_MEMORY", MEMORY)
        .start()?;
    let ledger = Ledger::follow(&daemon)?;
    let (theirs, mut ours) = (stage.rng.fork(), stage.rng.fork());
    let (outcomes, acknowledged) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut worker = Worker::new(&daemon, &ledger, theirs, "n".to_owned(), false);
            worker.run(SESSIONS, &|| true)
        });
        let acknowledged = outages(&mut server, &daemon, &mut ours);
        (worker.join(), acknowledged)
    });
    let (outcomes, acknowledged) =
        (outcomes.map_err(|_| "the worker panicked".to_owned())?, acknowledged?);
    stage.result.outcomes.extend(outcomes);
    let log = read_log(&daemon)?;
    stage.result.wrong.extend(ledger.audit(&log));
    stage.tell("event server killed and back", ONCE, acknowledged.audit(&log));
    stage.end(daemon)
}

/// Kills it and lets it come back; events are posted all the time, each until it is taken.
fn outages(
    server: &mut NatsServer,
    daemon: &Daemon,
    rng: &mut fastrand::Rng,
) -> Result<Acknowledged, String> {
    let mut acknowledged = Acknowledged::default();
    let mut number = 0;
    for _ in 0..OUTAGES {
        for _ in 0..rng.u32(1..20) {
            number += 1;
            acknowledged.post(daemon, number, 100)?;
        }
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                server.kill();
                std::thread::sleep(Duration::from_millis(rng.u64(100..2_000)));
                server.run()
            });
            // One that waits for the outage to end.
            number += 1;
            let posted = acknowledged.post(daemon, number, 100);
            let back = asked.join().map_err(|_| "the server's thread panicked".to_owned())?;
            posted.and(back)
        })?;
        // A refused event may be in the log all the same, so the next one has another number.
        wait_until("events are taken again", || {
            number += 1;
            Ok(acknowledged.post(daemon, number, 100)?.then(serde_json::Value::default))
        })?;
    }
    Ok(acknowledged)
}
