//! Kernel facts of real sockets.
