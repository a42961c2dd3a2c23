//! Pure: the browser's environment, built from nothing.

use std::ffi::OsString;
use std::path::Path;

use crate::driver::LifecycleId;

/// The variable that marks a process as ours. Its value is [`mark`].
pub(crate) const MARK: &str = "LOCKKEEPER_SANDBOX";

/// What the mark says: whose state directory, and which incarnation.
pub(crate) fn mark(state_id: &str, lifecycle: &LifecycleId) -> String {
    format!("{state_id}/{lifecycle}")
}

/// How long a Unix socket's path may be, without its final NUL (`sun_path` in unix(7)).
const SOCKET_PATH: usize = 107;

/// What the full browser appends to TMPDIR for its instance lock, at most: Chromium's prefix is
/// shorter than Chrome's, `/com.google.Chrome.XXXXXX/SingletonSocket` fits as well.
const LOCK_SOCKET: usize = "/org.chromium.Chromium.XXXXXX/SingletonSocket".len();

/// The environment of a browser whose working directory is `tmp`.
///
/// Nothing is inherited: what the daemon was started with (tokens, proxies, a user's keyring
/// address) is none of a page's business. The caller's variables come first and cannot replace
/// those that keep the browser in its directory.
pub(crate) fn environment(
    home: &Path,
    tmp: &Path,
    mark: &str,
    extra: &[(String, String)],
) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
        // UTF-8 file names; pages see en-US whatever the daemon's own language is.
        ("LANG".into(), "C.UTF-8".into()),
    ];
    env.extend(extra.iter().map(|(name, value)| (name.into(), value.into())));
    env.extend([
        ("HOME".into(), home.into()),
        ("XDG_CONFIG_HOME".into(), home.join(".config").into()),
        ("XDG_CACHE_HOME".into(), home.join(".cache").into()),
        ("TMPDIR".into(), tmp_value(tmp)),
        (MARK.into(), mark.into()),
    ]);
    env
}

/// The full browser refuses to start when the path of its lock socket is too long. The working
/// directory is the same folder under a short name.
fn tmp_value(tmp: &Path) -> OsString {
    if tmp.as_os_str().len() + LOCK_SOCKET > SOCKET_PATH {
        "/proc/self/cwd".into()
    } else {
        tmp.into()
    }
}

#[cfg(test)]
mod tests;
