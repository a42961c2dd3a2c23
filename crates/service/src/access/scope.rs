//! Pure: what a principal may do, and what a request needs.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

/// What a scope is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Realm {
    /// The node: its status, drain, events and metrics.
    Node,
    /// Sandboxes, their browsers and their snapshots.
    Sandbox,
    /// The agent sessions of one project.
    Project(Box<str>),
}

/// How far a scope goes. Who may write may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Look.
    Read,
    /// Change.
    Write,
}

/// What a request needs of whoever sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// To be known: any token will do.
    Known,
    /// This scope.
    Scope(Realm, Level),
}

/// gRPC methods that only look.
const READING_CALLS: [&str; 6] = ["Get", "List", "Watch", "Info", "WatchDrain", "GetNode"];

impl Need {
    /// To drive a browser, which is what every DevTools route gives.
    pub const DEVTOOLS: Self = Self::Scope(Realm::Sandbox, Level::Write);

    /// What a request needs. A path that is not known here is the node's, so that a new route is
    /// closed to narrow tokens until somebody opens it.
    pub fn of(method: &Method, path: &str) -> Self {
        let level = match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Level::Read,
            _ => Level::Write,
        };
        let mut segments = path.split('/').skip(1);
        let mut next = || segments.next().unwrap_or_default();
        match next() {
            "v1" => match (next(), next()) {
                ("openapi.json", "") => Self::Known,
                ("telemetry", "schema.json") => Self::Known,
                ("sandboxes" | "snapshots", _) => Self::Scope(Realm::Sandbox, level),
                ("projects", name) if !name.is_empty() => {
                    // As routes decode it.
                    let name = percent_decode_str(name).decode_utf8_lossy().into();
                    Self::Scope(Realm::Project(name), level)
                }
                _ => Self::Scope(Realm::Node, level),
            },
            "sandboxes" | "connect" => Self::DEVTOOLS,
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                Self::Known
            }
            service if service.starts_with("lockkeeper.v1.") => {
                let realm = match service {
                    "lockkeeper.v1.SandboxService" | "lockkeeper.v1.SnapshotService" => {
                        Realm::Sandbox
                    }
                    _ => Realm::Node,
                };
                let reads = READING_CALLS.contains(&next());
                Self::Scope(realm, if reads { Level::Read } else { Level::Write })
            }
            _ => Self::Scope(Realm::Node, level),
        }
    }
}

/// Everything that one principal may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// All of it.
    All,
    /// What is listed.
    Some {
        /// By realm.
        realms: BTreeMap<Realm, Level>,
        /// In every project, whatever its name.
        projects: Option<Level>,
    },
}

impl Scopes {
    /// None.
    pub const fn none() -> Self {
        Self::Some { realms: BTreeMap::new(), projects: None }
    }

    /// Whether they are enough.
    pub fn allow(&self, need: &Need) -> bool {
        let Self::Some { realms, projects } = self else { return true };
        let Need::Scope(realm, level) = need else { return true };
        let everywhere = matches!(realm, Realm::Project(_)).then_some(*projects).flatten();
        realms.get(realm).copied().max(everywhere) >= Some(*level)
    }

    /// Whether they are at least as much as others.
    pub fn cover(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Some { .. }, Self::All) => false,
            (Self::Some { projects: mine, .. }, Self::Some { realms, projects }) => {
                mine >= projects
                    && realms
                        .iter()
                        .all(|(realm, level)| self.allow(&Need::Scope(realm.clone(), *level)))
            }
        }
    }

    /// Adds one as it is written: `node`, `sandbox`, `project:NAME`, or `project:*` for every project.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn add(&mut self, text: &str, level: Level) -> Result<(), String> {
        let Self::Some { realms, projects } = self else { return Ok(()) };
        let realm = match text.split_once(':') {
            None if text == "node" => Realm::Node,
            None if text == "sandbox" => Realm::Sandbox,
            Some(("project", "*")) => {
                *projects = (*projects).max(Some(level));
                return Ok(());
            }
            Some(("project", name)) if !name.is_empty() => Realm::Project(name.into()),
            _ => {
                return Err(format!(
                    "{text:?} is no scope; scopes are node, sandbox, project:NAME and project:*"
                ));
            }
        };
        let have = realms.entry(realm).or_insert(level);
        *have = (*have).max(level);
        Ok(())
    }
}
