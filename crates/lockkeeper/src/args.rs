//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use lockkeeper_api::{DrainPolicy, ExitPolicy, ExpirePolicy, SandboxState, TimeSpan};

use crate::failure::Failure;
use crate::trust::Trust;

/// Browser sandboxes of a Lockkeeper node.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 64 usage, 69 the node does not \
                        answer, 75 refused for now, 76 not a Lockkeeper node or not \
                        trusted, 77 not let in.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which node, and how it is spoken to.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The node's address.
    #[arg(long, global = true, env = "LOCKKEEPER_URL", value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:7300")]
    pub(crate) url: String,
    /// A file that holds the node's token; without it LOCKKEEPER_TOKEN is used.
    #[arg(long, global = true, env = "LOCKKEEPER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file of PEM certificates: an https node's is to be signed by one of these, instead of by
    /// one that the system trusts.
    #[arg(long, global = true, env = "LOCKKEEPER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Connection {
    /// Who may have signed the node's certificate.
    pub(crate) fn trust(&self) -> Trust {
        self.ca.clone().map_or(Trust::System, Trust::File)
    }

    /// The token, which is never an argument: those are seen by every user of the machine.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let text = match &self.token_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                Failure::Usage(format!(
                    "the token file {} is not readable: {error}",
                    path.display()
                ))
            })?),
            None => match std::env::var_os("LOCKKEEPER_TOKEN").map(OsString::into_string) {
                Some(Err(_)) => {
                    let text = "LOCKKEEPER_TOKEN is not text".to_owned();
                    return Err(Failure::Usage(text));
                }
                Some(Ok(token)) => Some(token),
                None => None,
            },
        };
        Ok(text.map(|text| text.trim().to_owned()).filter(|token| !token.is_empty()))
    }
}

/// What may follow the end of a browser.
const EXIT_POLICIES: &[(&str, ExitPolicy)] =
    &[("relaunch", ExitPolicy::Relaunch), ("stop", ExitPolicy::Stop)];

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a sandbox and print its DevTools addresses once its browser answers.
    Create(Box<Create>),
    /// List sandboxes.
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show one sandbox, or why it has ended.
    Get {
        /// The sandbox.
        id: String,
        /// Show also what it uses, how its browsers ended and what they said last.
        #[arg(long)]
        full: bool,
    },
    /// End sandboxes.
    #[command(visible_alias = "delete")]
    Rm(Remove),
    /// Park a sandbox: its profile is kept, its processes end.
    Pause(Operation),
    /// Bring a parked sandbox back.
    Resume(Operation),
    /// Save a sandbox as a snapshot; it goes on with a new browser on its profile.
    Checkpoint(Operation),
    /// List, show and remove snapshots.
    Snapshots(Snapshots),
    /// Show events as they happen; after a break it goes on where it was.
    Events(Events),
    /// Show the node.
    Info,
    /// Refuse new sandboxes, keep those that live.
    Drain(Drain),
    /// Take new sandboxes again.
    Undrain,
    /// Check what a node needs on this machine, and say how to get it.
    Doctor(Doctor),
    /// Print a completion script for a shell, to be sourced by it.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

/// A new sandbox.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its id; made by the node if absent.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Names this attempt: a repeat with the same word gets the first outcome.
    #[arg(long, value_name = "WORD")]
    pub(crate) request_id: Option<String>,
    /// One of the node's templates.
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// A snapshot to begin with.
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot: Option<String>,
    /// The browser family, such as chromium or headless-shell.
    #[arg(long)]
    pub(crate) flavour: Option<String>,
    /// A switch for the browser, as --flag=--lang=de; may be repeated.
    #[arg(long = "flag", value_name = "SWITCH", allow_hyphen_values = true)]
    pub(crate) flags: Vec<String>,
    /// What a page sees of a window, such as 1280x720.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub(crate) viewport: Option<String>,
    /// What the browser says it is.
    #[arg(long, value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,
    /// Through whom it reaches the network, such as http://127.0.0.1:3128.
    #[arg(long, value_name = "SERVER")]
    pub(crate) proxy: Option<String>,
    /// A folder of the node with an unpacked extension (chromium only); may be repeated.
    #[arg(long = "extension", value_name = "FOLDER")]
    pub(crate) extensions: Vec<String>,
    /// An environment variable of the browser; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<Pair>,
    /// How long it lives, counted from ready, such as 90s or 2h.
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<TimeSpan>,
    /// How long it may be unused; 0 = for ever.
    #[arg(long, value_name = "TIME")]
    pub(crate) idle: Option<TimeSpan>,
    /// How long to wait for a start slot; 0 = not at all.
    #[arg(long, value_name = "TIME")]
    pub(crate) queue_timeout: Option<TimeSpan>,
    /// A label for finding it again; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<Pair>,
    /// What follows a crash of the browser.
    #[arg(long, value_name = "POLICY", value_parser = words(EXIT_POLICIES))]
    pub(crate) on_crash: Option<ExitPolicy>,
    /// What follows when its client closes the browser.
    #[arg(long, value_name = "POLICY", value_parser = words(EXIT_POLICIES))]
    pub(crate) on_close: Option<ExitPolicy>,
    /// What follows when its time is over.
    #[arg(long, value_name = "POLICY", value_parser = words(ExpirePolicy::WORDS))]
    pub(crate) on_expire: Option<ExpirePolicy>,
    /// What follows when the node shuts down.
    #[arg(long, value_name = "POLICY", value_parser = words(DrainPolicy::WORDS))]
    pub(crate) on_drain: Option<DrainPolicy>,
    /// When it is parked, no client that connects brings it back.
    #[arg(long)]
    pub(crate) no_auto_resume: bool,
    /// Print nothing but the DevTools address.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which sandboxes to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those that have ended too, as long as the node remembers them.
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Only in this state; may be repeated.
    #[arg(long = "state", value_parser = states(), conflicts_with = "all")]
    pub(crate) states: Vec<String>,
    /// Only with this label; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<Pair>,
    /// Only of this template.
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// Go on with a line for each change, as it happens.
    #[arg(long, short, conflicts_with_all = ["all", "states"])]
    pub(crate) watch: bool,
    /// Give up watching when the node has not answered for so long; 0 = at the first break.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub(crate) retry: TimeSpan,
}

