//! Where log lines go and what they look like: for a person on a terminal, as JSON elsewhere.
//!
//! Only binaries call this. Lines go to stderr, so that what a program prints stays apart.

use std::io::{self, IsTerminal};

use opentelemetry_sdk::trace::SdkTracer;
use tracing::subscriber::set_global_default;
use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::sinks::Otlp;
use crate::trace::{self, SpanExport};

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
/// With a receiver every span of level info goes there too, as one of `service`, whatever the filter
/// says; log lines do not. What is returned sends them.
///
/// # Errors
/// [`InitError`].
pub fn init(
    format: Format,
    filter: &str,
    spans: Option<Otlp>,
    service: &'static str,
) -> Result<Option<SpanExport>, InitError> {
    let terminal = io::stderr().is_terminal();
    let lines = lines(format, terminal, filter, io::stderr)?;
    let (tracer, export) = spans.map(|receiver| trace::export(receiver, service)).unzip();
    let subscriber = Registry::default().with(lines).with(tracer.map(exported));
    set_global_default(subscriber).map_err(|_| InitError::AlreadySet)?;
    Ok(export)
}

/// Spans without the lines in them, and with no more about them than they say themselves.
fn exported<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO))
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

type Lines<S> = Box<dyn Layer<S> + Send + Sync>;

fn lines<S, W>(
    format: Format,
    terminal: bool,
    filter: &str,
    writer: W,
) -> Result<Lines<S>, InitError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (lines, filter) = (fmt::layer().with_writer(writer), parse(filter)?);
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    Ok(if json {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        Box::new(lines.with_filter(filter))
    } else {
        Box::new(lines.with_ansi(terminal).with_target(false).with_filter(filter))
    })
}
