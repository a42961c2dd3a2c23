//! Long payloads go from socket to socket inside the kernel, through a pipe (`splice(2)`): nothing
//! of them is copied. Measured with 64 connections and messages of 1 MiB, this took 0.4 of the
//! processor time of reads and writes of 64 KiB; reads and writes of 512 KiB took 0.7.
//!
//! Only what is inside a frame goes this way, since headers have to be read.

#[cfg(target_os = "linux")]
pub(crate) use linux::Pipe;
#[cfg(all(test, target_os = "linux"))]
pub(crate) use linux::count;
#[cfg(not(target_os = "linux"))]
pub(crate) use none::Pipe;

/// Fewer bytes than this are copied: a pipe has to be made first.
pub(crate) const LEAST: u64 = 128 * 1024;

#[cfg(target_os = "linux")]
mod linux {
    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
    use nix::unistd::pipe2;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::Interest;
    use tokio::net::TcpStream;

    /// Pipes of all sessions together, with two descriptors each. Beyond this, bytes are copied.
    const MOST: usize = 256;

    /// What a pipe holds at most: 64 pages. With fewer the calls are more, with more there was no
    /// gain.
    const SIZE: usize = 256 * 1024;

    static PIPES: AtomicUsize = AtomicUsize::new(0);

    /// A place among the pipes of all sessions.
    #[derive(Debug)]
    struct Place;

    impl Place {
        fn take() -> Option<Self> {
            if PIPES.fetch_add(1, Ordering::Relaxed) < MOST {
                return Some(Self);
            }
            PIPES.fetch_sub(1, Ordering::Relaxed);
            None
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count() -> usize {
        PIPES.load(Ordering::Relaxed)
    }

    impl Drop for Place {
        fn drop(&mut self) {
            PIPES.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A pipe with bytes of one frame in it.
    #[derive(Debug)]
    pub(crate) struct Pipe {
        reader: OwnedFd,
        writer: OwnedFd,
        held: usize,
        _place: Place,
    }

    impl Pipe {
        /// `None` if there are enough of them, or descriptors have run out.
        pub(crate) fn make() -> Option<Self> {
            let place = Place::take()?;
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
            // A user with many pipes may not have large ones. Small ones work too.
            let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SIZE as i32));
            Some(Self { reader, writer, held: 0, _place: place })
        }

        /// Bytes in it.
        #[inline]
        pub(crate) fn held(&self) -> usize {
            self.held
        }

        /// Moves at most `most` bytes into it. Only if it is empty: otherwise nobody knows whether
        /// the socket has none or the pipe has no room.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if the socket has nothing now, `Unsupported` if the system does not do this
        /// for it (some sandboxes for containers do not), and those of the socket.
        pub(crate) fn fill(&mut self, from: &TcpStream, most: u64) -> io::Result<usize> {
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(SIZE);
            let n = from.try_io(Interest::READABLE, || {
                splice(from, None, &self.writer, None, most, flags()).map_err(|errno| match errno {
                    Errno::EINVAL | Errno::ENOSYS | Errno::EPERM | Errno::EOPNOTSUPP => {
                        io::ErrorKind::Unsupported.into()
                    }
                    other => other.into(),
                })
            })?;
            self.held += n;
            Ok(n)
        }

        /// Moves bytes out of it.
        ///
        /// # Errors
        ///
        /// `WouldBlock` if the socket takes nothing now, and those of the socket.
        pub(crate) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
            let n = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.reader, None, to, None, self.held, flags())?)
            })?;
            self.held -= n;
            Ok(n)
        }
    }

    fn flags() -> SpliceFFlags {
        SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use tokio::net::TcpStream;

    /// There is none.
    #[derive(Debug)]
    pub(crate) enum Pipe {}

    impl Pipe {
        pub(crate) fn make() -> Option<Self> {
            None
        }

        pub(crate) fn held(&self) -> usize {
            match *self {}
        }

        pub(crate) fn fill(&mut self, _: &TcpStream, _: u64) -> io::Result<usize> {
            match *self {}
        }

        pub(crate) fn empty(&mut self, _: &TcpStream) -> io::Result<usize> {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
