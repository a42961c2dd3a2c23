//! Where log lines go and what they look like: for a person on a terminal, as JSON elsewhere.
//!
//! Only binaries call this. Lines go to stderr, so that what a program prints stays apart.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, fmt};

#[cfg(test)]
mod tests;

/// What log lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Text if stderr is a terminal, else JSON.
    #[default]
    Auto,
    /// For people: time, level, message, fields.
    Text,
    /// One JSON object a line: `timestamp`, `level`, `target`, `message`, and each field under its
    /// own name.
    Json,
}

/// Why logging was not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error(
        "log filter `{filter}`: {problem}; write a level, or `target=level`, separated by commas"
    )]
    BadFilter {
        /// What was asked for.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It was set up before.
    #[error("logging was set up before")]
    AlreadySet,
}

impl InitError {
    /// A stable word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadFilter { .. } => "bad_filter",
            Self::AlreadySet => "already_set",
        }
    }
}

/// Sets up logging for the whole process, once.
///
/// `filter` is a level such as `info`, or directives such as `info,wsproxy=debug`.
///
/// # Errors
/// [`InitError`].
pub fn init(format: Format, filter: &str) -> Result<(), InitError> {
    let terminal = io::stderr().is_terminal();
    let subscriber = subscriber(format, terminal, filter, io::stderr)?;
    set_global_default(subscriber).map_err(|_| InitError::AlreadySet)
}

/// Checks a filter without setting anything up.
///
/// # Errors
/// [`InitError::BadFilter`].
pub fn check_filter(filter: &str) -> Result<(), InitError> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, InitError> {
    EnvFilter::builder().parse(filter).map_err(|error| InitError::BadFilter {
        filter: filter.to_owned(),
        problem: error.to_string(),
    })
}

type Boxed = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    format: Format,
    terminal: bool,
    filter: &str,
    writer: W,
) -> Result<Boxed, InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt().with_env_filter(parse(filter)?).with_writer(writer);
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    Ok(if json {
        Box::new(lines.json().flatten_event(true).with_span_list(false).finish())
    } else {
        Box::new(lines.with_ansi(terminal).with_target(false).finish())
    })
}
