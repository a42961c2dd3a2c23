//! Facts of the buffers.

use super::{Budget, FREE, KEPT, Lease, region};
use std::thread;

fn free() -> usize {
    FREE.with(|free| free.borrow().boxes.iter().flatten().count())
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

/// Parts that this thread keeps.
fn parts() -> usize {
    FREE.with(|free| free.borrow().parts.len())
}

fn address(lease: &Lease) -> usize {
    lease.bytes().as_ptr().addr()
}

#[test]
#[cfg(target_os = "linux")]
fn long_buffers_lie_in_one_aligned_region_and_then_in_memory_of_their_own() {
    // A size that no other test uses: what ended threads leave is shared.
    let size = 160 * 1024;
    let room = region::REGION / size;
    let leases: Vec<_> = (0..room + 2).map(|_| Lease::take(size, 4096, None)).collect();
    let pages: Vec<_> = leases.iter().map(|lease| address(lease) / region::REGION).collect();
    assert!(pages[..room].iter().all(|page| *page == pages[0]), "{pages:?}");
    assert!(pages[room..].iter().all(|page| *page != pages[0]), "{pages:?}");
    assert!(leases.iter().all(|lease| lease.bytes().len() == size));
    drop(leases);
    assert_eq!((parts(), free()), (room, 2));
}

#[test]
#[cfg(target_os = "linux")]
fn what_an_ended_thread_kept_serves_the_next_one() {
    let size = 192 * 1024;
    let first = || thread::spawn(move || address(&Lease::take(size, 4096, None))).join();
    let (one, two) = (first().expect("no panic"), first().expect("no panic"));
    assert_eq!(one / region::REGION, two / region::REGION, "{one:x} and {two:x}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_keeps_no_more_parts_than_a_region_has() {
    let size = 224 * 1024;
    let room = region::REGION / size;
    let lent = thread::spawn(move || (0..room).map(|_| Lease::take(size, 4096, None)).collect());
    let lent: Vec<_> = lent.join().expect("no panic");
    let own: Vec<_> = (0..room).map(|_| Lease::take(size, 4096, None)).collect();
    drop((lent, own));
    assert_eq!(parts(), room);
    assert!(region::unused(size).is_some(), "the rest is for other threads");
}

#[test]
fn sizes_that_gain_nothing_have_no_region() {
    assert!(region::make(64 * 1024).is_empty());
    assert!(region::make(region::REGION).is_empty());
}
