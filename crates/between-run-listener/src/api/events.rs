//! Streams of events: what is stored, then what comes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use eventlog::Cursor as LogCursor;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, header};
use telemetry::metrics::GaugeGuard;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::Refused;
use super::{Api, Names, Query, find};
use crate::registry::Pin;
use crate::session::Start;
use crate::session::cursor::Cursor;
use crate::session::view::{View, Which};

/// How long a stream says nothing: shorter than the idle times of common proxies.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Of events that are there at the same time, so many bytes go into one piece of the body: each piece
/// has a price of its own, several times that of the bytes of a small event.
const PIECE: usize = 16 * 1024;

/// The first words of each stream, and the last one before a drain ends it: when to come again.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// `GET agui/events`.
pub(super) async fn events(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let query = Query::of(query.as_deref(), &["after", "from", "view", "follow"])?;
    let start = start(&query, &headers)?;
    let which = match query.get("view") {
        None | Some("agui") => Which::Agui,
        Some("records") => Which::Records,
        Some(_) => return Err(Refused::bad("bad_parameter", &"view is agui or records")),
    };
    let follow = query.flag("follow", true)?;
    if sessions.is_draining() {
        return Err(crate::session::SessionsError::Draining.into());
    }
    let pin = sessions.pin(held.session.key());
    sessions.ensure(&held).await;
    let (cursor, view, lost) = held.session.subscribe(start, which).await?;
    let counted = held.session.count_subscriber();
    Ok(answer(Stream::new(cursor, view, lost, follow, sessions.leaving(), (pin, counted))))
}

/// The header comes from a client that lost its stream, so what it says counts even if it is
/// nonsense; the parameter comes from somebody who can mend it.
fn start(query: &Query, headers: &HeaderMap) -> Result<Start, Refused> {
    if let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) {
        let cursor = id.to_str().ok().and_then(|id| id.parse::<LogCursor>().ok());
        return Ok(cursor.map_or(Start::Unknown, Start::After));
    }
    if let Some(after) = query.get("after") {
        let cursor = after.parse::<LogCursor>();
        return cursor.map(Start::After).map_err(|error| Refused::bad("bad_cursor", &error));
    }
    match query.get("from") {
        None | Some("start") => Ok(Start::First),
        Some("now") => Ok(Start::Now),
        Some(_) => Err(Refused::bad("bad_parameter", &"from is start or now")),
    }
}

/// One subscriber.
pub(super) struct Stream {
    cursor: Cursor,
    view: View,
    ready: VecDeque<Bytes>,
    follow: bool,
    leaving: CancellationToken,
    over: bool,
    beat: Instant,
    _pin: Pin,
    _counted: Option<GaugeGuard>,
}

impl Stream {
    pub(super) fn new(
        cursor: Cursor,
        view: View,
        lost: Option<Bytes>,
        follow: bool,
        leaving: CancellationToken,
        held: (Pin, Option<GaugeGuard>),
    ) -> Self {
        let ready = std::iter::once(RETRY).chain(lost).collect();
        let beat = Instant::now() + HEARTBEAT;
        Self {
            cursor,
            view,
            ready,
            follow,
            leaving,
            over: false,
            beat,
            _pin: held.0,
            _counted: held.1,
        }
    }

    /// What is ready, one event as it is, of several small ones as many as fit into a piece.
    fn piece(&mut self) -> Option<Bytes> {
        let (mut frames, mut bytes) = (0, 0);
        for frame in &self.ready {
            bytes += frame.len();
            if frames > 0 && bytes > PIECE {
                bytes -= frame.len();
                break;
            }
            frames += 1;
        }
        if frames < 2 {
            return self.ready.pop_front();
        }
        let mut piece = BytesMut::with_capacity(bytes);
        self.ready.drain(..frames).for_each(|frame| piece.extend_from_slice(&frame));
        Some(piece.freeze())
    }

    /// The next write, nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.piece() {
                self.beat = Instant::now() + HEARTBEAT;
                return Some(piece);
            }
            if self.over || self.view.is_over() {
                return None;
            }
            let mut shown = Vec::new();
            if self.cursor.is_at_end() {
                self.view.flush(&mut shown);
                self.ready.extend(shown.drain(..));
                if !self.follow {
                    self.over = true;
                }
                if self.over || !self.ready.is_empty() {
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = self.leaving.cancelled() => {
                    self.over = true;
                    self.ready.push_back(RETRY);
                }
                step = self.cursor.next() => match step {
                    Ok(Some(step)) => {
                        self.view.show(&step, &mut shown);
                        let mut bytes: usize = shown.iter().map(Bytes::len).sum();
                        while bytes < PIECE
                            && let Some(step) = self.cursor.ready()
                        {
                            let before = shown.len();
                            self.view.show(&step, &mut shown);
                            bytes += shown[before..].iter().map(Bytes::len).sum::<usize>();
                        }
                        self.ready.extend(shown);
                    }
                    // The client comes back and goes on behind the last id.
                    Ok(None) | Err(_) => self.over = true,
                },
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + HEARTBEAT;
                    return Some(Bytes::from_static(b": hb\n\n"));
                }
            }
        }
    }
}

/// An answer with a stream as its body.
pub(super) fn answer(stream: Stream) -> Response {
    let frames = unfold(stream, |mut stream| async move {
        let frame = stream.next().await?;
        Some((Ok::<_, Infallible>(frame), stream))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
