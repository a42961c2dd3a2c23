//! Reading settings from everywhere they may stand.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::layers::{Layer, Written, from_command_line, from_environment, from_file};
use super::mistake::{Mistake, Mistakes, Source};
use super::setting::{Read, Setting, Unset};
use super::table::{Entry, Finding, Table, Values};

/// What a process is given from outside. Only a binary implements it over the real thing.
pub trait Environment {
    /// Every variable.
    fn variables(&self) -> Vec<(OsString, OsString)>;

    /// The text of a file: the settings file, or one that holds a secret.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// What the user asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Start with these.
    Run(Values),
    /// Print this on standard output and end with success: help, version, or the checked settings.
    Print(String),
}

/// Reads default, file (`--config`), environment and `args` (without the program's name).
///
/// # Errors
/// Every mistake there is, each with where it stands.
pub fn load(
    table: &Table,
    args: impl IntoIterator<Item = OsString>,
    environment: &dyn Environment,
) -> Result<Invocation, Mistakes> {
    let known: Vec<&'static Setting> = table.settings().collect();
    let mut line = from_command_line(&known, args);
    if line.help {
        return Ok(Invocation::Print(table.help()));
    }
    if line.version {
        return Ok(Invocation::Print(format!("{} {}", table.program, table.version)));
    }
    let mut loading = Loading { environment, mistakes: Vec::new(), wrong: BTreeSet::new() };
    let mut values = Values::default();

    let mut file = Layer::default();
    if let Some(path) = &line.config {
        match environment.read(path) {
            Ok(text) => {
                let sections: Vec<_> = table.sections.iter().map(|(name, _)| *name).collect();
                file = from_file(&known, &sections, path, &text);
                // What does not parse has been reported by line.
                values.sections = toml::from_str(&text).unwrap_or_default();
            }
            Err(error) => {
                let text = format!("{} cannot be read: {error}", path.display());
                file.mistakes.push(Mistake { source: flag("--config"), text });
            }
        }
    }
    let mut variables = from_environment(&known, environment.variables());
    for layer in [&mut file, &mut variables, &mut line.layer] {
        loading.mistakes.append(&mut layer.mistakes);
        values.warnings.append(&mut layer.warnings);
    }
    for setting in known {
        // In the order of their weight; every one is read, so that no mistake waits for another start.
        let mut best = loading.unset(setting);
        for layer in [&file, &variables, &line.layer] {
            best = loading.read_layer(setting, layer).or(best);
        }
        if let Some(entry) = best {
            values.entries.insert(setting.name, entry);
        }
    }
    let Loading { mut mistakes, wrong, .. } = loading;
    for rule in &table.rules {
        let usable = |setting: &&Setting| values.has(setting) && !wrong.contains(setting.name);
        if !rule.needs.iter().all(usable) {
            continue;
        }
        for finding in (rule.check)(&values) {
            match finding {
                Finding::Mistake(text) => mistakes.push(Mistake { source: Source::Together, text }),
                Finding::Warning(text) => values.warnings.push(text),
            }
        }
    }
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.source.place());
        return Err(Mistakes(mistakes));
    }
    Ok(if line.check { Invocation::Print(table.checked(&values)) } else { Invocation::Run(values) })
}

struct Loading<'a> {
    environment: &'a dyn Environment,
    mistakes: Vec<Mistake>,
    wrong: BTreeSet<&'static str>,
}

impl Loading<'_> {
    fn unset(&mut self, setting: &'static Setting) -> Option<Entry> {
        let entry = match setting.default {
            Unset::Nothing(shown) => {
                Entry { value: None, shown: format!("({shown})"), source: Source::Default }
            }
            Unset::Value(text) => match setting.read(text) {
                Ok(read) => entry(read, Source::Default),
                Err(wrong) => {
                    self.mistake(setting, Source::Default, format!("{}: {wrong}", setting.name));
                    return None;
                }
            },
        };
        Some(entry)
    }

    /// The value that one place gives a setting, if it gives one and without mistakes.
    fn read_layer(&mut self, setting: &'static Setting, layer: &Layer) -> Option<Entry> {
        let mut found: Option<Entry> = None;
        for written in layer.written.iter().filter(|have| have.setting.name == setting.name) {
            let text = match self.text(written) {
                Ok(text) => text,
                Err(wrong) => {
                    self.mistake(setting, written.source.clone(), wrong);
                    continue;
                }
            };
            let read = match setting.read(&text) {
                Ok(read) => read,
                Err(wrong) => {
                    self.mistake(setting, written.source.clone(), wrong);
                    continue;
                }
            };
            let Some(first) = &found else {
                found = Some(entry(read, written.source.clone()));
                continue;
            };
            let (one, other) = (&first.source, &written.source);
            if setting.is_secret() {
                let text = format!("{one} and {other} are both set; keep one");
                self.mistake(setting, Source::Together, text);
            } else if first.shown != read.shown {
                let text = format!("{one} and {other} differ; keep one");
                self.mistake(setting, Source::Together, text);
            }
        }
        found
    }

    fn text(&self, written: &Written) -> Result<String, String> {
        if !written.in_file {
            return Ok(written.text.clone());
        }
        let path = Path::new(&written.text);
        let text = self.environment.read(path);
        let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        // Editors end a file with a newline, which is not part of the secret.
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn mistake(&mut self, setting: &'static Setting, source: Source, text: String) {
        self.wrong.insert(setting.name);
        self.mistakes.push(Mistake { source, text });
    }
}

fn entry(read: Read, source: Source) -> Entry {
    Entry { value: Some(read.value), shown: read.shown, source }
}

fn flag(name: &str) -> Source {
    Source::Flag { name: name.to_owned() }
}
