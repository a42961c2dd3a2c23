//! Pure: one setting: its name, its type, its default, its range and why it exists.

use std::any::Any;
use std::marker::PhantomData;

use super::value::{Kind, SettingValue};

/// What every environment name begins with.
pub const PREFIX: &str = "LOCKKEEPER_";

/// The description of one setting. Reading, checking, help and documentation all come from it.
#[derive(Debug)]
pub struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Unset,
    pub(super) range: Option<(&'static str, &'static str)>,
    pub(super) zero: Option<&'static str>,
    pub(super) choices: &'static [&'static str],
    pub(super) unprefixed: bool,
    pub(super) reason: &'static str,
    read: fn(&Setting, &str) -> Result<Read, String>,
}

/// What holds when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// This value, written as a user would.
    Value(&'static str),
    /// No value; the text says what happens then.
    Nothing(&'static str),
}

/// A value that was read: the value itself and how to show it.
pub(super) struct Read {
    pub(super) value: Box<dyn Any + Send + Sync>,
    pub(super) shown: String,
}

impl Setting {
    const fn new<T: SettingValue>(
        name: &'static str,
        default: Unset,
        reason: &'static str,
    ) -> Self {
        Self {
            name,
            kind: T::KIND,
            default,
            range: None,
            zero: None,
            choices: &[],
            unprefixed: false,
            reason,
            read: read_as::<T>,
        }
    }

    /// Its name without the prefix: `API_LISTEN`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its name in the environment: `LOCKKEEPER_API_LISTEN`.
    pub fn env_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its name in the file: `api_listen`.
    pub fn file_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Its name as a flag: `--api-listen`. A secret has none, because other users of the machine can
    /// read a command line; it has `--..-file`.
    pub fn flag_name(&self) -> String {
        let end = if self.is_secret() { "-file" } else { "" };
        format!("--{}{end}", self.file_name().replace('_', "-"))
    }

    pub(super) fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    pub(super) fn read(&self, text: &str) -> Result<Read, String> {
        (self.read)(self, text)
    }
}

fn read_as<T: SettingValue>(setting: &Setting, text: &str) -> Result<Read, String> {
    if !setting.choices.is_empty() && !setting.choices.contains(&text) {
        return Err(format!("{text:?} is not one of {}", setting.choices.join(", ")));
    }
    let value = T::read(text)?;
    let rank = value.rank();
    if let (Some((least, most)), Some(rank)) = (setting.range, rank)
        && !(rank == 0 && setting.zero.is_some())
    {
        let bound = |text| T::read(text).ok().and_then(|bound: T| bound.rank());
        if bound(least).is_some_and(|least| rank < least)
            || bound(most).is_some_and(|most| rank > most)
        {
            return Err(format!("{text:?} is outside its range, {least} to {most}"));
        }
    }
    Ok(Read { shown: value.show(), value: Box::new(value) })
}

macro_rules! common {
    () => {
        /// Values below `least` or above `most`, written as a user would, are mistakes.
        #[must_use]
        pub const fn range(mut self, least: &'static str, most: &'static str) -> Self {
            self.setting.range = Some((least, most));
            self
        }

        /// Zero is allowed whatever the range, and means this.
        #[must_use]
        pub const fn zero(mut self, meaning: &'static str) -> Self {
            self.setting.zero = Some(meaning);
            self
        }

        /// Everything else is a mistake.
        #[must_use]
        pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
            self.setting.choices = choices;
            self
        }

        /// Its environment name also works without the prefix.
        #[must_use]
        pub const fn unprefixed(mut self) -> Self {
            self.setting.unprefixed = true;
            self
        }

        /// The description.
        pub const fn setting(&self) -> &Setting {
            &self.setting
        }
    };
}

/// A setting that always has a value of type `T`.
#[derive(Debug)]
pub struct Key<T> {
    setting: Setting,
    value: PhantomData<fn() -> T>,
}

impl<T: SettingValue> Key<T> {
    /// `name` without prefix in upper case, `default` written as a user would, and why the setting is
    /// there and why the default is what it is.
    pub const fn new(name: &'static str, default: &'static str, reason: &'static str) -> Self {
        Self { setting: Setting::new::<T>(name, Unset::Value(default), reason), value: PhantomData }
    }

    common!();
}

/// A setting that may have no value.
#[derive(Debug)]
pub struct OptionalKey<T> {
    setting: Setting,
    value: PhantomData<fn() -> T>,
}

impl<T: SettingValue> OptionalKey<T> {
    /// `name` without prefix in upper case, what holds without it (`none`, `searched for`), and why
    /// the setting is there.
    pub const fn new(name: &'static str, unset: &'static str, reason: &'static str) -> Self {
        Self { setting: Setting::new::<T>(name, Unset::Nothing(unset), reason), value: PhantomData }
    }

    common!();
}
