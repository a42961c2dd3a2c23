//! Facts of the buffers.

use super::{Budget, FREE, KEPT, Lease};

fn free() -> usize {
    FREE.with(|free| free.borrow().iter().flatten().count())
}

#[test]
fn a_buffer_is_given_back_and_borrowed_again() {
    let mut lease = Lease::take(8192, 4096, None);
    lease.bytes_mut()[0] = 7;
    drop(lease);
    assert_eq!(free(), 1);
    let again = Lease::take(8192, 4096, None);
    assert_eq!((again.bytes().len(), again.bytes()[0], free()), (8192, 7, 0));
}

#[test]
fn a_buffer_of_another_size_is_not_mistaken() {
    drop(Lease::take(8192, 4096, None));
    assert_eq!(Lease::take(16384, 4096, None).bytes().len(), 16384);
}

#[test]
fn a_thread_keeps_only_a_few() {
    let leases: Vec<_> = (0..KEPT + 3).map(|_| Lease::take(8192, 4096, None)).collect();
    drop(leases);
    assert_eq!(free(), KEPT);
}

#[test]
fn a_used_up_budget_yields_small_buffers_that_are_not_kept() {
    let budget = Budget::new(16384);
    let mut first = Lease::take(8192, 4096, Some(&budget));
    let mut second = Lease::take(8192, 4096, Some(&budget));
    assert_eq!(budget.used(), 0, "a buffer counts only once it waits");
    first.charge(&budget);
    first.charge(&budget);
    second.charge(&budget);
    assert_eq!(budget.used(), 16384);
    let mut third = Lease::take(8192, 4096, Some(&budget));
    third.charge(&budget);
    assert_eq!((third.bytes().len(), budget.used()), (4096, 20480));
    drop(third);
    assert_eq!(free(), 0);
    drop(first);
    assert_eq!((free(), budget.used()), (1, 8192));
    assert_eq!(Lease::take(8192, 4096, Some(&budget)).bytes().len(), 8192);
    drop(second);
    assert_eq!(budget.used(), 0);
}
