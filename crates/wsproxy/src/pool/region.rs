//! Memory for buffers in one huge page.
//!
//! The kernel copies into and out of a long buffer page by page, and under a hypervisor each page
//! that the processor has to look up anew costs a walk through two sets of tables. Measured on a
//! virtual machine (Linux 6, AMD EPYC): receiving into 256 KiB of ordinary pages took twice the
//! processor time of the same buffer in a huge page; at 128 KiB there was no difference.

use std::sync::{Mutex, PoisonError};

/// A buffer in a region. Regions are never given back to the system.
pub(super) type Part = &'static mut [u8];

/// The size of a huge page on x86-64, and on 64-bit ARM with pages of 4 KiB.
pub(super) const REGION: usize = 2 << 20;

/// Smaller buffers gain nothing.
const LEAST: usize = 128 * 1024;

/// Parts that no thread keeps: of threads that have ended, or that had too many.
static UNUSED: Mutex<Vec<Part>> = Mutex::new(Vec::new());

/// Takes one of this size that no thread keeps.
pub(super) fn unused(size: usize) -> Option<Part> {
    // Most processes have a region for each thread that relays, and nothing here.
    let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let at = unused.iter().position(|part| part.len() == size)?;
    Some(unused.swap_remove(at))
}

pub(super) fn give_back(part: Part) {
    UNUSED.lock().unwrap_or_else(PoisonError::into_inner).push(part);
}

/// Makes a region and cuts it into buffers of this size. None where the size is too small to gain by
/// it, or too large, or where the system has no such memory.
///
/// Without huge pages (`/sys/kernel/mm/transparent_hugepage/enabled` is `never`, or none is free)
/// this is ordinary memory.
pub(super) fn make(size: usize) -> Vec<Part> {
    if !(LEAST..=REGION / 2).contains(&size) {
        return Vec::new();
    }
    map().map(|region| region.chunks_exact_mut(size).collect()).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn map() -> Option<Part> {
    // Twice as long, so that a whole aligned one is in it. What is not touched takes no memory.
    let map = memmap2::MmapOptions::new().len(2 * REGION).map_anon().ok()?;
    let map = Box::leak(Box::new(map));
    let start = map.as_ptr().align_offset(REGION);
    // Best effort: without it the kernel decides by itself.
    let _ = map.advise_range(memmap2::Advice::HugePage, start, REGION);
    map.get_mut(start..start + REGION)
}

#[cfg(not(target_os = "linux"))]
fn map() -> Option<Part> {
    None
}
