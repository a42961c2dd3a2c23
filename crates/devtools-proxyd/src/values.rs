//! Pure: the types that only this daemon's settings have.

use http::Uri;
use service::settings::{Kind, SettingValue};
use upstream::{PrefixForm, UrlPolicy, WsUrl};

/// The longest id of a sandbox: with a key beside it, it still fits one DNS label.
const ID_MAX: usize = 35;

/// The name of the sandbox: a DNS label without `--`, as everywhere in the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SandboxId(pub(crate) String);

impl SettingValue for SandboxId {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=ID_MAX).contains(&text.len()) && text.bytes().all(good);
        if fits && !text.starts_with('-') && !text.ends_with('-') && !text.contains("--") {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} is no id; write 1 to {ID_MAX} of a-z, 0-9 and single hyphens inside"))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// What stands before the browser's own text in each line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogForm(pub(crate) PrefixForm);

impl SettingValue for LogForm {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no form of log; write plain, cri, docker, words:N or literal:TEXT")
        };
        let form = match text.split_once(':') {
            None if text == "plain" => PrefixForm::None,
            None if text == "cri" => PrefixForm::Cri,
            None if text == "docker" => PrefixForm::DockerJson,
            Some(("words", count)) => {
                PrefixForm::Words(count.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?)
            }
            Some(("literal", prefix)) if !prefix.is_empty() => {
                PrefixForm::Literal(prefix.to_owned())
            }
            None | Some(_) => return Err(wrong()),
        };
        Ok(Self(form))
    }

    fn show(&self) -> String {
        match &self.0 {
            PrefixForm::None => "plain".to_owned(),
            PrefixForm::Cri => "cri".to_owned(),
            PrefixForm::DockerJson => "docker".to_owned(),
            PrefixForm::Words(count) => format!("words:{count}"),
            PrefixForm::Literal(prefix) => format!("literal:{prefix}"),
        }
    }
}

/// A host and a port that belong to one browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port, not 0.
    pub(crate) port: u16,
}

impl SettingValue for Place {
    const KIND: Kind = Kind::Address;

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no host and port; write it like 127.0.0.1:9222");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return Err(wrong());
        }
        let host = bracketed.unwrap_or(host).to_owned();
        // The rules of an address that can be dialled hold here too.
        WsUrl::from_parts(&host, port, "any").map_err(|_| wrong())?;
        Ok(Self { host, port })
    }

    fn show(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The whole address of one browser instance. Its host is allowed, because an operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrowserUrl(pub(crate) WsUrl);

impl SettingValue for BrowserUrl {
    const KIND: Kind = Kind::Url;

    fn read(text: &str) -> Result<Self, String> {
        let uri: Option<Uri> = text.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let policy = UrlPolicy { allowed_hosts: vec![host], expected_port: None };
        WsUrl::parse(text, &policy).map(Self).map_err(|error| {
            format!(
                "{text:?} cannot be used ({error}); write it like \
                 ws://127.0.0.1:9222/devtools/browser/ID"
            )
        })
    }

    fn show(&self) -> String {
        self.0.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests;
