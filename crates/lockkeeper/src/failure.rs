//! What can go wrong, what to do about it, and the exit code that says so.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use lockkeeper_api::{Reason, TimeSpan};
use serde::Deserialize;
use serde_json::json;

use crate::output::plain;

/// `EX_USAGE` of sysexits.h: a mistake on the command line.
pub(crate) const USAGE: u8 = 64;
/// `EX_UNAVAILABLE`: the node does not answer.
const UNREACHABLE: u8 = 69;
/// `EX_TEMPFAIL`: refused now, perhaps not later.
const LATER: u8 = 75;
/// `EX_PROTOCOL`: something else answers there.
const PROTOCOL: u8 = 76;
/// `EX_NOPERM`: the node does not let us in.
const NOT_LET_IN: u8 = 77;
/// Everything else that was refused or failed.
const FAILED: u8 = 1;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, a variable or a file it names.
    #[error("{0}")]
    Usage(String),
    /// Nothing answered.
    #[error("{url} does not answer: {cause}")]
    Unreachable { url: String, cause: String },
    /// What answered could not show that it is the node.
    #[error("the certificate of {url} is not trusted: {cause}")]
    Untrusted { url: String, cause: String },
    /// The node refused, or failed.
    #[error("{}", plain(&.0.message))]
    Refused(Refused),
    /// An answer that no Lockkeeper node gives.
    #[error("{url} was answered {status}, and not by a Lockkeeper node: {text}")]
    Foreign { url: String, status: u16, text: String },
    /// Standard output.
    #[error("the output could not be written: {0}")]
    Output(#[from] io::Error),
    /// What was waited for did not come about.
    #[error("{0}")]
    Interrupted(String),
    /// Several calls, each of which has been told of.
    #[error("{failed} of {all} are still there")]
    Several { failed: usize, all: usize, exit: u8 },
    /// Checks that did not pass, each of which has been told of.
    #[error("{0} of the checks failed: a node does not work here as it should")]
    Unfit(usize),
}

/// The body of an error answer, as far as it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Refused(refused) => refused.exit_code(),
            Self::Untrusted { .. } | Self::Foreign { .. } => PROTOCOL,
            Self::Output(_) | Self::Interrupted(_) | Self::Unfit(_) => FAILED,
            Self::Several { exit, .. } => *exit,
        }
    }

    /// A reader that has seen enough, such as `head`, is no failure to be told of.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self, as_json: bool) {
        if as_json {
            eprintln!("{}", json!({ "error": self.fields() }));
            return;
        }
        eprintln!("error: {self}");
        for remedy in self.remedies() {
            eprintln!("       {remedy}");
        }
    }

    fn fields(&self) -> serde_json::Value {
        let code = match self {
            Self::Usage(_) => "USAGE",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Refused(refused) => &refused.code,
            Self::Untrusted { .. } => "UNTRUSTED",
            Self::Foreign { .. } => "NOT_LOCKKEEPER",
            Self::Output(_) => "OUTPUT",
            Self::Interrupted(_) => "INTERRUPTED",
            Self::Several { .. } => "SEVERAL",
            Self::Unfit(_) => "UNFIT",
        };
        let mut fields = json!({
            "code": code,
            "message": self.to_string(),
            "exit_code": self.exit_code(),
            "remedies": self.remedies(),
        });
        if let Self::Refused(refused) = self {
            fields["retry_after_ms"] = refused.retry_after_ms.into();
            fields["metadata"] = json!(refused.metadata);
        }
        fields
    }

    /// What to do, in the order in which to try it.
    pub(crate) fn remedies(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Unreachable { .. } => one(
                "start the node with `lockkeeperd`, or name another with --url or LOCKKEEPER_URL",
            ),
            Self::Refused(refused) => refused.remedies(),
            Self::Untrusted { .. } => one(
                "give the certificate of the authority that signed it with --ca or LOCKKEEPER_CA, \
                 and the node's name as it stands in it with --url",
            ),
            Self::Foreign { .. } => one("name the node with --url or LOCKKEEPER_URL"),
            Self::Usage(_) => one("`lockkeeper --help` lists the commands and options"),
            Self::Interrupted(_) => one("`lockkeeper info` says how the node is now"),
            Self::Output(_) | Self::Several { .. } | Self::Unfit(_) => Vec::new(),
        }
    }
}

