#![doc = include_str!("../README.md")]

mod browser;
pub mod close_code;
mod commands;
pub mod dial;
mod directory;
#[cfg(test)]
mod docs_check;
#[cfg(test)]
mod docs_facts;
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
mod reports;
pub mod rewrite;
pub mod route;
mod serve;
mod session;
mod settings;
mod stops;
pub mod verdict;

pub use directory::{
    Admitted, Authorize, BoxFuture, Denied, Directory, LookupError, QuickOptions, QuickRefused,
    Target,
};
pub use edge::{Edge, EdgeReport, OverTls};
pub use registry::SessionInfo;
pub use reports::Reports;
pub use settings::{EdgeSettings, SettingsError};
