//! Where the node's events are kept: a database in the state folder, or streams of a server.

use std::path::Path;
use std::sync::Arc;

use eventlog::jetstream::{JetStreamOptions, JetStreamStore};
use eventlog::sqlite::{SqliteOptions, SqliteStore};
use eventlog::{LogName, Store};
use service::Refused;
use service::settings::{Key, Kind, Setting, SettingValue, Values};

use crate::node::private_folder;

#[cfg(test)]
mod tests;

static EVENT_LOG: Key<Place> = Key::new(
    "EVENT_LOG",
    "sqlite",
    "Where events are kept: sqlite (a database in STATE_DIR) or the nats:// or tls:// addresses of a \
     NATS server with JetStream, with spaces between them.",
);
static EVENT_LOG_REPLICAS: Key<u64> = Key::new(
    "EVENT_LOG_REPLICAS",
    "1",
    "How many NATS servers keep each log, from its first start on; 3 survive the loss of one.",
)
.range("1", "5");

/// The settings about it.
pub(crate) fn settings() -> [&'static Setting; 2] {
    [EVENT_LOG.setting(), EVENT_LOG_REPLICAS.setting()]
}

/// Opens the place. Nodes that share a server are told apart by their ids.
///
/// # Errors
/// When it cannot be used; the text names the setting.
pub(crate) async fn open(
    values: &Values,
    state_dir: &Path,
    node_id: &str,
) -> Result<Arc<dyn Store>, Refused> {
    let refused = |e: &dyn std::fmt::Display| Refused::system("EVENT_LOG", e);
    match values.get(&EVENT_LOG) {
        Place::Sqlite => {
            let folder = state_dir.join("events");
            private_folder(&folder).map_err(|e| refused(&e))?;
            let store = SqliteStore::open(folder, SqliteOptions::default()).await;
            Ok(Arc::new(store.map_err(|e| refused(&e))?))
        }
        Place::JetStream(servers) => {
            let prefix = LogName::new(&prefix(node_id)).map_err(|e| refused(&e))?;
            let mut options = JetStreamOptions::new(servers.join(","), prefix);
            options.replicas = usize::try_from(values.get(&EVENT_LOG_REPLICAS)).unwrap_or(1);
            let store = JetStreamStore::connect(options).await;
            Ok(Arc::new(store.map_err(|e| refused(&e))?))
        }
    }
}

/// What the node's streams are called by, whatever its id is made of.
fn prefix(node_id: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let id: String = node_id.chars().map(fits).take(64).collect();
    format!("lockkeeper_{id}")
}

/// A place that keeps logs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Sqlite,
    JetStream(Vec<String>),
}

impl SettingValue for Place {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        if text == "sqlite" {
            return Ok(Self::Sqlite);
        }
        let servers: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let good = |server: &String| {
            let rest = server.strip_prefix("nats://").or_else(|| server.strip_prefix("tls://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', ',', '?', '#']))
        };
        if servers.is_empty() || !servers.iter().all(good) {
            // The text may hold a password.
            return Err("is no place for events; write sqlite or nats://HOST:PORT".to_owned());
        }
        Ok(Self::JetStream(servers))
    }

    /// Without users and passwords.
    fn show(&self) -> String {
        let Self::JetStream(servers) = self else { return "sqlite".to_owned() };
        let shown = |server: &String| match (server.split_once("://"), server.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
            (Some(_) | None, _) => server.clone(),
        };
        servers.iter().map(shown).collect::<Vec<_>>().join(" ")
    }
}
