//! Facts of pipes and of the system below.

use super::Pipe;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::fd::OwnedFd;
use tokio::net::TcpStream;

/// A descriptor that waits like a socket and that the kernel moves nothing out of.
fn unable(folder: &std::path::Path) -> TcpStream {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify");
    inotify.add_watch(folder, AddWatchFlags::IN_CREATE).expect("a watch");
    let socket = std::net::TcpStream::from(OwnedFd::from(inotify));
    TcpStream::from_std(socket).expect("a descriptor that can be waited for")
}

#[tokio::test]
async fn what_the_system_does_not_do_is_told_from_a_broken_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = unable(folder.path());
    let mut pipe = Pipe::make().expect("a pipe");
    std::fs::write(folder.path().join("event"), "").expect("a file");
    stream.readable().await.expect("it is readable");
    let refused = pipe.fill(&stream, 1 << 20).expect_err("nothing can be moved");
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    assert_eq!(pipe.held(), 0);
}
