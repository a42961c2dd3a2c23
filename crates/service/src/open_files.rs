//! How many files and sockets this process may have open.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit before and after [`raise_open_files`]. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Before.
    pub before: Option<u64>,
    /// Now.
    pub now: Option<u64>,
}

impl fmt::Display for OpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Option<u64>| limit.map_or("any number".to_owned(), |n| n.to_string());
        write!(f, "{} open files (was {})", show(self.now), show(self.before))
    }
}

/// Raises the soft limit of open files to the hard one: many systems start daemons with 1024, and
/// each session needs several. What the process starts inherits it unless it sets its own.
///
/// # Errors
/// When the system refuses; the limit is then as it was.
pub fn raise_open_files() -> std::io::Result<OpenFiles> {
    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    if before != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(OpenFiles { before, now: getrlimit(Resource::Nofile).current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_open_files().expect("allowed");
        assert_eq!(raised.now, getrlimit(Resource::Nofile).maximum);
        let again = raise_open_files().expect("allowed");
        assert_eq!(again.before, raised.now);
    }
}
