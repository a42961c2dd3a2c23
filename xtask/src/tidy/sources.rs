//! What every source file keeps to.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::Finding;

/// A path relative to the root, and the text.
pub(super) type Source = (String, String);

const MAX_LINES: usize = 400;

/// What a file that says it is pure has no business with, and how it is told.
const IMPURE: [(&str, &str); 9] = [
    ("Instant::now", "a clock: take `now` as an argument"),
    ("SystemTime::now", "a clock: take `now` as an argument"),
    ("tokio::", "a runtime: return an action, and let the shell do it"),
    ("TcpStream", "a socket: take bytes and return bytes"),
    ("TcpListener", "a socket: take bytes and return bytes"),
    ("UdpSocket", "a socket: take bytes and return bytes"),
    ("UnixStream", "a socket: take bytes and return bytes"),
    ("ToSocketAddrs", "a resolver: take the address as an argument"),
    ("std::thread", "a thread: return an action, and let the shell do it"),
];

/// Macros that say a part is not done. Spelled so that this file does not contain them.
const UNFINISHED: [&str; 2] = [concat!("todo", "!"), concat!("unimplemented", "!")];

/// An ignored test without a reason, spelled so that this file does not contain it.
const IGNORED: &str = concat!("#[", "ignore]");

/// How a source lets in what the workspace denies, spelled so that this file does not contain it.
const UNSAFE: [&str; 2] = [concat!("allow(", "unsafe_code)"), concat!("expect(", "unsafe_code)")];

/// The sources below `crates/`, `fuzz/`, `tests/` and `xtask/`.
///
/// # Errors
/// When a folder or file cannot be read.
pub(super) fn read(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in ["crates", "fuzz", "tests", "xtask"] {
        walk(root, &root.join(folder), &mut sources)?;
    }
    sources.sort();
    Ok(sources)
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let unread = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unread)? {
        let path = entry.with_context(unread)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "node_modules" && name != "target" && !name.starts_with('.') {
                walk(root, &path, sources)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".mjs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let path = path.strip_prefix(root).unwrap_or(&path);
            sources.push((path.display().to_string(), text));
        }
    }
    Ok(())
}

pub(super) fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let text = format!("has {lines} lines, and {MAX_LINES} is the most: split it by subject");
        findings.push(Finding::new(path, text));
    }
    let pure = text.starts_with("//! Pure");
    let mut own_tests = false;
    for (at, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let mut report = |text: String| {
            findings.push(Finding::new(format!("{path}:{}", at + 1), text));
        };
        own_tests |= code.starts_with("mod ") && code.ends_with("tests {");
        if pure && !own_tests {
            for (word, why) in IMPURE.iter().filter(|(word, _)| mentions(code, word)) {
                report(format!("says it is pure and mentions `{word}`, {why}"));
            }
        }
        if !path.contains("/tests/") && UNSAFE.iter().any(|word| code.contains(word)) {
            let text = "lets unsafe code in, and there is none: avoid it, or bring a module of its own and a \
                        run under the address sanitizer";
            report(text.to_owned());
        }
        for word in UNFINISHED.iter().filter(|word| mentions(code, word)) {
            report(format!("has `{word}`: finish it, or leave the part out"));
        }
        if code.contains(IGNORED) {
            report("ignores a test without a reason: say why, or run it".to_owned());
        }
    }
}

/// Whether the word is in the line and does not merely end a longer one.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[cfg(test)]
mod tests;
