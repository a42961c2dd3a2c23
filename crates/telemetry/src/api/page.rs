//! `GET /v1/telemetry/events`: stored events, page by page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use eventlog::{Cursor, ReadError, ReadLimit};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Api, Refusal};
use crate::query::{GapTold, PAGE_DEFAULT, Place, Query};

/// Records looked at for one page, wanted or not.
const SCAN_MAX: usize = 50_000;
/// A page ends behind the event that makes it this long.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is read at once.
const STEP: ReadLimit = ReadLimit { records: 1_024, bytes: 1024 * 1024 };

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref().unwrap_or_default())?;
    // Without a cursor a page starts with the oldest event: "now" has nothing to show.
    let place = match query.place(api.feed.epoch(), None)? {
        Place::Now | Place::Oldest => Place::Oldest,
        after @ Place::After(_) => after,
    };
    let page = Page::collect(&api, &query, place).await.map_err(|error| match error {
        ReadError::Ahead { .. } | ReadError::Unavailable { .. } => {
            Refusal::later("LOG_UNAVAILABLE", error)
        }
        ReadError::Corrupt { .. } | ReadError::Closed => Refusal::later("LOG_CLOSED", error),
    });
    Ok(page?.response(&api))
}

struct Page {
    json: Vec<u8>,
    events: usize,
    gap: Option<GapTold>,
    next: u64,
    has_more: bool,
}

impl Page {
    async fn collect(api: &Api, query: &Query, place: Place) -> Result<Self, ReadError> {
        let feed = &api.feed;
        // A cursor beats a time.
        let since = query.since.filter(|_| place == Place::Oldest);
        let start = place.find(feed.epoch(), feed.first(), feed.news().next);
        let mut page = Self {
            json: b"[".to_vec(),
            events: 0,
            gap: start.gap,
            next: start.next,
            has_more: false,
        };
        let limit = query.limit.unwrap_or(PAGE_DEFAULT);
        let mut scanned = 0;
        loop {
            let before = page.next;
            let records = STEP.records.min(SCAN_MAX - scanned);
            let chunk = feed.read(before, ReadLimit { records, ..STEP }).await?;
            scanned += chunk.scanned;
            page.gap = page.gap.or(chunk.gap.map(GapTold::from));
            for event in &chunk.events {
                page.next = event.offset + 1;
                let too_old = since.is_some_and(|since| event.ts < since);
                let too_new = query.until.is_some_and(|until| event.ts > until);
                if too_old || too_new || !query.filter.wants(event) {
                    continue;
                }
                page.add(&event.envelope());
                if page.events == limit || page.json.len() >= BYTES_MAX {
                    page.has_more = page.next < feed.news().next;
                    return Ok(page.finish());
                }
            }
            page.next = chunk.next;
            if page.next == before {
                return Ok(page.finish());
            }
            if scanned >= SCAN_MAX {
                page.has_more = page.next < feed.news().next;
                return Ok(page.finish());
            }
        }
    }

    fn add(&mut self, envelope: &[u8]) {
        if self.events > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(envelope);
        self.events += 1;
    }

    fn finish(mut self) -> Self {
        self.json.push(b']');
        self
    }

    fn response(self, api: &Api) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut add = |name: &'static str, value: String| {
            // Numbers, words and an epoch: all of them fit a header.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let epoch = api.feed.epoch().clone();
        add("x-has-more", self.has_more.to_string());
        add("x-next-cursor", Cursor { epoch, offset: self.next - 1 }.to_string());
        if let Some(gap) = self.gap {
            api.metrics.gap(gap.cause);
            add("x-gap", format!("{}-{}", gap.from.unwrap_or(0), gap.to));
            add("x-gap-cause", gap.cause.to_string());
        }
        (headers, self.json).into_response()
    }
}
