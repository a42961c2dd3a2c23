//! Pure: help, the documentation's table and the checked settings, all from the same descriptions.

use std::fmt::Write;

use super::setting::{PREFIX, Setting, Unset};
use super::table::{Table, Values};
use super::value::Kind;

impl Table {
    /// The settings as a page of Markdown: name, type, default, range, reason.
    pub fn markdown(&self) -> String {
        let mut page = format!(
            "# Settings of {program}\n\n\
             Each value is looked for in this order, later ones win: default, the file given with \
             `--config`, environment, command line.\n\n\
             - Environment: the name below with `{PREFIX}` in front.\n\
             - File (TOML): the name in lower case, `api_listen = \"127.0.0.1:7300\"`.\n\
             - Command line: `--api-listen 127.0.0.1:7300`.\n\
             - A secret can also be given as a file that holds it, with `_FILE` after its name; the \
             command line takes only the file.\n\
             - Durations and sizes have a unit: `250ms`, `10s`, `15m`, `24h`, `7d`; `32 KiB`, `1 GiB`.\n\n\
             `{program} --check` reads everything, prints the result or every mistake, and ends.\n",
            program = self.program
        );
        for group in &self.groups {
            let _ = write!(
                page,
                "\n## {}\n\n| name | type | default | range | why |\n| --- | --- | --- | --- | --- |\n",
                group.title
            );
            for setting in &group.settings {
                let _ = writeln!(
                    page,
                    "| `{}` | {} | {} | {} | {} |",
                    setting.name,
                    kind(setting),
                    default(setting, "`"),
                    range(setting).unwrap_or_default(),
                    cell(&reason(setting)),
                );
            }
        }
        if !self.sections.is_empty() {
            page.push_str("\n## Sections of the file\n\n| name | why |\n| --- | --- |\n");
            for (name, reason) in &self.sections {
                let _ = writeln!(page, "| `[{name}]` | {} |", cell(reason));
            }
        }
        page
    }

    pub(super) fn help(&self) -> String {
        let mut text = format!(
            "{program} {}\n{}\n\n\
             usage: {program} [--config FILE] [--check] [--SETTING VALUE ...]\n\n  \
             --config FILE   settings file (TOML)\n  \
             --check         read the settings, print them or every mistake, and end\n  \
             --help, --version\n\n\
             Every setting is a flag below, {PREFIX}NAME in the environment, and name in the file.\n",
            self.version,
            self.about,
            program = self.program
        );
        for group in &self.groups {
            let _ = writeln!(text, "\n{}:", group.title);
            for setting in &group.settings {
                let range = range(setting).map(|range| format!(", {range}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "  {} <{}>  [{}{range}]\n      {}",
                    setting.flag_name(),
                    if setting.is_secret() { "path" } else { kind(setting) },
                    default(setting, ""),
                    reason(setting),
                );
            }
        }
        text.trim_end().to_owned()
    }

    pub(super) fn checked(&self, values: &Values) -> String {
        let mut text = format!("the settings of {} are good\n", self.program);
        for (name, shown, source) in values.shown() {
            let shown = if shown.is_empty() { "(empty)" } else { shown };
            let _ = writeln!(text, "  {name} = {shown}  ({source})");
        }
        for warning in values.warnings() {
            let _ = writeln!(text, "warning: {warning}");
        }
        text.trim_end().to_owned()
    }
}

fn kind(setting: &Setting) -> &'static str {
    if setting.choices.is_empty() { setting.kind.as_str() } else { "one of a few" }
}

fn default(setting: &Setting, quote: &str) -> String {
    match setting.default {
        Unset::Value("") if setting.kind == Kind::List => "empty".to_owned(),
        Unset::Value(text) => format!("{quote}{text}{quote}"),
        Unset::Nothing(text) => text.to_owned(),
    }
}

fn range(setting: &Setting) -> Option<String> {
    if !setting.choices.is_empty() {
        return Some(setting.choices.join(", "));
    }
    match (setting.range, setting.zero) {
        (Some((least, most)), Some(zero)) => Some(format!("{least} to {most}; 0: {zero}")),
        (Some((least, most)), None) => Some(format!("{least} to {most}")),
        (None, Some(zero)) => Some(format!("0: {zero}")),
        (None, None) => None,
    }
}

fn reason(setting: &Setting) -> String {
    if setting.unprefixed {
        let name = setting.name;
        format!("{} In the environment also as `{name}` without the prefix.", setting.reason)
    } else {
        setting.reason.to_owned()
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