impl Refused {
    fn reason(&self) -> Option<Reason> {
        Reason::from_code(&self.code)
    }

    fn exit_code(&self) -> u8 {
        match self.reason() {
            Some(
                Reason::TokenRequired
                | Reason::TokenInvalid
                | Reason::HostRefused
                | Reason::OriginRefused
                | Reason::ScopeMissing,
            ) => NOT_LET_IN,
            _ if self.retry_after_ms.is_some() => LATER,
            Some(Reason::ForceStopped | Reason::StartTimeout) => LATER,
            Some(_) | None => FAILED,
        }
    }

    fn remedies(&self) -> Vec<String> {
        let mut remedies: Vec<String> =
            self.reason().and_then(remedy).map(str::to_owned).into_iter().collect();
        if let Some(ms) = self.retry_after_ms {
            let time = TimeSpan::new(Duration::from_millis(ms));
            remedies.push(format!("or try again in {time}"));
        }
        remedies
    }
}

/// What a person at the command line can do; the node's own text has said what is wrong.
fn remedy(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::TokenRequired => {
            "put the node's token into LOCKKEEPER_TOKEN, or name its file with --token-file"
        }
        Reason::TokenInvalid => "check LOCKKEEPER_TOKEN, or the file of --token-file",
        Reason::HostRefused => {
            "use an address that the node answers to, or add this host to its ALLOWED_HOSTS"
        }
        Reason::SandboxNotFound => "`lockkeeper ls --all` lists the sandboxes that are known",
        Reason::SandboxExists => "choose another id, or end it with `lockkeeper rm`",
        Reason::TemplateNotFound | Reason::Unsupported => {
            "`lockkeeper info` lists what the node has"
        }
        Reason::NodeFull => "end a sandbox with `lockkeeper rm`, or use another node",
        Reason::NodeBusy => "use another node, or wait longer with --queue-timeout",
        Reason::NodeDraining => "use another node, or end the drain with `lockkeeper undrain`",
        Reason::NodeStandby | Reason::NodeUnhealthy => {
            "use another node; `lockkeeper undrain` tells this one to take sandboxes again"
        }
        Reason::BrowserStartFailed | Reason::StartTimeout => {
            "run `lockkeeper doctor` on the node's machine"
        }
        Reason::DiskLow => "free some disk on the node's machine; `lockkeeper doctor` says where",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, retry_after_ms: Option<u64>) -> Failure {
        Failure::Refused(Refused { code: code.into(), retry_after_ms, ..Refused::default() })
    }

    #[test]
    fn exit_codes_tell_later_from_never() {
        assert_eq!(refused("NODE_FULL", Some(4_000)).exit_code(), 75);
        assert_eq!(refused("SANDBOX_EXISTS", None).exit_code(), 1);
        assert_eq!(refused("TOKEN_REQUIRED", None).exit_code(), 77);
        assert_eq!(refused("OF_A_LATER_VERSION", None).exit_code(), 1);
        let foreign = Failure::Foreign { url: String::new(), status: 200, text: String::new() };
        assert_eq!(foreign.exit_code(), 76);
    }

    #[test]
    fn a_hint_is_a_remedy() {
        let failure = refused("NODE_DRAINING", Some(5_000));
        let remedies = failure.remedies();
        assert!(remedies[0].contains("undrain"), "{remedies:?}");
        assert_eq!(remedies[1], "or try again in 5s");
        assert_eq!(failure.fields()["retry_after_ms"], 5_000);
    }
}
