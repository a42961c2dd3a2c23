use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

fn stored(secs: u64, bytes: u64) -> Stored {
    Stored { id: SnapshotId::random(at(secs)), bytes }
}

#[test]
fn nothing_is_removed_without_a_limit() {
    let all = vec![stored(1, u64::MAX), stored(2, u64::MAX)];
    assert_eq!(Retention::default().over(all, at(1_000_000)), []);
}

#[test]
fn what_is_too_old_goes_and_then_the_oldest_until_the_rest_fits() {
    let (old, middle, new) = (stored(10, 100), stored(50, 60), stored(60, 50));
    let retention = Retention { ttl: Duration::from_secs(60), max_bytes: 100 };
    let all = vec![new.clone(), old.clone(), middle.clone()];
    assert_eq!(retention.over(all, at(75)), [old.id, middle.id]);
    assert_eq!(retention.over(vec![new.clone()], at(119)), []);
    assert_eq!(retention.over(vec![new.clone()], at(120)), [new.id]);
}

proptest! {
    #[test]
    fn what_is_left_fits_and_nothing_goes_without_need(
        sizes in proptest::collection::vec((0_u64..1000, 0_u64..100), 0..12),
        max_bytes in 0_u64..400,
    ) {
        let all: Vec<_> = sizes.iter().map(|(secs, bytes)| stored(*secs, *bytes)).collect();
        let over = Retention { ttl: Duration::ZERO, max_bytes }.over(all.clone(), at(5000));
        let left: Vec<_> = all.iter().filter(|one| !over.contains(&one.id)).collect();
        let sum: u64 = left.iter().map(|one| one.bytes).sum();
        prop_assert!(max_bytes == 0 || sum <= max_bytes);
        if let Some(last) = over.last() {
            let last = all.iter().find(|one| one.id == *last).unwrap();
            prop_assert!(sum + last.bytes > max_bytes, "it went without need");
            prop_assert!(left.iter().all(|one| one.id > last.id), "an older one stayed");
        }
        if max_bytes == 0 {
            prop_assert!(over.is_empty());
        }
    }
}
