//! What settings must be together.

use std::path::Path;

use orchestrator::Template;
use orchestrator::process::check_extension;
use service::settings::shared::SHUTDOWN_DRAIN_TIMEOUT;
use service::settings::{Finding, Values};

use super::{ALLOW_NO_SANDBOX, DEFAULT_TTL, MAX_SANDBOXES, MAX_TTL, SANDBOX_PORTS, read_templates};

pub(super) fn ttl_fits(values: &Values) -> Vec<Finding> {
    let most = values.get(&MAX_TTL);
    if !most.is_zero() && values.get(&DEFAULT_TTL) > most {
        let text = "DEFAULT_TTL is longer than MAX_TTL; lower it, or raise MAX_TTL";
        return vec![Finding::Mistake(text.to_owned())];
    }
    Vec::new()
}

pub(super) fn templates_are_right(values: &Values) -> Vec<Finding> {
    let mistakes = match read_templates(values) {
        Ok(templates) => {
            let (max_ttl, no_sandbox) = (values.get(&MAX_TTL), values.get(&ALLOW_NO_SANDBOX));
            let wrong = |(name, template): (&String, &Template)| {
                let mistakes = template.mistakes(no_sandbox, max_ttl).into_iter();
                let told = mistakes.map(|m| format!("templates.{name}.{} {}", m.field, m.problem));
                let folders = template.extensions.iter().filter(|dir| dir.is_absolute());
                let unusable = folders.filter_map(|dir| check_extension(dir).err());
                let unusable = unusable.map(|e| format!("templates.{name}.extensions: {e}"));
                let program = template.runner.iter().filter_map(|runner| runner.command.first());
                // One that is not absolute is told of above.
                let missing = program.filter(|p| p.starts_with('/') && !Path::new(p).is_file());
                let missing = missing.map(|program| {
                    format!("templates.{name}.runner.command: there is no program {program}")
                });
                told.chain(unusable).chain(missing).collect::<Vec<_>>()
            };
            templates.iter().flat_map(wrong).collect()
        }
        Err(mistakes) => mistakes,
    };
    mistakes.into_iter().map(Finding::Mistake).collect()
}

pub(super) fn ports_suffice(values: &Values) -> Vec<Finding> {
    let (Some(range), Some(most)) = (values.find(&SANDBOX_PORTS), values.find(&MAX_SANDBOXES))
    else {
        return Vec::new();
    };
    if range.count() >= most {
        return Vec::new();
    }
    let text = format!(
        "SANDBOX_PORTS has {} ports for MAX_SANDBOXES {most}: some sandboxes will have none; \
         widen the range",
        range.count()
    );
    vec![Finding::Warning(text)]
}

pub(super) fn drain_ends(values: &Values) -> Vec<Finding> {
    if values.get(&MAX_TTL).is_zero() && values.get(&SHUTDOWN_DRAIN_TIMEOUT).is_zero() {
        let text = "MAX_TTL and SHUTDOWN_DRAIN_TIMEOUT are both unlimited: a shutdown may wait for \
                    ever; set one of them";
        return vec![Finding::Warning(text.to_owned())];
    }
    Vec::new()
}
