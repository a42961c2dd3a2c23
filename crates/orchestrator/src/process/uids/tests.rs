use super::*;

fn pool(locks: &Path) -> UidPool {
    UidPool::new(60_600..=60_602, locks.to_owned(), 1).unwrap()
}

fn nobody(_: u32) -> io::Result<bool> {
    Ok(false)
}

#[test]
fn a_user_is_leased_once_and_comes_back_last() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path());
    let first = pool.lease(nobody).unwrap();
    let (second, third) = (pool.lease(nobody).unwrap(), pool.lease(nobody).unwrap());
    assert_eq!([first.uid(), second.uid(), third.uid()], [60_601, 60_602, 60_600]);
    assert!(pool.lease(nobody).unwrap_err().to_string().contains("in use"));
    drop(second);
    assert_eq!(pool.lease(nobody).unwrap().uid(), 60_602);
}

#[test]
fn two_daemons_never_lease_the_same_user() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (pool(dir.path()), pool(dir.path()));
    let held = [a.lease(nobody).unwrap(), b.lease(nobody).unwrap(), a.lease(nobody).unwrap()];
    let users: HashSet<u32> = held.iter().map(UidLease::uid).collect();
    assert_eq!(users.len(), 3);
    assert!(b.lease(nobody).is_err());
    assert!(b.lease_exactly(held[0].uid()).unwrap().is_none());
}

#[test]
fn a_user_with_a_living_process_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path());
    assert_eq!(pool.lease(|uid| Ok(uid != 60_600)).unwrap().uid(), 60_600);
}

#[test]
fn a_user_that_cannot_be_asked_about_is_not_leased_and_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path());
    assert!(pool.lease(|_| Err(io::Error::other("no answer"))).is_err());
    let all = [(); 3].map(|()| pool.lease(nobody).unwrap().uid());
    assert_eq!(all, [60_602, 60_600, 60_601]);
}

#[test]
fn the_kernel_knows_who_has_a_process() {
    assert!(has_process(rustix::process::getuid().as_raw()).unwrap());
    // The last number that can be a user's; nobody gives it to anybody.
    assert!(!has_process(u32::MAX - 1).unwrap());
}

#[test]
fn a_recorded_user_outside_the_range_is_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path());
    assert!(pool.lease_exactly(1000).unwrap().is_none());
    assert!(pool.lease_exactly(60_600).unwrap().is_some());
}

#[test]
fn a_range_with_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for range in [0..=10, 5..=u32::MAX] {
        assert!(UidPool::new(range, dir.path().to_owned(), 0).is_err());
    }
}

#[test]
fn a_map_must_hold_the_whole_range() {
    assert!(maps("         0          0 4294967295\n", &(60_600..=61_183)));
    assert!(maps("0 1000 1\n1 100000 65535\n", &(60_600..=61_183)));
    assert!(!maps("0 1000 1\n", &(60_600..=61_183)));
    assert!(!maps("0 0 61000\n", &(60_600..=61_183)));
    assert!(!maps("", &(1..=1)));
}
