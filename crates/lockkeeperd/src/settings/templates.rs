//! Pure: the `[templates.NAME]` tables of the settings file.
//!
//! Every key is known, or a mistake that names the nearest one; every mistake of every template is
//! told at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lockkeeper_api::{DrainPolicy, ExpirePolicy, nearest};
use orchestrator::Template;
use orchestrator::driver::{Flavour, LaunchLimits, OnExit};
use orchestrator::templates::{Override, RunnerTemplate, Viewport};
use service::settings::{SettingValue, Size};
use toml::{Table, Value};

/// Why the section is in the file.
pub(crate) const REASON: &str = "A table `[templates.NAME]` for each kind of sandbox that a \
     create can name: what they have in common, see [templates](templates.md).";

/// What a template may say.
const KEYS: [&str; 19] = [
    "flavour",
    "browser_path",
    "flags",
    "viewport",
    "user_agent",
    "proxy",
    "extensions",
    "env",
    "limits",
    "ttl",
    "idle",
    "on_crash",
    "on_close",
    "on_expire",
    "on_drain",
    "auto_resume",
    "runner",
    "pool",
    "overridable",
];

/// What its limits may say.
const LIMITS: [&str; 3] = ["memory", "pids", "cpu"];

/// What its runner may say.
const RUNNER: [&str; 7] = [
    "command",
    "env",
    "ready_path",
    "required",
    "on_exit",
    "start_timeout",
    "stop_on_run_finished",
];

/// Below this a browser does not start.
const LEAST_MEMORY: u64 = 128 << 20;

/// Below this it does not either; ten tabs of the full browser use about 250.
const PIDS: RangeInclusive<u32> = 64..=100_000;

/// Browsers that wait for a create; more than a node has room for are never started.
const POOL: RangeInclusive<u32> = 0..=1000;

/// Cores that one sandbox may be limited to.
const CPU: RangeInclusive<f64> = 0.05..=256.0;

/// Reads the section.
///
/// # Errors
/// Every mistake, each with the key where it stands.
pub(crate) fn read(section: Option<&Value>) -> Result<BTreeMap<String, Template>, Vec<String>> {
    let Some(section) = section else { return Ok(BTreeMap::new()) };
    let Some(section) = section.as_table() else {
        return Err(vec!["templates must hold tables, such as [templates.fast]".to_owned()]);
    };
    let (mut templates, mut mistakes) = (BTreeMap::new(), Vec::new());
    for (name, value) in section {
        let Some(table) = value.as_table() else {
            mistakes.push(format!("templates.{name} must be a table: [templates.{name}]"));
            continue;
        };
        if !is_name(name) {
            mistakes.push(format!(
                "templates.{name}: a name has 1 to 40 of a-z, 0-9, - and _, so that it can stand \
                 in an address"
            ));
        }
        let mut keys = Keys { path: format!("templates.{name}"), table, mistakes: &mut mistakes };
        let template = keys.template();
        templates.insert(name.clone(), template);
    }
    if mistakes.is_empty() { Ok(templates) } else { Err(mistakes) }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=40).contains(&name.len()) && name.chars().all(plain)
}

/// The keys of one table, read one by one.
struct Keys<'a> {
    path: String,
    table: &'a Table,
    mistakes: &'a mut Vec<String>,
}

