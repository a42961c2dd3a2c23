mod ends;
mod fake;
mod order;
mod told;

use fake::{Fake, Supervisor, keys, obedient, secs, service, settings};

use super::*;

/// Runs a daemon beside a script that does things to it.
async fn drive(service: Service, script: impl Future<Output = ()>) -> ShutdownReport {
    let (report, ()) = tokio::join!(Box::pin(service.run()), script);
    report
}
