//! Pure: every metric by its name, with its help text and labels.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// How often a value fell into each of a list of ranges.
    Histogram,
}

impl Kind {
    /// The word in the text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name without the prefix; the unit is in it, and `_total` for counters.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures; without a full stop, which the text adds.
    pub help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// Every metric, in its documented order.
pub const CATALOGUE: &[Metric] = &[
    gauge("cdp_sessions", &[], "Open DevTools sessions"),
    counter(
        "cdp_sessions_total",
        &["reason", "detail"],
        "DevTools sessions that ended, by verdict",
    ),
    counter("cdp_refused_total", &["status", "detail"], "Upgrades of DevTools clients refused"),
    histogram("cdp_session_duration_seconds", &["reason"], "From the 101 to the end of a session"),
    histogram("cdp_hold_seconds", &[], "Time an upgrade was held until the browser was ready"),
    histogram("cdp_dial_seconds", &[], "Time to dial the browser, all attempts"),
    histogram("cdp_resolve_seconds", &[], "From the end of a session to its verdict"),
    histogram("cdp_teardown_seconds", &[], "From the end of a session to both sockets closed"),
    counter("cdp_messages_total", &["direction"], "DevTools messages forwarded"),
    counter("cdp_bytes_total", &["direction"], "Payload bytes forwarded"),
    counter("cdp_stall_seconds_total", &["direction"], "Time a side did not take what it was sent"),
    counter(
        "http_requests_total",
        &["route", "status"],
        "HTTP requests answered, by route pattern and status",
    ),
    counter("access_refused_total", &["cause"], "Requests refused before routing, by cause"),
    gauge("upstream_phase", &["phase"], "Browser endpoints in each phase"),
    counter("upstream_generations_total", &["cause"], "Browser instances that ended, by cause"),
    counter("upstream_url_refused_total", &["cause"], "Announced browser addresses not accepted"),
    counter("browser_exits_total", &["cause"], "Browser processes that ended, by cause"),
    histogram("browser_down_seconds", &[], "From the end of a browser to its successor"),
    gauge("sandboxes", &["state"], "Sandboxes in each state"),
    histogram("sandbox_create_seconds", &["warm"], "From admitted to ready"),
    counter("sandbox_stops_total", &["stop_reason"], "Sandboxes that ended, by reason"),
    counter("sandbox_create_refused_total", &["detail"], "Creates refused, by cause"),
    gauge("drain_state", &[], "Step of the shutdown, 1 to 10; 0 while running"),
    gauge("drain_waiting", &["kind"], "What a shutdown still waits for, by kind"),
    gauge("listeners", &["state"], "Agent listeners in each state"),
    counter("listener_reconnects_total", &["cause"], "Agent listeners that lost their runner"),
    counter("runs_total", &["outcome"], "Agent runs that ended, by outcome"),
    gauge("session_subscribers", &[], "Open streams of agent sessions"),
    counter("session_records_total", &["kind"], "Records logged for agent sessions, by kind"),
    counter("session_bytes_total", &[], "Bytes of events logged for agent sessions"),
    counter("events_published_total", &["category"], "Events that the log accepted"),
    counter("events_lost_total", &["category", "cause"], "Events lost before they got an offset"),
    counter("events_truncated_total", &[], "Events cut to fit the limit"),
    gauge("event_queue_events", &[], "Events that wait for the writer"),
    gauge("event_queue_bytes", &[], "Bytes of events that wait for the writer"),
    gauge("ring_events", &[], "Newest events kept in memory for readers"),
    gauge("stream_clients", &[], "Open event streams"),
    counter("stream_gaps_total", &["cause"], "Gaps told to readers of events"),
    gauge("sink_lag_events", &["sink"], "Events that a sink has not sent"),
    gauge("sink_lag_seconds", &["sink"], "Age of the oldest event that a sink has not sent"),
    counter("sink_sent_total", &["sink"], "Events that a sink's far side accepted"),
    counter("sink_dropped_total", &["sink", "cause"], "Events that a sink lost for good"),
    counter("sink_failures_total", &["sink", "cause"], "Attempts of a sink that failed"),
    histogram("log_append_seconds", &["log", "backend"], "Time until an append was acknowledged"),
    gauge("log_bytes", &["log", "backend"], "Bytes kept in a class of logs"),
    gauge("log_first_offset", &["log", "backend"], "First offset kept, of a log that is alone"),
    gauge(
        "log_next_offset",
        &["log", "backend"],
        "Offset of the next record, of a log that is alone",
    ),
    counter("log_errors_total", &["log", "backend", "cause"], "Appends that failed, by cause"),
    counter(
        "log_trimmed_total",
        &["log", "backend"],
        "Records dropped for age or room, or trimmed",
    ),
];
