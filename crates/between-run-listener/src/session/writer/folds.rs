//! When the writer has closed runs folded. One fold at a time; the writer goes on meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use telemetry::events::SessionFolded;
use tokio::task::JoinSet;

use super::{Writer, now};
use crate::log::{Envelope, Kind, Origin, Stored};
use crate::session::bases::{BasesError, Seal};
use crate::session::event::EventType;
use crate::session::folder::{Folded, Folder};
use crate::session::lane::Draft;
use crate::session::pile::{Limits, Pile};

/// How long a fold that failed is not tried again.
const PAUSE: Duration = Duration::from_secs(60);

/// What is raw, and the fold that runs.
pub(in crate::session) struct Folds {
    pub(in crate::session) folder: Folder,
    pub(in crate::session) limits: Limits,
    pub(in crate::session) pile: Pile,
    pub(in crate::session) running: JoinSet<Result<Folded, BasesError>>,
    pub(in crate::session) not_before: Option<Instant>,
}

impl Folds {
    /// A record is in the log.
    pub(super) fn add(&mut self, stored: &Stored, bytes: u64) {
        self.pile.add(stored.offset, bytes);
        let name = stored.envelope.event_type.as_deref().unwrap_or_default();
        if stored.envelope.kind == Kind::Event && EventType::named(name).is_terminal() {
            self.pile.close();
        }
    }

    /// Whether the open run has more than a session may have.
    pub(super) fn is_full(&self) -> bool {
        self.pile.is_full(&self.limits)
    }

    /// Starts a fold if one is due and none runs; `open` says whether a run is open.
    pub(super) fn start(&mut self, open: bool) {
        if !self.running.is_empty() || self.not_before.is_some_and(|at| now() < at) {
            return;
        }
        let base = self.folder.bases.seal().map_or(0, |seal| seal.bytes);
        if let Some(mark) = self.pile.due(&self.limits, open, base) {
            self.running.spawn(self.folder.clone().fold(mark));
        }
    }

    /// Waits for a fold to end, for ever if none runs. Gives the base, if there is a new one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn done(&mut self) -> Option<Arc<Seal>> {
        let Some(done) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        match done {
            Ok(Ok(Folded { mark, seal })) => {
                self.pile.folded(mark);
                Some(seal)
            }
            Ok(Err(error)) => self.failed(&error),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &dyn std::error::Error) -> Option<Arc<Seal>> {
        tracing::warn!(error = %error, session = self.folder.name, "closed runs were not folded");
        self.not_before = Some(now() + PAUSE);
        None
    }

    /// Ends a fold that runs; what counted before it still counts, or the new base does.
    pub(super) async fn end(&mut self) {
        self.running.shutdown().await;
    }
}

impl Writer {
    /// Takes note of a fold.
    pub(super) fn folded(&self, seal: Option<Arc<Seal>>, drafts: &mut Vec<Draft>) {
        let Some(seal) = seal else { return };
        drafts.push(note(&seal));
        let teller = &self.shared.teller;
        teller.publish(SessionFolded {
            session: teller.session.clone(),
            from_offset: seal.from,
            covers_offset: seal.covers,
            bytes: seal.bytes,
        });
    }

    /// Reads the whole conversation if the runner's snapshots are to be completed.
    pub(super) async fn remember(&mut self) {
        if !self.lane.wants_conversation() {
            return;
        }
        match self.folds.folder.conversation().await {
            Ok(conversation) => self.lane.remember(conversation),
            // Until then clients see the runner's snapshots only; it is tried again with the next.
            Err(error) => {
                tracing::warn!(error = %error, session.id = ?self.shared.key, "a log was not read");
            }
        }
    }
}

fn note(seal: &Arc<Seal>) -> Draft {
    let said = json!({ "covers": seal.covers, "from": seal.from, "bytes": seal.bytes });
    let envelope =
        Envelope { reason: Some("fold".into()), ..Envelope::new(Kind::Note, Origin::Gateway) };
    Draft { envelope, data: Bytes::from(said.to_string()) }
}
