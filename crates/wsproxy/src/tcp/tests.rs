//! Kernel facts of real sockets.

use super::{set_timers, since_last_ack};
use crate::endpoint::Endpoint as _;
use crate::limits::TcpTimers;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

#[tokio::test]
async fn the_age_of_the_last_acknowledgement_is_known() {
    let (one, _two) = pair().await;
    let age = since_last_ack(&one).expect("Linux knows");
    assert!(age < Duration::from_secs(5), "{age:?}");
}

#[tokio::test]
async fn timers_are_set_as_asked() {
    use nix::sys::socket::{getsockopt, sockopt};
    let (one, two) = pair().await;
    one.configure(&TcpTimers::default()).unwrap();
    assert!(one.nodelay().unwrap());
    assert!(getsockopt(&one, sockopt::KeepAlive).unwrap());
    assert_eq!(getsockopt(&one, sockopt::TcpKeepIdle).unwrap(), 30);
    assert_eq!(getsockopt(&one, sockopt::TcpKeepInterval).unwrap(), 10);
    assert_eq!(getsockopt(&one, sockopt::TcpKeepCount).unwrap(), 3);
    assert_eq!(getsockopt(&one, sockopt::TcpUserTimeout).unwrap(), 60_000);
    set_timers(&two, &TcpTimers::OFF).unwrap();
    assert!(!getsockopt(&two, sockopt::KeepAlive).unwrap());
}
