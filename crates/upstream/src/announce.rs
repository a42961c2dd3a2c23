//! Pure: finds the line in which a browser says where it listens.

use serde::Deserialize;

use crate::url::{UrlError, UrlPolicy, WsUrl, host_for_log};

/// What Chromium prints on its standard error when its DevTools server listens
/// (`content/browser/devtools/devtools_http_handler.cc`).
const ANNOUNCE: &[u8] = b"DevTools listening on ";

/// What stands before the browser's own bytes in each line of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PrefixForm {
    /// Nothing.
    #[default]
    None,
    /// Kubernetes container log: time, stream, and `F` for a whole line or `P` for a part.
    Cri,
    /// Docker's `json-file`: one object a line, the bytes in `log`.
    DockerJson,
    /// This very text. A line without it is not looked at.
    Literal(String),
    /// So many words, each followed by spaces: 1 for a time stamp, 5 for a classic syslog line.
    Words(u8),
}

/// Looks at one line after another. An announcement counts only at the start of a line, but that
/// is no protection: with console logging on, a page can print such a line too. That is why the
/// address is checked, and why a source that reads a log asks the browser as well.
#[derive(Clone, Debug)]
pub struct AnnounceScanner {
    policy: UrlPolicy,
    form: PrefixForm,
    /// The last record of standard output, standard error was a part: the next one goes on in
    /// the middle of a line.
    inside: [bool; 2],
}

/// What a line was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Any other line.
    Nothing,
    /// An announcement with an acceptable address.
    Announced(WsUrl),
    /// An announcement whose address must not be used.
    Refused(RefusedUrl),
}

/// An announcement that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedUrl {
    /// The first rule that the address breaks.
    pub why: UrlError,
    /// Its host, cut and cleaned: the only part that may be logged.
    pub host: String,
}

impl AnnounceScanner {
    /// A scanner for lines of the given form.
    pub const fn new(policy: UrlPolicy, form: PrefixForm) -> Self {
        Self { policy, form, inside: [false; 2] }
    }

    /// The rules that an address has to keep.
    pub const fn policy(&self) -> &UrlPolicy {
        &self.policy
    }

    /// Looks at one line, without its newline.
    pub fn scan(&mut self, line: &[u8]) -> Scan {
        match &self.form {
            PrefixForm::None => self.scan_text(line),
            PrefixForm::Literal(prefix) => match line.strip_prefix(prefix.as_bytes()) {
                Some(text) => self.scan_text(text),
                None => Scan::Nothing,
            },
            PrefixForm::Words(words) => match skip_words(line, *words) {
                Some(text) => self.scan_text(text),
                None => Scan::Nothing,
            },
            PrefixForm::Cri => match cri(line) {
                Some(record) => self.scan_record(&record),
                None => Scan::Nothing,
            },
            PrefixForm::DockerJson => match serde_json::from_slice::<DockerLine<'_>>(line) {
                Ok(parsed) => self.scan_record(&Record {
                    from_stderr: parsed.stream == "stderr",
                    ends_line: parsed.log.ends_with('\n'),
                    text: parsed.log.as_bytes(),
                }),
                Err(_) => Scan::Nothing,
            },
        }
    }

    fn scan_record(&mut self, record: &Record<'_>) -> Scan {
        let inside = &mut self.inside[usize::from(record.from_stderr)];
        let was_inside = std::mem::replace(inside, !record.ends_line);
        // A line that was cut in two is far longer than any announcement.
        if was_inside || !record.ends_line { Scan::Nothing } else { self.scan_text(record.text) }
    }

    fn scan_text(&self, text: &[u8]) -> Scan {
        let Some(url) = text.strip_prefix(ANNOUNCE) else {
            return Scan::Nothing;
        };
        let url = String::from_utf8_lossy(url.trim_ascii());
        match WsUrl::parse(&url, &self.policy) {
            Ok(url) => Scan::Announced(url),
            Err(why) => Scan::Refused(RefusedUrl { why, host: host_for_log(&url) }),
        }
    }
}

/// One record of a container log.
struct Record<'a> {
    from_stderr: bool,
    /// The record ends its line; a long line comes as several records.
    ends_line: bool,
    text: &'a [u8],
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    stream: std::borrow::Cow<'a, str>,
}

/// `<time> <stream> <P|F>[:more tags] <text>`.
fn cri(line: &[u8]) -> Option<Record<'_>> {
    let mut parts = line.splitn(4, |&b| b == b' ');
    let _time = parts.next()?;
    let from_stderr = match parts.next()? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let ends_line = match parts.next()?.split(|&b| b == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Record { from_stderr, ends_line, text: parts.next().unwrap_or_default() })
}

fn skip_words(mut line: &[u8], words: u8) -> Option<&[u8]> {
    for _ in 0..words {
        let end = line.iter().position(|&b| b == b' ')?;
        line = line[end..].trim_ascii_start();
    }
    Some(line)
}

#[cfg(test)]
mod tests;
