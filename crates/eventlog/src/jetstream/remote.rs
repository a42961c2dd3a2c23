//! One stream of the server: publish behind a sequence, fetch by sequence, drop the oldest.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config, DirectGetErrorKind, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;

use super::message::{BadMark, Mark};

/// How many messages at the end of a stream may be missing.
const REMOVED: usize = 64;

/// A message as it is in the stream.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) sequence: u64,
    pub(super) mark: Result<Mark, BadMark>,
    pub(super) payload: Bytes,
}

impl From<StreamMessage> for Message {
    fn from(found: StreamMessage) -> Self {
        let mark = Mark::read(|name| Some(found.headers.get(name)?.as_str()));
        Self { sequence: found.sequence, mark, payload: found.payload }
    }
}

/// Why a message was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublishFail {
    /// The stream does not end with the sequence that was expected.
    Conflict,
    /// There is no room.
    Full(String),
    /// No answer, or none that says more. It may have been stored, or still be.
    Unavailable(String),
}

/// The server does not answer, or says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(pub(super) String);

impl Unavailable {
    pub(super) fn from(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self(text)
    }
}

/// A stream with one subject. It is written through `publish` only, so that each message is behind
/// the one that its writer knew.
pub(super) struct Remote {
    context: Context,
    stream: Stream,
    subject: String,
}

impl Remote {
    /// Opens a stream, and creates it if there is none.
    pub(super) async fn open(
        context: &Context,
        name: String,
        subject: String,
        replicas: usize,
    ) -> Result<Self, Unavailable> {
        let config = Config {
            name,
            subjects: vec![subject.clone()],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: replicas,
            allow_direct: true,
            ..Config::default()
        };
        let stream = context.get_or_create_stream(config).await.map_err(Unavailable::from)?;
        Ok(Self { context: context.clone(), stream, subject })
    }

    /// First and last sequence; the first is one more than the last if there is no message.
    pub(super) async fn ends(&self) -> Result<(u64, u64), Unavailable> {
        let info = self.stream.get_info().await.map_err(Unavailable::from)?;
        let state = info.state;
        let first =
            if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence };
        Ok((first, state.last_sequence))
    }

    /// The last message that is there, of those with sequences up to `end`. The very last ones may
    /// have been removed by somebody.
    pub(super) async fn last(
        &self,
        (first, end): (u64, u64),
    ) -> Result<Option<Message>, Unavailable> {
        for sequence in (first..=end).rev().take(REMOVED) {
            if let Some(found) = self.fetch(sequence).await? {
                return Ok(Some(found));
            }
        }
        if first > end {
            return Ok(None);
        }
        Err(Unavailable(format!("the last {REMOVED} messages of the stream are missing")))
    }

    /// Stores a message right behind another one, and gives its sequence.
    pub(super) async fn publish(
        &self,
        behind: u64,
        mark: &Mark,
        payload: Bytes,
    ) -> Result<u64, PublishFail> {
        let mut headers = HeaderMap::new();
        for (name, value) in mark.headers() {
            headers.insert(name, value);
        }
        let message = PublishMessage::build()
            .payload(payload)
            .headers(headers)
            .expected_last_sequence(behind);
        let acknowledged =
            async { self.context.send_publish(self.subject.clone(), message).await?.await };
        let error = match acknowledged.await {
            Ok(ack) => return Ok(ack.sequence),
            Err(error) => error,
        };
        let text = Unavailable::from(&error).0;
        Err(match error.kind() {
            PublishErrorKind::WrongLastSequence => PublishFail::Conflict,
            _ if says_full(&error) => PublishFail::Full(text),
            _ => PublishFail::Unavailable(text),
        })
    }

    /// A message, if it is there. What was acknowledged is found: a replica that does not have it
    /// yet is not the last word.
    pub(super) async fn fetch(&self, sequence: u64) -> Result<Option<Message>, Unavailable> {
        let found = match self.stream.direct_get(sequence).await {
            Ok(found) => found,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match self.stream.get_raw_message(sequence).await {
                    Ok(found) => found,
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                        return Ok(None);
                    }
                    Err(error) => return Err(Unavailable::from(error)),
                }
            }
            Err(error) => return Err(Unavailable::from(error)),
        };
        Ok(Some(Message::from(found)))
    }

    /// Drops every message before a sequence.
    pub(super) async fn drop_before(&self, sequence: u64) -> Result<(), Unavailable> {
        let purged = self.stream.purge().sequence(sequence).await;
        purged.map(drop).map_err(Unavailable::from)
    }
}

/// Whether a server refused a message for want of room.
fn says_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<async_nats::jetstream::Error>() {
            let full = [ErrorCode::INSUFFICIENT_RESOURCES, ErrorCode::STREAM_STORE_FAILED];
            return full.contains(&error.error_code());
        }
        next = error.source();
    }
    false
}