impl Keys<'_> {
    fn template(&mut self) -> Template {
        self.only(&KEYS);
        let flavours = Flavour::ALL.map(|flavour| (flavour.as_str(), flavour));
        let exits = [("relaunch", OnExit::Relaunch), ("stop", OnExit::Stop)];
        let parts = Override::ALL.map(|part| (part.as_str(), part));
        let overridable = match self.table.contains_key("overridable") {
            true => {
                let words = self.texts("overridable");
                words.iter().filter_map(|w| self.choice("overridable", w, &parts)).collect()
            }
            false => Override::USUAL.into(),
        };
        Template {
            flavour: self.word("flavour", &flavours),
            browser: self.text("browser_path").map(PathBuf::from),
            flags: self.texts("flags"),
            viewport: self.parsed::<Viewport>("viewport"),
            user_agent: self.text("user_agent"),
            proxy: self.text("proxy"),
            extensions: self.texts("extensions").into_iter().map(PathBuf::from).collect(),
            env: self.variables(),
            limits: self.limits(),
            ttl: self.setting::<Duration>("ttl"),
            idle: self.setting::<Duration>("idle"),
            on_crash: self.word("on_crash", &exits),
            on_close: self.word("on_close", &exits),
            on_expire: self.word("on_expire", ExpirePolicy::WORDS),
            on_drain: self.word("on_drain", DrainPolicy::WORDS),
            auto_resume: self.flag("auto_resume"),
            runner: self.runner(),
            pool: self.whole("pool", &POOL).unwrap_or(0) as usize,
            overridable,
        }
    }

    fn runner(&mut self) -> Option<RunnerTemplate> {
        let value = self.table.get("runner")?;
        let Some(table) = value.as_table() else {
            self.mistake("runner", "must be a table such as { command = [\"/usr/bin/agent\"] }");
            return None;
        };
        let path = format!("{}.runner", self.path);
        let mut keys = Keys { path, table, mistakes: &mut *self.mistakes };
        keys.only(&RUNNER);
        let usual = RunnerTemplate::default();
        let exits = [("restart", OnExit::Relaunch), ("stop", OnExit::Stop)];
        Some(RunnerTemplate {
            command: keys.texts("command"),
            env: keys.variables(),
            ready_path: keys.text("ready_path").unwrap_or(usual.ready_path),
            required: keys.flag("required").unwrap_or(usual.required),
            on_exit: keys.word("on_exit", &exits).unwrap_or(usual.on_exit),
            start_timeout: keys.setting("start_timeout").unwrap_or(usual.start_timeout),
            stop_on_run_finished: keys
                .flag("stop_on_run_finished")
                .unwrap_or(usual.stop_on_run_finished),
        })
    }

    fn limits(&mut self) -> LaunchLimits {
        let Some(value) = self.table.get("limits") else { return LaunchLimits::default() };
        let Some(table) = value.as_table() else {
            self.mistake("limits", "must be a table such as { memory = \"2 GiB\", pids = 500 }");
            return LaunchLimits::default();
        };
        let path = format!("{}.limits", self.path);
        let mut keys = Keys { path, table, mistakes: &mut *self.mistakes };
        keys.only(&LIMITS);
        let memory = keys.setting::<Size>("memory").map(|size| size.0);
        if memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
            keys.mistake("memory", "must be at least 128 MiB, or no browser starts");
        }
        let pids = keys.whole("pids", &PIDS);
        LaunchLimits { memory, pids, cpu: keys.cpu() }
    }

    fn whole(&mut self, key: &str, range: &RangeInclusive<u32>) -> Option<u32> {
        let number = self.table.get(key)?.as_integer().and_then(|n| u32::try_from(n).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.mistake(key, &format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// In thousandths of a core.
    fn cpu(&mut self) -> Option<u32> {
        let value = self.table.get("cpu")?;
        let cores = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        let cores = cores.filter(|cores| CPU.contains(cores));
        if cores.is_none() {
            let (least, most) = (CPU.start(), CPU.end());
            let text = format!("must be a number of cores from {least} to {most}, such as 1.5");
            self.mistake("cpu", &text);
        }
        cores.map(|cores| (cores * 1000.0).round() as u32)
    }

    fn mistake(&mut self, key: &str, problem: &str) {
        self.mistakes.push(format!("{}.{key} {problem}", self.path));
    }

    fn only(&mut self, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            let problem = match nearest(key, known.iter().copied()) {
                Some(near) => format!("is unknown; did you mean {near}?"),
                None => format!("is unknown; the known keys are {}", known.join(", ")),
            };
            self.mistakes.push(format!("{}.{key} {problem}", self.path));
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.table.get(key)?;
        let text = value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        if text.is_none() {
            self.mistake(key, "must be a text that is not empty");
        }
        text
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.table.get(key)?.as_bool();
        if value.is_none() {
            self.mistake(key, "must be true or false");
        }
        value
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|all| all.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.mistake(key, "must be an array of texts");
            Vec::new()
        })
    }

    fn variables(&mut self) -> BTreeMap<String, String> {
        let Some(value) = self.table.get("env") else { return BTreeMap::new() };
        let texts: Option<BTreeMap<String, String>> = value.as_table().and_then(|table| {
            table.iter().map(|(name, v)| Some((name.clone(), v.as_str()?.to_owned()))).collect()
        });
        texts.unwrap_or_else(|| {
            self.mistake("env", "must be a table of texts such as { TZ = \"UTC\" }");
            BTreeMap::new()
        })
    }

    /// A text that a type of the settings reads.
    fn setting<T: SettingValue>(&mut self, key: &str) -> Option<T> {
        let value = T::read(&self.text(key)?);
        value.map_err(|wrong| self.mistake(key, &wrong)).ok()
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let value = self.text(key)?.parse();
        value.map_err(|wrong: T::Err| self.mistake(key, &wrong.to_string())).ok()
    }

    fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        self.choice(key, &text, words)
    }

    fn choice<T: Copy>(&mut self, key: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let shown: String = text.chars().take(40).collect();
            self.mistake(key, &format!("cannot be {shown:?}; it is one of {}", known.join(", ")));
        }
        found
    }
}

#[cfg(test)]
mod tests;
