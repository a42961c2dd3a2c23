//! Pure: the settings of one daemon, and their values.

use std::any::Any;
use std::collections::BTreeMap;

use super::mistake::Source;
use super::setting::{Key, OptionalKey, Setting};
use super::value::SettingValue;

/// Every setting of one daemon, in the order of its documentation.
#[derive(Debug)]
pub struct Table {
    pub(super) program: &'static str,
    pub(super) version: &'static str,
    pub(super) about: &'static str,
    pub(super) groups: Vec<Group>,
    pub(super) sections: Vec<(&'static str, &'static str)>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) settings: Vec<&'static Setting>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) needs: Vec<&'static Setting>,
    pub(super) check: fn(&Values) -> Vec<Finding>,
}

/// What a rule over several settings found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The daemon does not start.
    Mistake(String),
    /// The daemon says so and starts.
    Warning(String),
}

impl Table {
    /// The program's name.
    pub const fn program(&self) -> &'static str {
        self.program
    }

    /// A table without settings for `program`.
    pub const fn new(program: &'static str, version: &'static str, about: &'static str) -> Self {
        Self {
            program,
            version,
            about,
            groups: Vec::new(),
            sections: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Adds a group under a title of the documentation.
    ///
    /// # Panics
    /// When a name is already there: two settings cannot share one.
    #[must_use]
    pub fn group(
        mut self,
        title: &'static str,
        settings: impl IntoIterator<Item = &'static Setting>,
    ) -> Self {
        let settings: Vec<_> = settings.into_iter().collect();
        for setting in &settings {
            let twice = self.settings().any(|have| have.name == setting.name);
            assert!(!twice, "setting {} is declared twice", setting.name);
        }
        self.groups.push(Group { title, settings });
        self
    }

    /// Adds a section of the file that the daemon reads itself, see [`Values::section`].
    #[must_use]
    pub fn section(mut self, name: &'static str, reason: &'static str) -> Self {
        self.sections.push((name, reason));
        self
    }

    /// Adds a check over several settings. It runs when the settings it needs are in the table and
    /// none of them has a mistake of its own.
    #[must_use]
    pub fn rule(
        mut self,
        needs: impl IntoIterator<Item = &'static Setting>,
        check: fn(&Values) -> Vec<Finding>,
    ) -> Self {
        self.rules.push(Rule { needs: needs.into_iter().collect(), check });
        self
    }

    /// Every setting, in order.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.groups.iter().flat_map(|group| group.settings.iter().copied())
    }
}

/// The values of one start.
#[derive(Debug, Default)]
pub struct Values {
    pub(super) entries: BTreeMap<&'static str, Entry>,
    pub(super) sections: toml::Table,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Option<Box<dyn Any + Send + Sync>>,
    pub(super) shown: String,
    pub(super) source: Source,
}

impl Values {
    /// The value of a setting.
    ///
    /// # Panics
    /// When the key was not in the table that was loaded, which is a defect of the daemon.
    pub fn get<T: SettingValue>(&self, key: &Key<T>) -> T {
        self.value(key.setting())
            .unwrap_or_else(|| panic!("{} has no value, is it in the table?", key.setting().name))
    }

    /// The value of a setting that may have none.
    ///
    /// # Panics
    /// When the key was not in the table that was loaded, which is a defect of the daemon.
    pub fn find<T: SettingValue>(&self, key: &OptionalKey<T>) -> Option<T> {
        assert!(self.has(key.setting()), "{} is not in the table", key.setting().name);
        self.value(key.setting())
    }

    /// Whether the setting was in the table.
    pub fn has(&self, setting: &Setting) -> bool {
        self.entries.contains_key(setting.name)
    }

    /// Where its value came from; `None` when it was not in the table.
    pub fn source(&self, setting: &Setting) -> Option<&Source> {
        self.entries.get(setting.name).map(|entry| &entry.source)
    }

    /// A section of the file that the table left to the daemon.
    pub fn section(&self, name: &str) -> Option<&toml::Value> {
        self.sections.get(name)
    }

    /// What is not wrong enough to stop the start. Log each once.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every setting with its value as it could be written (secrets as `(set)`) and where it came
    /// from.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &str, &Source)> {
        self.entries.iter().map(|(name, entry)| (*name, entry.shown.as_str(), &entry.source))
    }

    fn value<T: SettingValue>(&self, setting: &Setting) -> Option<T> {
        self.entries.get(setting.name)?.value.as_ref()?.downcast_ref().cloned()
    }
}
