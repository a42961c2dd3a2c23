#![doc = include_str!("../README.md")]

mod browser;
pub mod close_code;
pub mod dial;
mod directory;
mod edge;
mod entry;
mod establish;
pub mod external;
pub mod facts;
mod json;
mod judge;
mod quick;
pub mod refusal;
mod registry;
mod report;
pub mod rewrite;
pub mod route;
mod serve;
mod session;
mod settings;
mod stops;
pub mod verdict;

pub use directory::{
    Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused, Target,
};
pub use edge::{Edge, EdgeReport, OverTls};
pub use registry::SessionInfo;
pub use settings::{EdgeSettings, SettingsError};
