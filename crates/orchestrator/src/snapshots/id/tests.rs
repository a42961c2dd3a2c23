use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn an_id_tells_when_it_was_made_and_sorts_by_that(a in 0_u64..1 << 45, b in 0_u64..1 << 45) {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let (first, second) = (SnapshotId::random(at(a)), SnapshotId::random(at(b)));
        prop_assert_eq!(first.made(), at(a));
        prop_assert_eq!(first.as_str().parse::<SnapshotId>(), Ok(first.clone()));
        if a != b {
            prop_assert_eq!(first < second, a < b);
        }
    }

    #[test]
    fn what_is_no_id_cannot_lead_anywhere(text in ".{0,60}") {
        if let Ok(id) = text.parse::<SnapshotId>() {
            prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }
}
