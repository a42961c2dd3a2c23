//! The agent sessions of sandboxes that have a runner: made when it is ready, stopped while the
//! sandbox is parked, deleted with it.
//!
//! What is heard of sandboxes is noted at once, as what their sessions shall be; one task brings the
//! sessions there, and tries again what has failed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use between_run_listener::SessionKey;
use between_run_listener::session::settings::{Checked, Settings};
use between_run_listener::session::{OnActivity, OnStop, Sessions, SessionsError};
use http::request::Parts;
use lockkeeper_api::SandboxState;
use orchestrator::ids::SandboxId;
use orchestrator::{Orchestrator, Runners};
use service::settings::PublicUrl;
use tokio::sync::Notify;

/// The project of their sessions; a session has the name of its sandbox.
pub(crate) const PROJECT: &str = "sandboxes";

/// What clients read that want to make or delete one.
pub(crate) const NOT_BY_CLIENTS: &str = "the sessions of this node are those of its sandboxes: they come with a template \
     that has a runner, and go with the sandbox; listenerd is the gateway for other runners";

/// Pause before what has failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a session shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// Its runner is being started.
    Nothing,
    Listening {
        url: String,
        stop_on_run_finished: bool,
    },
    Stopped,
    Deleted,
}

/// One sandbox with a runner.
#[derive(Debug)]
struct Entry {
    /// Opens the DevTools address of this sandbox to its runner, where a token is needed.
    key: Option<String>,
    wanted: Wanted,
    /// The session is not there yet.
    due: bool,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<SandboxId, Entry>,
    /// Found by themselves, so that the time of a look tells nothing of them.
    keys: HashMap<String, SandboxId>,
}

/// What is known of all of them.
pub(crate) struct SandboxRunners {
    /// `ws://127.0.0.1:7300`, and over TLS perhaps `wss://boxes.example.org/base`.
    base: String,
    needs_token: bool,
    table: Mutex<Table>,
    changed: Notify,
    sessions: OnceLock<Arc<Sessions>>,
}

impl fmt::Debug for SandboxRunners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxRunners").field("base", &self.base).finish_non_exhaustive()
    }
}

impl SandboxRunners {
    /// Of a node that runners reach there; with `needs_token`, they get a key of their own.
    pub(crate) fn new(base: String, needs_token: bool) -> Arc<Self> {
        Arc::new(Self {
            base,
            needs_token,
            table: Mutex::default(),
            changed: Notify::new(),
            sessions: OnceLock::new(),
        })
    }

    /// What sessions tell when a finished run has stopped one: the sandbox ends.
    pub(crate) fn on_stop(orchestrator: Orchestrator) -> OnStop {
        OnStop(Arc::new(move |key| {
            if key.project() == PROJECT {
                orchestrator.run_finished(key.session());
            }
        }))
    }

    /// What sessions tell when their runners say something: the sandbox is in use.
    pub(crate) fn on_activity(orchestrator: Orchestrator) -> OnActivity {
        OnActivity(Arc::new(move |key| {
            if key.project() == PROJECT {
                orchestrator.runner_active(key.session());
            }
        }))
    }

    /// From now on sessions are kept here. Those of an earlier daemon are deleted, unless their
    /// sandboxes are parked.
    pub(crate) fn keep_in(&self, sessions: &Arc<Sessions>, orchestrator: &Orchestrator) {
        let mut table = self.table();
        for held in sessions.list(PROJECT, None, usize::MAX) {
            let Ok(sandbox) = held.session.key().session().parse::<SandboxId>() else { continue };
            let parked = orchestrator
                .get(sandbox.as_str())
                .is_some_and(|snapshot| snapshot.state().word() == SandboxState::Paused);
            let wanted = if parked { Wanted::Stopped } else { Wanted::Deleted };
            // A client may have been quick and have brought it back.
            let entry = Entry { key: None, wanted, due: true };
            table.entries.entry(sandbox).or_insert(entry);
        }
        drop(table);
        // Nobody else sets it.
        let _ = self.sessions.set(Arc::clone(sessions));
        self.changed.notify_one();
    }

    /// Whether a request for a DevTools address is that of the sandbox's own runner.
    pub(crate) fn opens(&self, parts: &Parts) -> bool {
        let query = parts.uri.query().unwrap_or_default();
        let Some(key) = query.split('&').find_map(|pair| pair.strip_prefix("token=")) else {
            return false;
        };
        let table = self.table();
        let Some(sandbox) = table.keys.get(key) else { return false };
        let below = parts.uri.path().strip_prefix("/sandboxes/");
        below.and_then(|rest| rest.split('/').next()) == Some(sandbox.as_str())
    }

