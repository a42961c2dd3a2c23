//! Settings, kept in a log of their own for each project: the last ones of a session count.

use std::collections::BTreeMap;
use std::time::SystemTime;

use eventlog::{AppendError, Batch, LogName, ReadLimit, micros};

use super::{Sessions, SessionsError};
use crate::SessionKey;
use crate::session::bases::unlimited;
use crate::session::names::settings_of;
use crate::session::settings::{Kept, Settings};

impl Sessions {
    pub(super) async fn keep(
        &self,
        key: &SessionKey,
        settings: Option<&Settings>,
        stopped: bool,
    ) -> Result<(), SessionsError> {
        let log = self.store.open(&settings_of(key.project()), unlimited()).await?;
        let (project, session) = (key.project().to_owned(), key.session().to_owned());
        let kept = Kept { project, session, settings: settings.cloned(), stopped };
        let line = serde_json::to_vec(&kept).unwrap_or_default();
        let batch = Batch::one(micros(SystemTime::now()), line);
        let batch = batch.map_err(|_| AppendError::TooLarge { bytes: 0, limit: 0 })?;
        log.append(batch).await?;
        Ok(())
    }

    /// The last settings of each session, and when they were kept, in milliseconds since 1970 UTC.
    pub(super) async fn stored(&self) -> Result<Vec<(Kept, i64)>, SessionsError> {
        let mut last = BTreeMap::new();
        let names = self.store.list().await?;
        for name in names.iter().filter(|name| is_settings(name)) {
            let log = self.store.open(name, unlimited()).await?;
            let mut next = log.status().first;
            loop {
                let page = log.read_from(next, ReadLimit::default()).await?;
                next = page.next;
                for record in &page.records {
                    if let Ok(kept) = serde_json::from_slice::<Kept>(&record.payload) {
                        let key = (kept.project.clone(), kept.session.clone());
                        last.insert(key, (kept, record.ts / 1_000));
                    }
                }
                if page.records.is_empty() && next >= page.head {
                    break;
                }
            }
        }
        Ok(last.into_values().collect())
    }
}

fn is_settings(name: &LogName) -> bool {
    name.as_str().starts_with("settings.") || name.as_str().starts_with("settings-")
}
