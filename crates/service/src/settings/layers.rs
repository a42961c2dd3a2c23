//! Pure: what was written in the environment, in the file and on the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Source, hint};
use super::setting::{PREFIX, Setting};
use super::value::Kind;

/// One setting as somebody wrote it.
pub(super) struct Written {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) source: Source,
    /// The text is the path of a file that holds the value.
    pub(super) in_file: bool,
}

/// What one place says.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) written: Vec<Written>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
}

impl Layer {
    fn mistake(&mut self, source: Source, text: impl Into<String>) {
        self.mistakes.push(Mistake { source, text: text.into() });
    }
}

/// Finds the setting of an upper-case name without prefix; `true` if the name is that of its file.
fn find(known: &[&'static Setting], name: &str) -> Option<(&'static Setting, bool)> {
    let exact = known.iter().find(|setting| setting.name == name).map(|setting| (*setting, false));
    exact.or_else(|| {
        let stem = name.strip_suffix("_FILE")?;
        let secret = known.iter().find(|setting| setting.is_secret() && setting.name == stem)?;
        Some((*secret, true))
    })
}

pub(super) fn from_environment(
    known: &[&'static Setting],
    variables: Vec<(OsString, OsString)>,
) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let found = match name.strip_prefix(PREFIX) {
            Some(rest) => {
                let found = find(known, rest);
                if found.is_none() {
                    let meant = hint(rest, known.iter().map(|setting| setting.name));
                    layer.warnings.push(format!("environment {name} is not a setting{meant}"));
                }
                found
            }
            None => find(known, name).filter(|(setting, in_file)| setting.unprefixed && !in_file),
        };
        let Some((setting, in_file)) = found else { continue };
        let source = Source::Environment { name: name.to_owned() };
        match value.into_string() {
            Ok(text) => layer.written.push(Written { setting, text, source, in_file }),
            Err(_) => layer.mistake(source, "is not UTF-8"),
        }
    }
    layer
}

pub(super) fn from_file(
    known: &[&'static Setting],
    sections: &[&'static str],
    path: &Path,
    text: &str,
) -> Layer {
    let mut layer = Layer::default();
    let at = |offset: usize| {
        let line = 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
        Source::File { path: path.to_owned(), line }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        layer.mistake(at(error.span().map_or(0, |span| span.start)), error.message());
    }
    let names: Vec<String> = known.iter().map(|setting| setting.file_name()).collect();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let source = at(key.span().start);
        if sections.contains(&name) {
            continue;
        }
        let lower = !name.contains(|c: char| c.is_ascii_uppercase());
        let found = find(known, &name.to_ascii_uppercase()).filter(|_| lower);
        let Some((setting, in_file)) = found else {
            let all = names.iter().map(String::as_str).chain(sections.iter().copied());
            layer.mistake(source, format!("unknown setting {name}{}", hint(name, all)));
            continue;
        };
        match plain_text(value.get_ref()) {
            Ok(text) => layer.written.push(Written { setting, text, source, in_file }),
            Err(wrong) => {
                let how = match setting.kind {
                    Kind::List => "write an array of strings",
                    Kind::Number => "write a number",
                    Kind::Switch => "write true or false",
                    Kind::Duration
                    | Kind::Size
                    | Kind::Address
                    | Kind::Path
                    | Kind::Url
                    | Kind::Text
                    | Kind::Secret => "write a string",
                };
                layer.mistake(source, format!("{name} cannot be {wrong}; {how}"));
            }
        }
    }
    layer
}

/// A value of the file as it would stand in the environment, or what it is instead.
fn plain_text(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        DeValue::Array(items) => {
            let texts: Result<Vec<String>, _> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) if text.contains(',') => Err("a text with a comma"),
                    DeValue::String(text) => Ok(text.to_string()),
                    DeValue::Integer(number) => Ok(number.as_str().to_owned()),
                    DeValue::Boolean(_)
                    | DeValue::Float(_)
                    | DeValue::Datetime(_)
                    | DeValue::Array(_)
                    | DeValue::Table(_) => Err("an array of anything but strings"),
                })
                .collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Float(_) => Err("a number with a point"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Table(_) => Err("a table"),
    }
}

/// What the command line says besides settings.
#[derive(Default)]
pub(super) struct CommandLine {
    pub(super) layer: Layer,
    pub(super) config: Option<PathBuf>,
    pub(super) check: bool,
    pub(super) help: bool,
    pub(super) version: bool,
}

pub(super) fn from_command_line(
    known: &[&'static Setting],
    args: impl IntoIterator<Item = OsString>,
) -> CommandLine {
    let mut line = CommandLine::default();
    let names: Vec<String> = known.iter().map(|setting| setting.flag_name()).collect();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let arg = match arg.into_string() {
            Ok(arg) => arg,
            Err(arg) => {
                let name = arg.to_string_lossy().into_owned();
                line.layer.mistake(Source::Flag { name }, "is not UTF-8");
                continue;
            }
        };
        let (name, given) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let source = Source::Flag { name: name.clone() };
        let mut value = |given: Option<String>| {
            given.or_else(|| {
                let next = args.next_if(|next| !next.to_string_lossy().starts_with("--"))?;
                next.into_string().ok()
            })
        };
        let at = names.iter().position(|have| *have == name);
        match (name.as_str(), at.map(|at| known[at])) {
            ("--help" | "-h", _) => line.help = true,
            ("--version" | "-V", _) => line.version = true,
            ("--check", _) => line.check = true,
            ("--config", _) => match value(given) {
                Some(path) if line.config.is_none() => line.config = Some(path.into()),
                Some(_) => line.layer.mistake(source, "is given twice"),
                None => line.layer.mistake(source, "needs the path of a file"),
            },
            (_, Some(setting)) => {
                let twice = line.layer.written.iter().any(|have| have.setting.name == setting.name);
                let text = match (setting.kind, given) {
                    (Kind::Switch, None) => Some("true".to_owned()),
                    (_, given) => value(given),
                };
                match text {
                    _ if twice => line.layer.mistake(source, "is given twice"),
                    Some(text) => {
                        let in_file = setting.is_secret();
                        line.layer.written.push(Written { setting, text, source, in_file });
                    }
                    None => line.layer.mistake(source, "needs a value"),
                }
            }
            (name, None) if name.starts_with('-') => {
                // What follows was meant as its value: one mistake, and perhaps a secret.
                let _ = value(given);
                let all = ["--help", "--version", "--check", "--config"];
                let all = names.iter().map(String::as_str).chain(all);
                let text = match secret_flag(known, name) {
                    Some(file) => format!("is not a flag, others could read it; use {file}"),
                    None => format!("is not a flag{}", hint(name, all)),
                };
                line.layer.mistake(source, text);
            }
            (name, None) => {
                let name = name.to_owned();
                line.layer.mistake(Source::Flag { name }, "is not a flag; values follow flags");
            }
        }
    }
    line
}

/// The flag that takes the file of a secret, when somebody wrote the one that would take the secret.
fn secret_flag(known: &[&'static Setting], name: &str) -> Option<String> {
    let secret = known.iter().filter(|setting| setting.is_secret());
    secret.map(|setting| setting.flag_name()).find(|flag| flag.strip_suffix("-file") == Some(name))
}
