//! What one instance may use.

/// What one instance may use; what is absent is as the driver was told at its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaunchLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Processor time, in thousandths of one core.
    pub cpu: Option<u32>,
}
