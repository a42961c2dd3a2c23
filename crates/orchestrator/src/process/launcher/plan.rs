//! Pure: the launcher's job, to and from its arguments.
//!
//! `launch parent=<pid> [uid=<uid>] files=<n> size=<bytes> procs=<n> [cgroup=<file>]... -- <program>
//! <argument>...`, or `kill-user <uid>`. Visible in the process list for a few milliseconds, so
//! readable on purpose.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a launcher does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Job {
    /// Become a browser.
    Launch(Launch),
    /// Kill every process of a user. Never root.
    KillUser(u32),
}

/// How to become a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The daemon's pid.
    pub(crate) parent: i32,
    /// User and group of the sandbox; absent if the daemon is not root.
    pub(crate) uid: Option<u32>,
    /// RLIMIT_NOFILE.
    pub(crate) open_files: u64,
    /// RLIMIT_FSIZE in bytes.
    pub(crate) file_size: u64,
    /// RLIMIT_NPROC; set only together with `uid`.
    pub(crate) processes: u32,
    /// `cgroup.procs` files to enter.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The browser.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
}

/// Arguments that are no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("this mode is for the daemon itself, which passes it a job; none was given")]
    NoJob,
    #[error("unknown word {0:?}")]
    Unknown(OsString),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not a number in range")]
    Number(&'static str),
}

impl Job {
    /// The arguments that mean this job.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        match self {
            Self::KillUser(uid) => vec!["kill-user".into(), uid.to_string().into()],
            Self::Launch(launch) => launch.to_args(),
        }
    }

    /// The job that the arguments mean.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, PlanError> {
        let mut args = args.into_iter();
        let word = args.next().ok_or(PlanError::NoJob)?;
        match word.as_bytes() {
            b"launch" => Launch::parse(args).map(Self::Launch),
            b"kill-user" => {
                let uid = args.next().ok_or(PlanError::Missing("uid"))?;
                // As root the same call would end the whole machine.
                user(&uid).map(Self::KillUser)
            }
            _ => Err(PlanError::Unknown(word)),
        }
    }
}

impl Launch {
    fn to_args(&self) -> Vec<OsString> {
        let mut args = vec!["launch".into(), format!("parent={}", self.parent).into()];
        args.extend(self.uid.map(|uid| format!("uid={uid}").into()));
        args.push(format!("files={}", self.open_files).into());
        args.push(format!("size={}", self.file_size).into());
        args.push(format!("procs={}", self.processes).into());
        for group in &self.cgroups {
            let mut arg = OsString::from("cgroup=");
            arg.push(group);
            args.push(arg);
        }
        args.push("--".into());
        args.push(self.program.clone().into());
        args.extend(self.args.iter().cloned());
        args
    }

    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, PlanError> {
        let (mut parent, mut uid, mut files, mut size, mut procs) = (None, None, None, None, None);
        let mut cgroups = Vec::new();
        for arg in args.by_ref() {
            if arg == "--" {
                break;
            }
            let Some(at) = arg.as_bytes().iter().position(|byte| *byte == b'=') else {
                return Err(PlanError::Unknown(arg));
            };
            let value = OsStr::from_bytes(&arg.as_bytes()[at + 1..]);
            match &arg.as_bytes()[..at] {
                b"parent" => parent = Some(number(value, "parent")?),
                b"uid" => uid = Some(user(value)?),
                b"files" => files = Some(number(value, "files")?),
                b"size" => size = Some(number(value, "size")?),
                b"procs" => procs = Some(number(value, "procs")?),
                b"cgroup" => cgroups.push(PathBuf::from(value)),
                _ => return Err(PlanError::Unknown(arg)),
            }
        }
        Ok(Self {
            parent: parent.ok_or(PlanError::Missing("parent"))?,
            uid,
            open_files: files.ok_or(PlanError::Missing("files"))?,
            file_size: size.ok_or(PlanError::Missing("size"))?,
            processes: procs.ok_or(PlanError::Missing("procs"))?,
            cgroups,
            program: args.next().ok_or(PlanError::Missing("program"))?.into(),
            args: args.collect(),
        })
    }
}

fn number<T: std::str::FromStr>(value: &OsStr, name: &'static str) -> Result<T, PlanError> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or(PlanError::Number(name))
}

/// A sandbox user: any but root, and not the value that means "no change".
fn user(value: &OsStr) -> Result<u32, PlanError> {
    match number(value, "uid")? {
        0 | u32::MAX => Err(PlanError::Number("uid")),
        uid => Ok(uid),
    }
}

#[cfg(test)]
mod tests;
