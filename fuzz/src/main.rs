//! The fuzzer: `LOCKKEEPER_FUZZ_TARGET=sse_decode lockkeeper-fuzz CORPUS...`, with the options of
//! libFuzzer. One program for all targets, so that it is built once.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use lockkeeper_fuzz::TARGETS;

/// Looks the target up once.
fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var("LOCKKEEPER_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        found.unwrap_or_else(|| panic!("LOCKKEEPER_FUZZ_TARGET is one of {names:?}")).1
    })
}

fuzz_target!(|input: &[u8]| target()(input));
