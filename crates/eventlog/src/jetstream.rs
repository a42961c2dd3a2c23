//! Logs in streams of a NATS JetStream server, which several nodes can share.
//!
//! Each log is a stream with one subject; each group of batches is one message, stored behind the
//! message that the writer knows to be the last. So a second writer cannot come in between: whoever
//! opens a log takes it over, and the one before is told that it is fenced.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::DeleteStreamErrorKind;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

use crate::{
    Appended, BoxFuture, DEDUPE_BATCHES, DedupeId, Epoch, Log, LogName, LogOptions, OpenError,
    PAYLOAD_MAX, RECORD_OVERHEAD, Store, StoreError,
};

mod index;
mod log;
mod message;
mod remote;
mod shared;
mod writer;

use log::JetStreamLog;
use message::{BadMark, FORMAT, Mark};
use remote::{PublishFail, Remote, Unavailable};
use shared::Shared;
use writer::Writer;

/// Largest batch, in bytes: one of the longest record. A server takes messages of 1 MiB unless it
/// is told otherwise.
pub const MAX_BATCH: usize = PAYLOAD_MAX + RECORD_OVERHEAD;
/// How long the server may take to answer.
pub const ANSWER: Duration = Duration::from_secs(5);
/// How often opening a log is tried while somebody else writes to it.
const ATTEMPTS: usize = 100;
/// How many messages back named batches are looked for when a log is opened.
const NAMED_WITHIN: u64 = 1_024;
/// How many messages are asked for at once then.
const AT_ONCE: usize = 16;

/// Where the streams are and what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The server, such as `nats://127.0.0.1:4222`, or several with commas between them; `tls://`
    /// for TLS. A user and a password may be before the host.
    pub servers: String,
    /// What streams are called: `<prefix>=<log>`, and their subjects `<prefix>.<log>`. Two stores
    /// with one prefix are the same store.
    pub prefix: LogName,
    /// How many servers of a cluster keep each stream. 3 survive the loss of one.
    pub replicas: usize,
}

impl JetStreamOptions {
    /// One replica of streams with a prefix. Dots in the prefix count as underscores, so that no
    /// prefix is the beginning of another one.
    #[must_use]
    pub fn new(servers: impl Into<String>, prefix: LogName) -> Self {
        Self { servers: servers.into(), prefix, replicas: 1 }
    }
}

/// Logs in streams of a server.
///
/// Dropping it leaves its logs usable by whoever holds them.
pub struct JetStreamStore {
    context: Context,
    options: JetStreamOptions,
    /// `None` once it was closed.
    logs: Mutex<Option<BTreeMap<LogName, Arc<JetStreamLog>>>>,
}

impl JetStreamStore {
    /// Connects to the server. A connection that is lost later is made again, for ever.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] if there is no server, or it keeps no streams.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect(options: JetStreamOptions) -> Result<Self, OpenError> {
        let servers: Vec<&str> = options.servers.split(',').map(str::trim).collect();
        let connecting = ConnectOptions::new()
            .name(options.prefix.as_str())
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER))
            .connect(servers);
        let unavailable = |Unavailable(cause)| OpenError::Unavailable { cause };
        let client = connecting.await.map_err(Unavailable::from).map_err(unavailable)?;
        let mut context = async_nats::jetstream::new(client);
        context.set_timeout(ANSWER);
        // A server without streams is told here, and not with the first log.
        let any = context.stream_names().try_next().await;
        any.map_err(Unavailable::from).map_err(unavailable)?;
        Ok(Self { context, options, logs: Mutex::new(Some(BTreeMap::new())) })
    }

    fn prefix(&self) -> String {
        self.options.prefix.as_str().replace('.', "_")
    }

    /// Names of streams have no dots.
    fn stream_name(&self, log: &str) -> String {
        format!("{}={}", self.prefix(), log.replace('.', "="))
    }

    async fn open_new(
        &self,
        name: &LogName,
        options: LogOptions,
    ) -> Result<Arc<JetStreamLog>, OpenError> {
        let unavailable = |Unavailable(cause)| OpenError::Unavailable { cause };
        let subject = format!("{}.{name}", self.prefix());
        let stream = self.stream_name(name.as_str());
        let remote = Remote::open(&self.context, stream, subject, self.options.replicas).await;
        let remote = remote.map_err(unavailable)?;
        let writer = DedupeId::random().0 as u64;
        for _ in 0..ATTEMPTS {
            let (first, last) = remote.ends().await.map_err(unavailable)?;
            let newest = remote.last((first, last)).await.map_err(unavailable)?;
            let mark = match newest.map(|newest| newest.mark) {
                None => Mark::new(Epoch::random(), writer),
                Some(Ok(mark)) => Mark { writer, ..mark.without_records() },
                Some(Err(BadMark::Newer(found))) => {
                    return Err(OpenError::NewerFormat { found, known: FORMAT });
                }
                Some(Err(error @ BadMark::Header(_))) => {
                    return Err(OpenError::Unavailable { cause: error.to_string() });
                }
            };
            // From here on an earlier writer is fenced.
            match remote.publish(last, &mark, Bytes::new()).await {
                Ok(claimed) => {
                    let named = named(&remote, first, last).await.map_err(unavailable)?;
                    let first = first.min(claimed);
                    let shared = Shared::new(name.clone(), remote, mark, first, claimed);
                    return Ok(JetStreamLog::start(Arc::new(shared), |shared, requests| {
                        Writer::new(shared, requests, options.retention, named)
                    }));
                }
                Err(PublishFail::Conflict) => {}
                Err(PublishFail::Full(cause)) => return Err(OpenError::Full { cause }),
                Err(PublishFail::Unavailable(cause)) => {
                    return Err(OpenError::Unavailable { cause });
                }
            }
        }
        Err(OpenError::Fenced { cause: "somebody else writes to it all the time".to_owned() })
    }
}

