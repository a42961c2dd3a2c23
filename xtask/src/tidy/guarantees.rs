//! Every guarantee names a test, and the test exists.
//!
//! ```text
//! - **G1** What a user may rely on. (test: `crate::path::name_of_a_test`)
//! - **G2** Several tests, and as many lines as it needs.
//!   (tests: `crate::name_of_a_test`, `lockkeeper-tests::flow_drain::another`)
//! ```

use std::collections::BTreeSet;

use super::{Finding, sources::Source};

const PAGE: &str = "GUARANTEES.md";

pub(super) fn check(page: &str, sources: &[Source], findings: &mut Vec<Finding>) {
    let guarantees = guarantees(page);
    if guarantees.is_empty() {
        findings.push(Finding::new(PAGE, "has no guarantee of the form `- **G1** text`"));
    }
    let mut numbers = BTreeSet::new();
    for Guarantee { line, number, tests } in guarantees {
        let place = format!("{PAGE}:{line}");
        if !numbers.insert(number) {
            findings.push(Finding::new(&place, format!("a second **{number}**: number it anew")));
        }
        if tests.is_empty() {
            let text = format!("{number} names no test; end it with (test: `crate::path::name`)");
            findings.push(Finding::new(&place, text));
        }
        for test in tests {
            let name = test.rsplit("::").next().unwrap_or(test);
            if !is_name(name) || !sources.iter().any(|(_, text)| defines(text, name)) {
                let text =
                    format!("{number} names the test `{test}`, and there is no `fn {name}(`");
                findings.push(Finding::new(&place, text));
            }
        }
    }
}

struct Guarantee<'a> {
    line: usize,
    /// `G1`.
    number: &'a str,
    tests: Vec<&'a str>,
}

fn guarantees(page: &str) -> Vec<Guarantee<'_>> {
    let mut found = Vec::new();
    let mut offset = 0;
    for (at, line) in page.split_inclusive('\n').enumerate() {
        let from = offset;
        offset += line.len();
        let Some((number, _)) = line.strip_prefix("- **").and_then(|rest| rest.split_once("**"))
        else {
            continue;
        };
        if number.strip_prefix('G').is_none_or(|n| n.parse::<u32>().is_err()) {
            continue;
        }
        // It goes on over indented lines, to the next item, heading or empty line.
        let rest = &page[from + line.len()..];
        let more: usize = rest
            .split_inclusive('\n')
            .take_while(|line| line.starts_with(' ') && !line.trim().is_empty())
            .map(str::len)
            .sum();
        let item = &page[from..from + line.len() + more];
        found.push(Guarantee { line: at + 1, number, tests: tests_of(item) });
    }
    found
}

/// What is in backticks after `(test: ` or `(tests: `.
fn tests_of(item: &str) -> Vec<&str> {
    let after = |opening: &str| item.rsplit_once(opening).map(|(_, tests)| tests);
    let Some(tests) = after("(test:").or_else(|| after("(tests:")) else { return Vec::new() };
    let tests = tests.split_once(')').map_or(tests, |(tests, _)| tests);
    tests.split('`').skip(1).step_by(2).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn defines(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let line = text[..at].rsplit('\n').next().unwrap_or_default();
        !line.trim_start().starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(page: &str) -> Vec<String> {
        let sources =
            [("a.rs".to_owned(), "#[test]\nfn one() {}\n// fn gone() {}\nfn two(".into())];
        let mut findings = Vec::new();
        check(page, &sources, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn guarantees_with_existing_tests_are_fine() {
        let page = "# Guarantees\n\n- **G1** Text (really). (test: `a::b::one`)\n\
                    - **G2** Text\n  over lines. (tests: `a::one`,\n  `two`)\n";
        assert_eq!(said(page), [""; 0]);
    }

    #[test]
    fn a_missing_test_is_named() {
        assert_eq!(
            said("intro\n- **G1** Text. (test: `a::gone`)\n- **G2** Text.\n\n(test: `one`)\n"),
            [
                "GUARANTEES.md:2: G1 names the test `a::gone`, and there is no `fn gone(`",
                "GUARANTEES.md:3: G2 names no test; end it with (test: `crate::path::name`)",
            ]
        );
    }

    #[test]
    fn numbers_are_unique_and_there_is_at_least_one() {
        let page = "- **G1** A. (test: `one`)\n- **G1** B. (test: `two`)\n";
        assert_eq!(said(page), ["GUARANTEES.md:2: a second **G1**: number it anew"]);
        assert_eq!(
            said("nothing"),
            ["GUARANTEES.md: has no guarantee of the form `- **G1** text`"]
        );
    }
}
