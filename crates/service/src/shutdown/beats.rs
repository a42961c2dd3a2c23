//! Pure: how often a drain that goes on speaks up.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How often the supervisor is asked for more time.
pub(super) const EXTEND_EVERY: Duration = Duration::from_secs(10);

/// How much more time it is asked for: three beats, so that one that comes late is no kill.
pub(super) const EXTEND_BY: Duration = Duration::from_secs(30);

/// The pause to the next line about who is waited for: 5 s in the first minute, a minute in the first
/// hour, then a quarter of an hour.
pub(super) fn progress_pause(elapsed: Duration) -> Duration {
    if elapsed < 60 * SECOND {
        5 * SECOND
    } else if elapsed < 3600 * SECOND {
        60 * SECOND
    } else {
        900 * SECOND
    }
}
