//! Where a daemon shows what it should keep to itself.

use std::path::Path;

use crate::daemon::Daemon;
use crate::procs;

impl Daemon {
    /// The places that show `secret` now: its log, its metrics, each file of its state folder, the
    /// command lines of it and of what it has started, and their environments, but not its own, where
    /// the secret came from.
    ///
    /// # Errors
    /// When the metrics cannot be read, or a place that is always there shows nothing at all, so that
    /// looking at it would prove nothing.
    pub fn places_that_show(&self, secret: &str) -> Result<Vec<String>, String> {
        let mut places = Vec::new();
        let mut look = |place: String, bytes: &[u8]| {
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                places.push(place);
            }
        };
        let log = self.log();
        let metrics = self.call("GET", "/metrics", None)?.body.to_string();
        if log.is_empty() || !metrics.contains("# TYPE") {
            return Err(format!("the log or the metrics show nothing: {metrics}"));
        }
        look("the log".to_owned(), log.as_bytes());
        look("the metrics".to_owned(), metrics.as_bytes());
        let own = self.pid();
        for pid in procs::descendants(own).iter().map(|proc| proc.pid).chain([own]) {
            for file in ["cmdline", "environ"] {
                if (pid, file) != (own, "environ") {
                    // One that has ended meanwhile shows nothing.
                    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                    look(format!("{file} of process {pid}"), &bytes);
                }
            }
        }
        files(self.state().path(), &mut look);
        Ok(places)
    }
}

/// Looks at every file below; what goes away meanwhile is not there.
fn files(folder: &Path, look: &mut impl FnMut(String, &[u8])) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            files(&entry.path(), look);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            look(format!("the file {}", entry.path().display()), &bytes);
        }
    }
}
