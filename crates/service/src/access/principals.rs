//! Pure: the file of tokens, each with the name and the scopes of whoever has it.

use std::fmt;
use std::sync::Arc;

use subtle::ConditionallySelectable;
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use super::scope::{Level, Need, Scopes};
use super::token::TokenHash;
use crate::settings::{Secret, SettingValue, meant};

/// Longest name of a principal: it stands in events and log lines.
const NAME_MAX: usize = 64;
/// Names that mean somebody else: who has `TOKEN`, and everybody where no token is set.
const RESERVED: [&str; 2] = ["token", Principal::LOCAL];
const KEYS: [&str; 3] = ["token", "read", "write"];

/// Who sent a request, and what they may do.
#[derive(Debug, Clone)]
pub struct Principal {
    name: Arc<str>,
    scopes: Arc<Scopes>,
    /// Cancelled when its token is taken out of the file; none for who is not in one.
    withdrawn: Option<CancellationToken>,
}

impl Principal {
    /// The name of everybody where no token is needed.
    pub const LOCAL: &'static str = "local";

    /// Somebody who may do everything.
    pub(super) fn of_all(name: &str) -> Self {
        Self { name: name.into(), scopes: Arc::new(Scopes::All), withdrawn: None }
    }

    /// Its name in the file of tokens; `token` for the one of `TOKEN`, and [`Principal::LOCAL`] where
    /// no token is needed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cancelled when its token is withdrawn, or may do less than before; what it began is to end
    /// then. `None` for who is in no file.
    pub fn withdrawal(&self) -> Option<CancellationToken> {
        self.withdrawn.clone()
    }

    /// Whether it may do this.
    pub fn may(&self, need: &Need) -> bool {
        self.scopes.allow(need)
    }
}

/// Every token that is known, as hashes.
#[derive(Clone, Default)]
pub struct Principals(Vec<(TokenHash, Principal)>);

impl fmt::Debug for Principals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, principal)| principal.name())).finish()
    }
}

impl Principals {
    /// Reads a file of tables `[tokens.NAME]`, each with `token`, `read` and `write`.
    ///
    /// # Errors
    /// Every mistake, none with a token in it.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let file: Table = text.parse().map_err(|error: toml::de::Error| {
            // Its own text shows the line, and the token that stands there.
            let before = error.span().map_or("", |span| &text[..span.start.min(text.len())]);
            let line = before.matches('\n').count() + 1;
            vec![format!("line {line}: {}", error.message())]
        })?;
        let (mut known, mut mistakes) = (Self::default(), Vec::new());
        for (key, value) in &file {
            match value.as_table() {
                Some(tokens) if key == "tokens" => known.add_all(tokens, &mut mistakes),
                _ => mistakes.push(format!(
                    "{key:?} is not known; write a table [tokens.NAME] for each token"
                )),
            }
        }
        if known.0.is_empty() && mistakes.is_empty() {
            mistakes.push("it has no table [tokens.NAME], so nobody would be let in".to_owned());
        }
        if mistakes.is_empty() { Ok(known) } else { Err(mistakes) }
    }

    /// With one more, who may do everything.
    pub(super) fn with_all(mut self, token: &str, name: &str) -> Self {
        self.0.push((TokenHash::of(token), Principal::of_all(name)));
        self
    }

    /// Takes the place of what was known before: who is still here and may do as much goes on, and
    /// the others are told that it is over.
    pub(super) fn replace(&mut self, before: &Self) {
        for (hash, old) in &before.0 {
            let still = self.0.iter_mut().find(|(new, _)| bool::from(new.ct_eq(hash)));
            match still {
                Some((_, new)) if new.scopes.cover(&old.scopes) => {
                    new.withdrawn.clone_from(&old.withdrawn);
                }
                Some(_) | None => old.withdrawn.iter().for_each(CancellationToken::cancel),
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. Every one is compared, so the time tells neither which it was nor how
    /// much of it was right.
    pub(super) fn find(&self, token: &str) -> Option<&Principal> {
        let sent = TokenHash::of(token);
        let none = u64::MAX;
        let place = self.0.iter().zip(0_u64..).fold(none, |found, ((hash, _), place)| {
            u64::conditional_select(&found, &place, hash.ct_eq(&sent))
        });
        let (_, principal) = self.0.get(usize::try_from(place).ok()?)?;
        Some(principal)
    }

    fn add_all(&mut self, tokens: &Table, mistakes: &mut Vec<String>) {
        for (name, value) in tokens {
            let at = format!("tokens.{name}");
            let Some(table) = value.as_table() else {
                mistakes.push(format!("{at} must be a table: [tokens.{name}]"));
                continue;
            };
            let proper = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(proper) {
                mistakes
                    .push(format!("{at}: a name has 1 to {NAME_MAX} letters, digits, -, _, ., @"));
            } else if RESERVED.contains(&name.as_str()) {
                mistakes.push(format!("{at}: this name means somebody else; choose another"));
            }
            for key in table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
                mistakes.push(format!("{at}.{key} is not known{}", meant(key, KEYS)));
            }
            let mut scopes = Scopes::none();
            for (key, level) in [("read", Level::Read), ("write", Level::Write)] {
                add_scopes(&mut scopes, level, table.get(key), &format!("{at}.{key}"), mistakes);
            }
            if scopes == Scopes::none() {
                mistakes.push(format!(
                    "{at} may do nothing; list scopes in read or write, such as write = [\"sandbox\"]"
                ));
            }
            let token = match table.get("token").and_then(Value::as_str).map(Secret::read) {
                Some(Ok(token)) => token,
                Some(Err(wrong)) => {
                    mistakes.push(format!("{at}.token {wrong}"));
                    continue;
                }
                None => {
                    mistakes.push(format!("{at}.token is missing; it is a text"));
                    continue;
                }
            };
            if let Some(other) = self.find(token.expose()) {
                mistakes.push(format!(
                    "{at}.token is that of {} too; give each a token of its own",
                    other.name()
                ));
            }
            let principal = Principal {
                name: name.as_str().into(),
                scopes: Arc::new(scopes),
                withdrawn: Some(CancellationToken::new()),
            };
            self.0.push((TokenHash::of(token.expose()), principal));
        }
    }
}

fn add_scopes(
    scopes: &mut Scopes,
    level: Level,
    listed: Option<&Value>,
    at: &str,
    mistakes: &mut Vec<String>,
) {
    let Some(listed) = listed else { return };
    let Some(list) = listed.as_array() else {
        mistakes.push(format!("{at} must be a list of scopes, such as [\"sandbox\"]"));
        return;
    };
    for scope in list {
        let added = match scope.as_str() {
            Some(text) => scopes.add(text, level),
            None => Err("holds something that is no text".to_owned()),
        };
        mistakes.extend(added.err().map(|wrong| format!("{at}: {wrong}")));
    }
}
