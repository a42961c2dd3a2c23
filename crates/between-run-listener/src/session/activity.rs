//! Pure: how often it is told that a session is active.

use std::time::{Duration, Instant};

/// For so long after it was told it is not told again, but at the begin and the end of a run: often
/// enough for limits of minutes, and seldom enough for runners that say thousands of things a second.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// When it was told last, and whether something has happened since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Activity {
    told: Option<Instant>,
    owed: bool,
}

impl Activity {
    /// Something was logged, perhaps the begin or the end of a run. Says whether to tell it now.
    pub(super) fn logged(&mut self, border: bool, now: Instant) -> bool {
        let told_just_now = self.told.is_some_and(|told| now < told + WINDOW);
        if told_just_now && !border {
            self.owed = true;
            return false;
        }
        *self = Self { told: Some(now), owed: false };
        true
    }

    /// When to tell what was not told at once.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.told.filter(|_| self.owed).map(|told| told + WINDOW)
    }

    /// Time has passed. Says whether to tell it now.
    pub(super) fn passed(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            *self = Self { told: Some(now), owed: false };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_happens_is_told_within_a_window_and_no_more_often_but_for_runs(
            steps in proptest::collection::vec((0_u64..4_000, any::<bool>(), 0_u8..10), 1..200),
        ) {
            let (mut at, mut activity) = (Instant::now(), Activity::default());
            let (mut told, mut untold) = (None::<Instant>, None::<Instant>);
            for (pause, happens, border) in steps {
                let until = at + Duration::from_millis(pause);
                // As whoever waits for it would: at the deadline itself.
                while let Some(deadline) = activity.deadline().filter(|at| *at <= until) {
                    prop_assert!(activity.passed(deadline));
                    let since = untold.take().expect("something that was not told");
                    prop_assert!(deadline.duration_since(since) <= WINDOW);
                    let before = told.replace(deadline).expect("told before");
                    prop_assert!(deadline.duration_since(before) >= WINDOW);
                }
                at = until;
                prop_assert!(!activity.passed(at));
                if !happens {
                    continue;
                }
                let border = border == 0;
                if activity.logged(border, at) {
                    let soon = told.is_some_and(|told| at.duration_since(told) < WINDOW);
                    prop_assert!(border || !soon);
                    (told, untold) = (Some(at), None);
                } else {
                    prop_assert!(!border);
                    untold.get_or_insert(at);
                }
                prop_assert_eq!(activity.deadline().is_some(), untold.is_some());
            }
        }
    }
}