    /// Brings sessions to where they shall be, for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.changed.notified().await;
            while self.settle().await > 0 {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Tries once what is due; how much has failed.
    pub(crate) async fn settle(&self) -> usize {
        let Some(sessions) = self.sessions.get() else { return 0 };
        let due: Vec<(SandboxId, Wanted)> = {
            let mut table = self.table();
            let due = table.entries.iter_mut().filter(|(_, entry)| entry.due);
            due.map(|(sandbox, entry)| {
                entry.due = false;
                (sandbox.clone(), entry.wanted.clone())
            })
            .collect()
        };
        let mut failed = 0;
        for (sandbox, wanted) in due {
            let outcome = bring(sessions, &sandbox, &wanted).await;
            let mut table = self.table();
            match outcome {
                Ok(()) => {
                    let over = |entry: &Entry| entry.wanted == Wanted::Deleted && !entry.due;
                    if table.entries.get(&sandbox).is_some_and(over) {
                        table.entries.remove(&sandbox);
                    }
                }
                Err(error) => {
                    tracing::warn!(sandbox.id = %sandbox, %error, ?wanted, "session of a runner");
                    failed += 1;
                    if let Some(entry) = table.entries.get_mut(&sandbox) {
                        entry.due = true;
                    }
                }
            }
        }
        failed
    }

    fn want(&self, sandbox: &SandboxId, wanted: Wanted) {
        let mut table = self.table();
        let Table { entries, keys } = &mut *table;
        let Some(entry) = entries.get_mut(sandbox) else { return };
        if wanted == Wanted::Deleted
            && let Some(key) = entry.key.take()
        {
            keys.remove(&key);
        }
        entry.wanted = wanted;
        entry.due = true;
        drop(table);
        self.changed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn session_of(sandbox: &SandboxId) -> Option<SessionKey> {
    SessionKey::new(PROJECT, sandbox.as_str()).ok()
}

async fn bring(
    sessions: &Sessions,
    sandbox: &SandboxId,
    wanted: &Wanted,
) -> Result<(), SessionsError> {
    // Every name of a sandbox is one of a session.
    let Some(key) = session_of(sandbox) else { return Ok(()) };
    match wanted {
        Wanted::Nothing => Ok(()),
        Wanted::Listening { url, stop_on_run_finished } => {
            let settings =
                Settings { stop_on_run_finished: *stop_on_run_finished, ..Settings::at(url) };
            match Checked::new(settings) {
                Ok(checked) => sessions.put(&key, checked).await.map(drop),
                Err(error) => {
                    tracing::error!(sandbox.id = %sandbox, %error, "a runner without a session");
                    Ok(())
                }
            }
        }
        Wanted::Stopped => sessions.stop(&key).await.map(drop),
        Wanted::Deleted => sessions.delete(&key, false).await.map(drop),
    }
}

/// Where runners reach a node that listens there: over loopback if it can be. What speaks TLS goes by the
/// public address, if that is known, because a certificate names that rather than an address.
pub(crate) fn base(listens: SocketAddr, tls: bool, public: Option<&PublicUrl>) -> String {
    if let Some(public) = public.filter(|public| tls && public.origin.scheme() == "https") {
        return format!("wss://{}{}", public.origin.authority(), public.path);
    }
    let ip = match listens.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let scheme = if tls { "wss" } else { "ws" };
    format!("{scheme}://{}", SocketAddr::new(ip, listens.port()))
}

impl Runners for SandboxRunners {
    fn cdp_url(&self, sandbox: &SandboxId) -> String {
        let mut table = self.table();
        let Table { entries, keys } = &mut *table;
        let entry = entries.entry(sandbox.clone()).or_insert_with(|| Entry {
            key: None,
            wanted: Wanted::Nothing,
            due: false,
        });
        let url = format!("{}/sandboxes/{sandbox}", self.base);
        if !self.needs_token {
            return url;
        }
        let key = entry.key.get_or_insert_with(|| {
            let key = random_key();
            keys.insert(key.clone(), sandbox.clone());
            key
        });
        format!("{url}?token={key}")
    }

    fn ready(&self, sandbox: &SandboxId, url: &str, stop_on_run_finished: bool) {
        self.want(sandbox, Wanted::Listening { url: url.to_owned(), stop_on_run_finished });
    }

    fn parked(&self, sandbox: &SandboxId) {
        self.want(sandbox, Wanted::Stopped);
    }

    fn gone(&self, sandbox: &SandboxId) {
        self.want(sandbox, Wanted::Deleted);
    }

    fn is_busy(&self, sandbox: &SandboxId) -> bool {
        let held = self.sessions.get().zip(session_of(sandbox));
        let held = held.and_then(|(sessions, key)| sessions.find(&key));
        held.is_some_and(|held| held.session.snapshot().open_run.is_some())
    }
}

/// 128 random bits in hex.
fn random_key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests;