/// The last named batches of a stream, oldest first.
async fn named(
    remote: &Remote,
    first: u64,
    last: u64,
) -> Result<VecDeque<(DedupeId, Appended)>, Unavailable> {
    let from = first.max((last + 1).saturating_sub(NAMED_WITHIN));
    let messages = stream::iter(from..=last).map(|at| remote.fetch(at)).buffered(AT_ONCE);
    let found = messages.try_fold(VecDeque::new(), |mut named: VecDeque<_>, message| async move {
        named.extend(
            message.and_then(|message| message.mark.ok()).into_iter().flat_map(|m| m.named),
        );
        named.drain(..named.len().saturating_sub(DEDUPE_BATCHES));
        Ok(named)
    });
    found.await
}

impl Store for JetStreamStore {
    fn backend(&self) -> &'static str {
        "jetstream"
    }

    fn open<'a>(
        &'a self,
        name: &'a LogName,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<Arc<dyn Log>, OpenError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().await;
            let logs = logs.as_mut().ok_or(OpenError::Closed)?;
            if let Some(log) = logs.get(name).filter(|log| !log.shared.head.borrow().closed) {
                return Ok(Arc::clone(log) as Arc<dyn Log>);
            }
            let log = self.open_new(name, options).await?;
            logs.insert(name.clone(), Arc::clone(&log));
            Ok(log as Arc<dyn Log>)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<LogName>, StoreError>> {
        Box::pin(async move {
            if self.logs.lock().await.is_none() {
                return Err(StoreError::Closed);
            }
            let streams: Vec<String> =
                self.context.stream_names().try_collect().await.map_err(|error| {
                    StoreError::Unavailable { cause: Unavailable::from(error).0 }
                })?;
            let prefix = self.stream_name("");
            let ours = streams.iter().filter_map(|stream| stream.strip_prefix(&prefix));
            let mut names: Vec<_> =
                ours.filter_map(|name| LogName::new(&name.replace('=', ".")).ok()).collect();
            names.sort();
            Ok(names)
        })
    }

    fn delete<'a>(&'a self, name: &'a LogName) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().await;
            if let Some(log) = logs.as_mut().ok_or(StoreError::Closed)?.remove(name) {
                log.remove();
            }
            match self.context.delete_stream(self.stream_name(name.as_str())).await {
                Ok(_) => Ok(true),
                Err(error) => match error.kind() {
                    DeleteStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(false),
                    _ => Err(StoreError::Unavailable { cause: Unavailable::from(error).0 }),
                },
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let logs = self.logs.lock().await.take().unwrap_or_default();
            for log in logs.values() {
                // It lets what waits be stored first.
                log.close().await?;
                log.remove();
            }
            Ok(())
        })
    }
}
