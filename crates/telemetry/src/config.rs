//! Pure: which events are kept, and how a request changes that.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commands;
use crate::handle::bit;
use crate::words::Category;

#[cfg(test)]
mod tests;

/// Which events are kept, and where they are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Every category.
    pub categories: BTreeMap<Category, Switch>,
    /// What is told of commands.
    pub control: Control,
    /// Every sink that the daemon was set up with.
    pub sinks: BTreeMap<String, Switch>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whether it is on.
    pub enabled: bool,
}

/// What is told of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Methods that make no event; they are counted.
    pub excluded_methods: BTreeSet<String>,
}

/// The body of a request that changes a configuration. Absent members say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    categories: Option<BTreeMap<Category, Switch>>,
    control: Option<ControlChange>,
    sinks: Option<BTreeMap<String, Switch>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlChange {
    excluded_methods: Option<BTreeSet<String>>,
}

/// Why a change was not made. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChange {
    /// It is not what it has to be.
    #[error("{0}")]
    Malformed(String),
    /// There is no such command in the table of those that make events.
    #[error("control.excluded_methods: `{name}` makes no event, so it cannot be left out")]
    UnknownMethod {
        /// Its name.
        name: String,
    },
    /// There is no such sink.
    #[error("sinks.{name}: there is no such sink; there are: {known}")]
    UnknownSink {
        /// Its name.
        name: String,
        /// Those that exist.
        known: String,
    },
}

impl Default for Config {
    /// What is on unless somebody says otherwise, and no sink.
    fn default() -> Self {
        Self::with(Category::on_by_default)
    }
}

impl Change {
    /// Reads a body; an empty one changes nothing.
    ///
    /// # Errors
    /// [`BadChange::Malformed`] names the member.
    pub fn read(body: &[u8]) -> Result<Self, BadChange> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| BadChange::Malformed(error.to_string()))
    }

    fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    fn with(on: impl Fn(Category) -> bool) -> Self {
        let switch = |category: &Category| (*category, Switch { enabled: on(*category) });
        Self {
            categories: Category::ALL.iter().map(switch).collect(),
            control: Control::default(),
            sinks: BTreeMap::new(),
        }
    }

    /// Whether any event is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.categories.values().any(|switch| switch.enabled)
    }

    /// The same, with every category off.
    #[must_use]
    pub fn switched_off(&self) -> Self {
        Self { sinks: self.sinks.clone(), ..Self::with(|_| false) }
    }

    /// What a replacement makes of it: only what it names is on. A replacement that names nothing
    /// gives the defaults.
    ///
    /// # Errors
    /// [`BadChange`].
    pub fn replaced(&self, change: Change) -> Result<Self, BadChange> {
        let defaults = change.says_nothing();
        let mut new = if defaults { Self::default() } else { Self::with(|_| false) };
        new.sinks = self.sinks.clone();
        new.sinks.values_mut().for_each(|sink| sink.enabled = false);
        new.merged(change)
    }

    /// What a change makes of it: only what it names changes.
    ///
    /// # Errors
    /// [`BadChange`].
    pub fn merged(&self, change: Change) -> Result<Self, BadChange> {
        let mut new = self.clone();
        new.categories.extend(change.categories.unwrap_or_default());
        if let Some(methods) = change.control.and_then(|control| control.excluded_methods) {
            if let Some(name) = methods.iter().find(|name| commands::find(name).is_none()) {
                return Err(BadChange::UnknownMethod { name: name.chars().take(64).collect() });
            }
            new.control.excluded_methods = methods;
        }
        for (name, switch) in change.sinks.unwrap_or_default() {
            let Some(sink) = new.sinks.get_mut(&name) else {
                let known = self.sinks.keys().cloned().collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".into() } else { known };
                return Err(BadChange::UnknownSink {
                    name: name.chars().take(64).collect(),
                    known,
                });
            };
            *sink = switch;
        }
        Ok(new)
    }

    /// One bit for each category that is on.
    pub(crate) fn bits(&self) -> u32 {
        let on = self.categories.iter().filter(|(_, switch)| switch.enabled);
        on.map(|(category, _)| bit(*category)).sum()
    }

    /// The names of the sinks that are on.
    pub(crate) fn sinks_on(&self) -> Vec<String> {
        self.sinks.iter().filter(|(_, sink)| sink.enabled).map(|(name, _)| name.clone()).collect()
    }

    /// The names of what differs.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut names = Vec::new();
        for (category, switch) in &self.categories {
            if other.categories.get(category) != Some(switch) {
                names.push(format!("categories.{category}"));
            }
        }
        if self.control != other.control {
            names.push("control.excluded_methods".to_owned());
        }
        for (sink, switch) in &self.sinks {
            if other.sinks.get(sink) != Some(switch) {
                names.push(format!("sinks.{sink}"));
            }
        }
        names
    }
}
