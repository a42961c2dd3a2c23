//! Pure: the settings about where events go beside their readers.

use std::path::PathBuf;

use telemetry::sinks::{JsonLines, Otlp, Sinks};

use crate::settings::setting::Setting;
use crate::settings::{Finding, Key, Kind, OptionalKey, SettingValue, Size, Values};

static EVENTS_FILE: OptionalKey<PathBuf> = OptionalKey::new(
    "EVENTS_FILE",
    "none",
    "Appends every event to this file, one JSON object a line, beside what streams and pages give.",
);
static EVENTS_FILE_SIZE: Key<Size> = Key::new(
    "EVENTS_FILE_SIZE",
    "128 MiB",
    "How long EVENTS_FILE gets before it is renamed to end in .1, .1 in .2 and so on.",
)
.range("4 KiB", "1024 GiB");
static EVENTS_FILE_KEEP: Key<u64> =
    Key::new("EVENTS_FILE_KEEP", "8", "Renamed files that are kept; the oldest is removed.")
        .range("0", "10000");
static EVENTS_FILE_SYNC: Key<bool> = Key::new(
    "EVENTS_FILE_SYNC",
    "false",
    "Whether lines survive a loss of power as soon as they count as sent; that costs a sync of the \
     disk each 100 ms.",
);
static OTLP_ENDPOINT: OptionalKey<Endpoint> = OptionalKey::new(
    "OTLP_ENDPOINT",
    "none",
    "Sends every event as a log record to this OTLP receiver: http://HOST:PORT of a collector \
     beside this machine, as TLS is not spoken.",
);
static OTLP_TOKEN_FILE: OptionalKey<PathBuf> = OptionalKey::new(
    "OTLP_TOKEN_FILE",
    "none",
    "The file with the bearer token for OTLP_ENDPOINT; read again when the receiver refuses it.",
);

static OTLP_TRACES: Key<bool> = Key::new(
    "OTLP_TRACES",
    "false",
    "Whether OTLP_ENDPOINT gets spans too: one of each request and one of each session. Those of a \
     caller who sends traceparent are part of the caller's trace, and left out if it is not recorded.",
);

/// The settings about where events go beside their readers.
pub fn events() -> [&'static Setting; 7] {
    [
        EVENTS_FILE.setting(),
        EVENTS_FILE_SIZE.setting(),
        EVENTS_FILE_KEEP.setting(),
        EVENTS_FILE_SYNC.setting(),
        OTLP_ENDPOINT.setting(),
        OTLP_TOKEN_FILE.setting(),
        OTLP_TRACES.setting(),
    ]
}

/// The sinks that are set, if any is. `cursors` is where they keep their places, for a log that
/// outlives the process.
pub fn sinks(values: &Values, cursors: Option<PathBuf>) -> Option<Sinks> {
    let jsonl = values.find(&EVENTS_FILE).map(|path| JsonLines {
        rotate_at: values.get(&EVENTS_FILE_SIZE).0,
        keep: u32::try_from(values.get(&EVENTS_FILE_KEEP)).unwrap_or(u32::MAX),
        sync: values.get(&EVENTS_FILE_SYNC),
        ..JsonLines::new(path)
    });
    let otlp = receiver(values);
    (jsonl.is_some() || otlp.is_some()).then_some(Sinks { cursors, jsonl, otlp })
}

fn receiver(values: &Values) -> Option<Otlp> {
    let Endpoint { mut otlp, .. } = values.find(&OTLP_ENDPOINT)?;
    otlp.token_file = values.find(&OTLP_TOKEN_FILE);
    Some(otlp)
}

/// Where spans go, if they are wanted.
pub fn spans(values: &Values) -> Option<Otlp> {
    receiver(values).filter(|_| values.get(&OTLP_TRACES))
}

/// Spans need a receiver.
pub(super) fn needs_receiver(values: &Values) -> Vec<Finding> {
    if !values.get(&OTLP_TRACES) || values.find(&OTLP_ENDPOINT).is_some() {
        return Vec::new();
    }
    let text = "OTLP_TRACES is true and there is nobody to send spans to; set OTLP_ENDPOINT";
    vec![Finding::Mistake(text.to_owned())]
}

/// The setting that [`needs_receiver`] is about.
pub(super) fn about_spans() -> [&'static Setting; 2] {
    [OTLP_TRACES.setting(), OTLP_ENDPOINT.setting()]
}

/// An OTLP receiver as it was written.
#[derive(Clone)]
struct Endpoint {
    otlp: Otlp,
    text: String,
}

impl SettingValue for Endpoint {
    const KIND: Kind = Kind::Url;

    fn read(text: &str) -> Result<Self, String> {
        match Otlp::new(text) {
            Ok(otlp) => Ok(Self { otlp, text: text.to_owned() }),
            Err(error) => Err(format!("{text:?} cannot be used: {error}")),
        }
    }

    fn show(&self) -> String {
        self.text.clone()
    }
}
