//! What every daemon does with its settings before anything else.

use std::ffi::OsString;
use std::path::PathBuf;

use telemetry::trace::SpanExport;
use telemetry::tracing_setup::{self, Format, InitError};

use super::{LOG, LOG_FORMAT, NODE_ID, spans, state_dir};
use crate::settings::{Environment, Values};
use crate::{ExitStatus, Refused};

/// The real environment of the process. For `main`; everything else takes an [`Environment`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

/// The state folder of this process: see [`state_dir`].
///
/// # Errors
/// When there is none.
pub fn own_state_dir(values: &Values) -> Result<PathBuf, Refused> {
    let root = rustix::process::geteuid().is_root();
    state_dir(values, root, &ProcessEnvironment).ok_or_else(|| {
        let why = "there is no folder for the state; choose one with STATE_DIR";
        Refused::new(ExitStatus::Failed, &why)
    })
}

/// Sets logging up, once in a process, and the export of spans if it is asked for: what is returned
/// sends them. `service` is the daemon's name.
///
/// # Errors
/// When the filter cannot be read.
pub fn set_up_logs(
    values: &Values,
    service: &'static str,
) -> Result<Option<SpanExport>, InitError> {
    let format = match values.find(&LOG_FORMAT).as_deref() {
        Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(_) | None => Format::Auto,
    };
    tracing_setup::init(format, &values.get(&LOG), spans(values), service)
}

/// What names this node: the setting, else the host's name.
pub fn node_id(values: &Values) -> String {
    values.find(&NODE_ID).unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if host.is_empty() { "local".to_owned() } else { host }
    })
}
