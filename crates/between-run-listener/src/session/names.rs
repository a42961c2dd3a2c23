//! Pure: the names that sessions' logs have in the store.

use eventlog::LogName;
use sha2::{Digest, Sha256};

use crate::SessionKey;

/// The log of a session. Names that make no log name, because of dots or length, are hashed; a
/// name with a dash after its first part is a hash, so the two kinds never meet.
pub(super) fn log_of(key: &SessionKey) -> LogName {
    named("session", key)
}

/// The log of a session's bases.
pub(super) fn bases_of(key: &SessionKey) -> LogName {
    named("bases", key)
}

fn named(kind: &str, key: &SessionKey) -> LogName {
    let (project, session) = (key.project(), key.session());
    let plain = !project.contains('.') && !session.contains('.');
    let name = plain.then(|| LogName::new(&format!("{kind}.{project}.{session}")));
    match name {
        Some(Ok(name)) => name,
        Some(Err(_)) | None => hashed(kind, &[project, session]),
    }
}

/// The log of a project's settings.
pub(super) fn settings_of(project: &str) -> LogName {
    let plain = !project.contains('.');
    match plain.then(|| LogName::new(&format!("settings.{project}"))) {
        Some(Ok(name)) => name,
        Some(Err(_)) | None => hashed("settings", &[project]),
    }
}

fn hashed(kind: &str, parts: &[&str]) -> LogName {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    LogName::new(&format!("{kind}-{hex}")).expect("letters, a dash and digits are a log name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sessions_share_a_log() {
        let of = |p: &str, s: &str| log_of(&SessionKey::new(p, s).unwrap()).as_str().to_owned();
        let long = "x".repeat(63);
        let names = [of("a", "b"), of("a.b", "c"), of("a", "b.c"), of("b", "a"), of(&long, &long)];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert_eq!(names[0], "session.a.b");
    }
}
