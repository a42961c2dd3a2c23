//! A session's log as a file of lines.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::{HeaderValue, header};
use serde_json::json;

use super::error::Refused;
use super::{Api, Names, Query, find};
use crate::log::Kind;
use crate::session::Start;
use crate::session::cursor::{Cursor, Step};
use crate::session::view::{Which, record};

/// How much is put into one piece of the body.
const PIECE: usize = 64 * 1024;

/// `GET export`.
pub(super) async fn export(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let query = Query::of(query.as_deref(), &["form", "open"])?;
    let records = match query.get("form") {
        None | Some("events") => false,
        Some("records") => true,
        Some(_) => return Err(Refused::bad("bad_parameter", &"form is events or records")),
    };
    let open = query.flag("open", records)?;
    let until = held.session.export_until(open).await?;
    let (cursor, _, _) = held.session.subscribe(Start::First, Which::Records).await?;
    let lines = Lines { cursor, until, records, torn: false, over: false };
    let pieces = unfold(lines, |mut lines| async move {
        let piece = lines.next().await?;
        Some((Ok::<_, Infallible>(piece), lines))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    let name = format!("attachment; filename=\"{}.jsonl\"", held.session.key().session());
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

struct Lines {
    cursor: Cursor,
    /// The last offset.
    until: u64,
    records: bool,
    /// Events are left out until a run begins.
    torn: bool,
    over: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        let mut piece = BytesMut::new();
        while !self.over && piece.len() < PIECE && !self.cursor.is_past(self.until) {
            // A log that cannot be read ends the file early; its length is not promised.
            let Ok(Some(step)) = self.cursor.next().await else {
                self.over = true;
                break;
            };
            if matches!(&step, Step::Entry(entry) if entry.offset() > self.until) {
                self.over = true;
                break;
            }
            if let Some(line) = self.line(&step) {
                piece.extend_from_slice(&line);
                piece.extend_from_slice(b"\n");
            }
        }
        (!piece.is_empty()).then(|| piece.freeze())
    }

    fn line(&mut self, step: &Step) -> Option<Bytes> {
        match step {
            Step::Gap(gap) if self.records => {
                let reason = gap.why;
                let line =
                    json!({ "kind": "gap", "from": gap.from, "to": gap.to, "reason": reason });
                Some(line.to_string().into())
            }
            Step::Gap(_) => {
                self.torn = true;
                None
            }
            Step::Entry(entry) if self.records => {
                (entry.stored.envelope.kind != Kind::Part).then(|| record(entry).into())
            }
            Step::Entry(entry) => {
                let envelope = &entry.stored.envelope;
                if envelope.kind != Kind::Event {
                    return None;
                }
                self.torn &= envelope.event_type.as_deref() != Some("RUN_STARTED");
                if self.torn {
                    return None;
                }
                let data = &entry.stored.data;
                if memchr::memchr(b'\n', data).is_none() {
                    return Some(data.clone());
                }
                // JSON has no line ends inside of text, so this changes only its looks.
                let one: Vec<u8> =
                    data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
                Some(one.into())
            }
        }
    }
}
