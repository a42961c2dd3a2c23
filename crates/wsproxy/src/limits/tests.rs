//! Facts of the limits.

use super::{Limits, LimitsError, TcpTimers};
use std::time::Duration;

#[test]
fn the_defaults_are_valid() {
    assert_eq!(Limits::default().validate(), Ok(()));
    assert_eq!(Limits::default().max_client_message, 104_857_586);
    assert_eq!(Limits::default().max_browser_message, 268_435_456);
}

#[test]
fn a_user_timeout_must_be_longer_than_the_stall_of_the_client() {
    let mut limits = Limits { write_stall_client: Duration::from_secs(60), ..Limits::default() };
    let error = limits.validate().unwrap_err();
    assert_eq!(error.kind(), "user_timeout_before_stall");
    assert!(error.to_string().contains("60s"), "{error}");
    limits.client_tcp = TcpTimers::OFF;
    assert_eq!(limits.validate(), Ok(()));
}

#[test]
fn a_buffer_must_hold_a_frame_that_is_held_whole() {
    let limits = Limits { whole_frame_max: 64 * 1024, buffer: 64 * 1024, ..Limits::default() };
    let expected = LimitsError::BufferTooSmall { buffer: 65_536, least: 65_550 };
    assert_eq!(limits.validate(), Err(expected));
    let limits = Limits { whole_frame_max: usize::MAX, ..Limits::default() };
    assert_eq!(limits.validate().unwrap_err().kind(), "buffer_too_small");
}

#[test]
fn zero_has_no_meaning() {
    let limits = Limits { idle: Some(Duration::ZERO), ..Limits::default() };
    assert_eq!(limits.validate(), Err(LimitsError::Zero { field: "idle" }));
}
