//! Kernel timers and facts of TCP sockets. On systems other than Linux there are none.

#[cfg(target_os = "linux")]
pub(crate) use linux::{set_timers, since_last_ack};

#[cfg(target_os = "linux")]
mod linux {
    use crate::limits::TcpTimers;
    use nix::libc;
    use nix::sys::socket::{GetSockOpt, setsockopt, sockopt};
    use std::io;
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// Words of `struct tcp_info` up to the one we need: eight bytes of flags, then words of 32
    /// bits in an order that the kernel never changes. It cuts what it returns to this length.
    const WORDS: usize = 15;
    /// `tcpi_last_ack_recv`, in milliseconds.
    const LAST_ACK_RECV: usize = 14;

    #[derive(Clone, Copy)]
    struct TcpInfo;
    nix::getsockopt_impl!(
        TcpInfo,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        [u32; WORDS],
        sockopt::GetStruct<[u32; WORDS]>
    );

    pub(crate) fn since_last_ack(socket: &impl AsFd) -> Option<Duration> {
        let words = TcpInfo.get(socket).ok()?;
        Some(Duration::from_millis(u64::from(words[LAST_ACK_RECV])))
    }

    pub(crate) fn set_timers(socket: &impl AsFd, timers: &TcpTimers) -> io::Result<()> {
        if let Some(keepalive) = timers.keepalive {
            let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX).max(1);
            setsockopt(socket, sockopt::TcpKeepIdle, &seconds(keepalive.after))?;
            setsockopt(socket, sockopt::TcpKeepInterval, &seconds(keepalive.interval))?;
            setsockopt(socket, sockopt::TcpKeepCount, &keepalive.probes)?;
            setsockopt(socket, sockopt::KeepAlive, &true)?;
        }
        if let Some(timeout) = timers.user_timeout {
            let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
            setsockopt(socket, sockopt::TcpUserTimeout, &millis)?;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn set_timers(
    _: &tokio::net::TcpStream,
    _: &crate::limits::TcpTimers,
) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn since_last_ack(_: &tokio::net::TcpStream) -> Option<std::time::Duration> {
    None
}

#[cfg(test)]
mod tests;
