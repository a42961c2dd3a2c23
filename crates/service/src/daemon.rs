//! What `main` does in every daemon: read the settings, set logs up, run, and say why not.

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::http::BindError;
use crate::settings::shared::{ProcessEnvironment, set_up_logs};
use crate::settings::{Invocation, Table, Values, load};
use crate::{ExitStatus, LockError, raise_open_files, run, say};

/// Time for the last spans to be sent, once everything else has ended.
const SPANS_GRACE: Duration = Duration::from_secs(2);

/// Why a daemon did not start: one line for a person, and how the process ends. Whoever returns it
/// leaves nothing running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    status: ExitStatus,
    text: String,
}

impl Refused {
    /// It ends with `status` because of `why`.
    pub fn new(status: ExitStatus, why: &dyn Display) -> Self {
        Self { status, text: why.to_string() }
    }

    /// The system failed at something that is no setting: `what` names it.
    pub fn system(what: &str, error: &dyn Display) -> Self {
        Self { status: ExitStatus::Failed, text: format!("{what}: {error}") }
    }

    /// How the process ends.
    pub const fn exit_status(&self) -> ExitStatus {
        self.status
    }
}

impl From<BindError> for Refused {
    fn from(error: BindError) -> Self {
        Self::new(ExitStatus::Unavailable, &error)
    }
}

impl From<LockError> for Refused {
    fn from(error: LockError) -> Self {
        Self::new(error.exit_status(), &error)
    }
}

/// The whole of a daemon's `main`: reads the settings of `table` from `args` (without the program's
/// name), the file and the environment, sets logs up, and runs `daemon` on a runtime to its end.
/// A refusal is one line on standard error, whatever the log's format and filter are.
pub fn main(
    table: &Table,
    args: impl IntoIterator<Item = OsString>,
    daemon: impl AsyncFnOnce(&Values) -> Result<ExitStatus, Refused>,
) -> ExitCode {
    let values = match load(table, args, &ProcessEnvironment) {
        Ok(Invocation::Run(values)) => values,
        Ok(Invocation::Print(text)) => {
            say(text);
            return ExitCode::SUCCESS;
        }
        Err(mistakes) => return refuse(&Refused::new(mistakes.exit_status(), &mistakes)).into(),
    };
    let spans = match set_up_logs(&values, table.program()) {
        Ok(spans) => spans,
        Err(error) => return refuse(&Refused::new(ExitStatus::Settings, &error)).into(),
    };
    for warning in values.warnings() {
        tracing::warn!("{warning}");
    }
    match raise_open_files() {
        Ok(limit) => tracing::info!("{limit}"),
        Err(error) => tracing::warn!(%error, "the open files limit cannot be raised"),
    }
    // Boxed: a daemon's start is one large future, and it is polled from here only.
    let daemon = async { Box::pin(daemon(&values)).await.unwrap_or_else(|why| refuse(&why)) };
    run(async {
        let Some(spans) = spans else { return daemon.await };
        let (end, ended) = oneshot::channel::<()>();
        let daemon = async {
            let status = daemon.await;
            drop(end);
            status
        };
        let stop = async { drop(ended.await) };
        tokio::join!(daemon, spans.run(stop, SPANS_GRACE)).0
    })
    .into()
}

fn refuse(why: &Refused) -> ExitStatus {
    eprintln!("error: {why}");
    why.status
}