/// Which sandboxes to end.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The sandboxes.
    #[arg(required = true)]
    pub(crate) ids: Vec<String>,
    /// Return when the stop has begun, when no process is alive, or when nothing is left.
    #[arg(long, default_value = "stopped")]
    #[arg(value_parser = ["accepted", "stopped", "cleaned"])]
    pub(crate) wait: String,
    /// End only this incarnation.
    #[arg(long, value_name = "ID")]
    pub(crate) lifecycle_id: Option<String>,
}

/// Which sandbox to park, to bring back or to save.
#[derive(Debug, Clone, Args)]
pub(crate) struct Operation {
    /// The sandbox.
    pub(crate) id: String,
    /// Only this incarnation.
    #[arg(long, value_name = "ID")]
    pub(crate) lifecycle_id: Option<String>,
    /// Names this attempt: a repeat with the same word gets the first outcome.
    #[arg(long, value_name = "WORD")]
    pub(crate) request_id: Option<String>,
}

/// What to do with snapshots; without a word they are listed.
#[derive(Debug, Args)]
pub(crate) struct Snapshots {
    #[command(subcommand)]
    pub(crate) command: Option<SnapshotCommand>,
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List snapshots, oldest first.
    #[command(visible_alias = "list")]
    Ls,
    /// Show one snapshot.
    Get {
        /// The snapshot.
        id: String,
    },
    /// Remove snapshots; sandboxes that were made from them go on.
    #[command(visible_alias = "delete")]
    Rm {
        /// The snapshots.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Which events to show.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// From the oldest event that is kept.
    #[arg(long, conflicts_with = "after")]
    pub(crate) replay: bool,
    /// From behind this cursor: an event's epoch and offset, joined by a dash.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// Only of this sandbox; may be repeated.
    #[arg(long = "sandbox", value_name = "ID")]
    pub(crate) sandboxes: Vec<String>,
    /// Only of this type; may be repeated.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kinds: Vec<String>,
    /// Only of this category; may be repeated.
    #[arg(long = "category", value_name = "CATEGORY")]
    pub(crate) categories: Vec<String>,
    /// Give up when the node has not answered for so long; 0 = at the first break.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub(crate) retry: TimeSpan,
}

/// How to drain.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Still take new sandboxes for so long, so that load balancers see it first.
    #[arg(long, value_name = "TIME")]
    pub(crate) announce: Option<TimeSpan>,
    /// Stop what still lives after so long.
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<TimeSpan>,
    /// Stop what lives at once.
    #[arg(long, conflicts_with = "announce")]
    pub(crate) force: bool,
    /// Return when nothing is left, and say meanwhile who is in the way.
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The browser that the node is told to use.
    #[arg(long, env = "LOCKKEEPER_BROWSER", value_name = "PATH")]
    pub(crate) browser: Option<PathBuf>,
    /// The node's state folder.
    #[arg(long, env = "LOCKKEEPER_STATE_DIR", value_name = "PATH")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err("write it as KEY=VALUE".to_owned()),
        }
    }
}

/// One of a few words, each of which stands for a value.
fn words<T: Copy + Send + Sync + 'static>(
    words: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).try_map(move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or("is none of the words")
    })
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(SandboxState::ALL.map(SandboxState::as_str))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn switches_of_the_browser_are_values_and_not_our_own() {
        let cli =
            Cli::try_parse_from(["lockkeeper", "create", "--flag=--lang=de", "--flag", "--mute"]);
        let Ok(Cli { command: Command::Create(create), .. }) = cli else { panic!("{cli:?}") };
        assert_eq!(create.flags, ["--lang=de", "--mute"]);
    }

    #[test]
    fn a_pair_needs_a_key() {
        assert_eq!("a=b=c".parse(), Ok(Pair { key: "a".into(), value: "b=c".into() }));
        assert!("=b".parse::<Pair>().is_err());
        assert!("b".parse::<Pair>().is_err());
    }
}
