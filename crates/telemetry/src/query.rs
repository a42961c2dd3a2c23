//! Pure: what a reader asks for, from which place on and which events.

use std::borrow::Cow;

use eventlog::{Cursor, Epoch, Gap, GapCause, parse_offset};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::feed::Stored;
use crate::words::{Category, GapWord};

#[cfg(test)]
mod tests;

/// Most events on a page.
pub const PAGE_MAX: usize = 1_000;
/// Events on a page unless the reader says how many.
pub const PAGE_DEFAULT: usize = 100;

/// The query of a request that reads events. Names that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) filter: Filter,
    pub(crate) after: Option<String>,
    pub(crate) replay_all: bool,
    /// Microseconds since 1970, inclusive.
    pub(crate) since: Option<i64>,
    /// Microseconds since 1970, inclusive.
    pub(crate) until: Option<i64>,
    pub(crate) limit: Option<usize>,
}

/// Which events a reader wants: of each list that is not empty, one has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    categories: Vec<Category>,
    kinds: Vec<String>,
    sandboxes: Vec<String>,
}

/// A query that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("query `{name}`: {problem}")]
pub(crate) struct BadQuery {
    name: &'static str,
    problem: String,
}

impl Query {
    /// Reads the part of a URL behind `?`.
    pub(crate) fn read(query: &str) -> Result<Self, BadQuery> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value);
            match &*decode(name) {
                "category" => {
                    let category = value.parse().map_err(|error| bad("category", &error))?;
                    read.filter.categories.push(category);
                }
                "type" => read.filter.kinds.push(value.into_owned()),
                "sandbox" => read.filter.sandboxes.push(value.into_owned()),
                "after" => read.after = Some(value.into_owned()),
                "replay" if value == "all" => read.replay_all = true,
                "replay" => return Err(bad("replay", &"the only value is `all`")),
                "since" => read.since = Some(time("since", &value)?),
                "until" => read.until = Some(time("until", &value)?),
                "limit" => match value.parse() {
                    Ok(limit @ 1..=PAGE_MAX) => read.limit = Some(limit),
                    _ => return Err(bad("limit", &"a number from 1 to 1000")),
                },
                _ => {}
            }
        }
        Ok(read)
    }

    /// The place that the reader asks for. A header that is no cursor counts as absent, since its
    /// reader cannot choose it; a bad `after` is a mistake.
    pub(crate) fn place(
        &self,
        epoch: &Epoch,
        last_event_id: Option<&str>,
    ) -> Result<Place, BadQuery> {
        if let Some(cursor) = last_event_id.and_then(|id| cursor(id, epoch)) {
            return Ok(Place::After(cursor));
        }
        match &self.after {
            Some(after) => cursor(after, epoch)
                .map(Place::After)
                .ok_or_else(|| bad("after", &eventlog::BadCursor)),
            None if self.replay_all => Ok(Place::Oldest),
            None => Ok(Place::Now),
        }
    }
}

impl Filter {
    /// Whether an event is wanted.
    pub(crate) fn wants(&self, event: &Stored) -> bool {
        let category = |wanted: &Category| Some(*wanted) == event.category;
        let kind = |wanted: &String| **wanted == *event.kind;
        let sandbox = |wanted: &String| Some(&**wanted) == event.sandbox.as_deref();
        (self.categories.is_empty() || self.categories.iter().any(category))
            && (self.kinds.is_empty() || self.kinds.iter().any(kind))
            && (self.sandboxes.is_empty() || self.sandboxes.iter().any(sandbox))
    }
}

fn bad(name: &'static str, problem: &dyn ToString) -> BadQuery {
    BadQuery { name, problem: problem.to_string() }
}

fn time(name: &'static str, value: &str) -> Result<i64, BadQuery> {
    value.parse().map_err(|_| bad(name, &"microseconds since 1970, a whole number"))
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaces = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaces).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// A cursor, or a plain number in this epoch.
fn cursor(text: &str, epoch: &Epoch) -> Option<Cursor> {
    let text = text.trim();
    match parse_offset(text) {
        Ok(offset) => Some(Cursor { epoch: epoch.clone(), offset }),
        Err(_) => text.parse().ok(),
    }
}

/// Where a reader wants to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// With the next event.
    Now,
    /// With the oldest event there is.
    Oldest,
    /// Behind the last event it has seen.
    After(Cursor),
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// What it has to be told first.
    pub(crate) gap: Option<GapTold>,
    /// The first offset to read.
    pub(crate) next: u64,
}

impl Place {
    /// Finds the place in a log that keeps `first..next`.
    pub(crate) fn find(self, epoch: &Epoch, first: u64, next: u64) -> Start {
        match self {
            Self::Now => Start { gap: None, next },
            Self::Oldest => Start { gap: None, next: first },
            Self::After(cursor) if cursor.epoch != *epoch => Start {
                gap: Some(GapTold { from: None, to: first - 1, cause: GapWord::EpochChanged }),
                next: first,
            },
            Self::After(cursor) if cursor.offset >= next => Start {
                gap: Some(GapTold { from: None, to: next - 1, cause: GapWord::Ahead }),
                next,
            },
            Self::After(cursor) => Start { gap: None, next: cursor.offset + 1 },
        }
    }
}

/// Offsets that a reader will not see, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GapTold {
    /// The first; absent if not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<u64>,
    /// The last. Reading goes on behind it. 0 = before the first event.
    pub(crate) to: u64,
    pub(crate) cause: GapWord,
}

impl From<Gap> for GapTold {
    fn from(gap: Gap) -> Self {
        let cause = match gap.cause {
            GapCause::Retention => GapWord::Retention,
            GapCause::Corrupt => GapWord::Corrupt,
            GapCause::Crash => GapWord::Crash,
        };
        Self { from: Some(gap.from), to: gap.to, cause }
    }
}
