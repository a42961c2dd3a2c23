//! Pure: what can be said of a browser in words of its own instead of switches.

use std::path::PathBuf;

use lockkeeper_api::{CreateRequest, Mistake, nearest};

use super::Template;
use crate::driver::Flavour;
use crate::launch::mistake;

/// What a page sees of a window, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewport {
    /// From left to right.
    pub width: u16,
    /// From top to bottom.
    pub height: u16,
}

/// The longest side of a window: what a raster of the browser may have in one direction.
const LONGEST_SIDE: u16 = 16_384;

/// Why a text is no size of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be two numbers from 1 to {LONGEST_SIDE} such as `1280x720`")]
pub struct ViewportError;

impl std::str::FromStr for Viewport {
    type Err = ViewportError;

    fn from_str(text: &str) -> Result<Self, ViewportError> {
        let side = |text: &str| {
            text.trim().parse::<u16>().ok().filter(|side| (1..=LONGEST_SIDE).contains(side))
        };
        let (width, height) = text.split_once('x').ok_or(ViewportError)?;
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            (None, _) | (_, None) => Err(ViewportError),
        }
    }
}

/// What the full browser keeps of the height of a window for its tabs and its address, also without
/// a screen (measured, Chromium 156). The small one keeps nothing.
const BAR: u16 = 87;

/// The longest text of one of these words in bytes; a switch has no more.
const LONGEST_TEXT: usize = 4096;

impl Template {
    /// The same with what a request says in place of it; what is no word at all is noted.
    pub(crate) fn as_asked(&self, request: &CreateRequest, mistakes: &mut Vec<Mistake>) -> Self {
        let mut asked = self.clone();
        match request.viewport.as_deref().map(str::parse) {
            Some(Ok(viewport)) => asked.viewport = Some(viewport),
            Some(Err(ViewportError)) => mistakes.push(mistake("viewport", ViewportError)),
            None => {}
        }
        asked.user_agent = request.user_agent.clone().or(asked.user_agent);
        asked.proxy = request.proxy.clone().or(asked.proxy);
        if let Some(folders) = &request.extensions {
            asked.extensions = folders.iter().map(PathBuf::from).collect();
        }
        mistakes.extend(asked.word_mistakes());
        asked
    }

    /// The switches that its words stand for in a browser of that family, and then its switches.
    pub(crate) fn switches(&self, flavour: Flavour) -> Vec<String> {
        let mut switches = Vec::new();
        if let Some(Viewport { width, height }) = self.viewport {
            let bar = match flavour {
                Flavour::Chromium => BAR,
                Flavour::HeadlessShell => 0,
            };
            switches.push(format!("--window-size={width},{}", height + bar));
        }
        switches.extend(self.user_agent.as_ref().map(|text| format!("--user-agent={text}")));
        switches.extend(self.proxy.as_ref().map(|server| format!("--proxy-server={server}")));
        if !self.extensions.is_empty() {
            let folders: Vec<_> = self.extensions.iter().map(|dir| dir.to_string_lossy()).collect();
            let folders = folders.join(",");
            switches.push(format!("--disable-extensions-except={folders}"));
            switches.push(format!("--load-extension={folders}"));
        }
        switches.extend(self.flags.iter().cloned());
        switches
    }

    /// What is wrong with its words.
    pub(crate) fn word_mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let user_agent = self.user_agent.as_deref().and_then(text_problem);
        mistakes.extend(user_agent.map(|problem| mistake("user_agent", problem)));
        let proxy = self.proxy.as_deref();
        let proxy = proxy.and_then(|text| text_problem(text).or_else(|| proxy_problem(text)));
        mistakes.extend(proxy.map(|problem| mistake("proxy", problem)));
        for dir in &self.extensions {
            let text = dir.to_string_lossy();
            if !dir.is_absolute() || text.contains(',') || text_problem(&text).is_some() {
                let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
                let problem = format!("{shown} must be an absolute path without a comma");
                mistakes.push(mistake("extensions", problem));
            }
        }
        let joined: usize = self.extensions.iter().map(|dir| dir.as_os_str().len() + 1).sum();
        if joined > LONGEST_TEXT {
            mistakes.push(mistake("extensions", "have more than 4096 bytes together"));
        }
        mistakes
    }
}

/// What is wrong with a text that becomes the value of a switch.
fn text_problem(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        Some("must not be empty".to_owned())
    } else if text.len() > LONGEST_TEXT {
        Some(format!("has more than {LONGEST_TEXT} bytes"))
    } else if text.chars().any(char::is_control) {
        Some("has a control character".to_owned())
    } else {
        None
    }
}

/// Kinds of proxies (Chromium 156, `net/base/proxy_server.cc`).
const KINDS: [&str; 6] = ["http", "https", "socks", "socks4", "socks5", "direct"];

/// For whose addresses one may be (`net/proxy_resolution/proxy_config.cc`).
const SCHEMES: [&str; 4] = ["http", "https", "ftp", "socks"];

/// What is wrong with a list of proxies. A browser takes what it cannot read for none at all, and
/// would then reach the network without one.
fn proxy_problem(text: &str) -> Option<String> {
    text.split(';').find_map(|rule| {
        let list = match rule.split_once('=') {
            Some((scheme, list)) if SCHEMES.contains(&scheme.trim()) => list,
            Some((scheme, _)) => return Some(unknown(scheme.trim(), "scheme", &SCHEMES)),
            None => rule,
        };
        list.split(',').find_map(|server| server_problem(server.trim()))
    })
}

fn server_problem(server: &str) -> Option<String> {
    let (kind, place) = server.split_once("://").unwrap_or(("http", server));
    if !KINDS.contains(&kind) {
        return Some(unknown(kind, "kind of proxy", &KINDS));
    }
    if kind == "direct" {
        return (!place.is_empty()).then(|| "`direct://` has nothing after it".to_owned());
    }
    if place.contains('@') {
        // Not shown: it may be a password.
        return Some(
            "cannot hold a user or a password: the browser takes none from here".to_owned(),
        );
    }
    let (host, port) = match place.rsplit_once(':') {
        // The end of an IPv6 address is no port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (place, None),
    };
    let inside = host.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    let host_is_right = match inside {
        Some(address) => address.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !host.is_empty() && host.chars().all(plain)
        }
    };
    let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let problem = "must be a host and a port such as `http://127.0.0.1:3128`";
    (!host_is_right || !port_is_right).then(|| problem.to_owned())
}

fn unknown(word: &str, what: &str, known: &[&str]) -> String {
    let shown: String = word.chars().take(60).collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("`{shown}` is no {what}, did you mean `{near}`?"),
        None => format!("`{shown}` is no {what}; the known ones are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
