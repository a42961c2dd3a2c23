//! Pure: reads a JSON object field by field and collects every mistake before it gives up.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::TimeSpan;

/// One thing that is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The field, dotted for members (`labels.team`); `body` for the whole.
    pub field: String,
    /// What is wrong and what to write instead, for a person.
    pub problem: String,
}

/// All that is wrong with a request; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// One mistake.
    pub fn one(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(vec![Mistake { field: field.into(), problem: problem.into() }])
    }

    /// `Ok` if there is none.
    ///
    /// # Errors
    /// The mistakes, if there are any.
    pub fn check(list: Vec<Mistake>) -> Result<(), Self> {
        if list.is_empty() { Ok(()) } else { Err(Self(list)) }
    }

    /// The mistakes in the order in which they were found.
    pub fn list(&self) -> &[Mistake] {
        &self.0
    }

    /// The list, to add to it.
    pub fn into_list(self) -> Vec<Mistake> {
        self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", mistake.field, mistake.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A JSON object that is taken apart field by field.
///
/// Each `take` method removes a field; a value of the wrong type is noted and reads as absent, so
/// that one pass finds every mistake. `null` is absent.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl Fields {
    /// Reads `body`; an empty one is an empty object. Fields outside `known` are mistakes.
    ///
    /// # Errors
    /// When the body is not JSON or not an object.
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Self, Mistakes> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { members: Map::new(), mistakes: Vec::new() });
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| Mistakes::one("body", format!("is not JSON: {error}")))?;
        let Value::Object(members) = value else {
            return Err(Mistakes::one("body", "is not a JSON object, write for example `{}`"));
        };
        let mut mistakes = Vec::new();
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(60).collect();
            let problem = match nearest(name, known.iter().copied()) {
                Some(known) => format!("no such field, did you mean `{known}`?"),
                None => format!("no such field; the known ones are {}", known.join(", ")),
            };
            mistakes.push(Mistake { field: shown, problem });
        }
        Ok(Self { members, mistakes })
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.mistakes.push(Mistake { field: field.into(), problem: problem.into() });
    }

    /// Removes a text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => self.wrong_type(name, "text", &other),
        }
    }

    /// Removes the word that names an attempt.
    pub fn request_id(&mut self) -> Option<String> {
        let word = self.text("request_id")?;
        if let Some(problem) = request_id_mistake(&word) {
            self.mistake("request_id", problem);
        }
        Some(word)
    }

    /// Removes a truth value.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            other => self.wrong_type(name, "true or false", &other),
        }
    }

    /// Removes a time with units.
    pub fn span(&mut self, name: &str) -> Option<TimeSpan> {
        match self.take(name)? {
            Value::String(text) => match text.parse() {
                Ok(span) => Some(span),
                Err(error) => {
                    self.mistake(name, error.to_string());
                    None
                }
            },
            Value::Number(number) => {
                let problem = format!(
                    "`{number}` has no unit, write it as text, for example `\"{number}s\"`"
                );
                self.mistake(name, problem);
                None
            }
            other => self.wrong_type(name, "a time such as \"15m\"", &other),
        }
    }

    /// Removes one of a list of words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let shown: String = text.chars().take(60).collect();
            self.mistake(name, format!("`{shown}` is not one of {list}"));
        }
        found
    }

    /// Removes a list of texts.
    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(name)? else {
            self.mistake(name, "must be a list of texts");
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => {
                    let kind = kind(&other);
                    self.mistake(format!("{name}[{index}]"), format!("must be text, is {kind}"));
                }
            }
        }
        Some(texts)
    }

    /// Removes an object whose values are texts.
    pub fn text_map(&mut self, name: &str) -> Option<BTreeMap<String, String>> {
        let map = self.optional_text_map(name)?;
        Some(map.into_iter().filter_map(|(key, text)| Some((key, text?))).collect())
    }

    /// Removes an object whose values are texts or `null`.
    pub fn optional_text_map(&mut self, name: &str) -> Option<BTreeMap<String, Option<String>>> {
        let Value::Object(members) = self.take(name)? else {
            self.mistake(name, "must be an object of texts, such as {\"team\": \"search\"}");
            return None;
        };
        let mut map = BTreeMap::new();
        for (key, value) in members {
            match value {
                Value::String(text) => {
                    map.insert(key, Some(text));
                }
                Value::Null => {
                    map.insert(key, None);
                }
                other => {
                    let kind = kind(&other);
                    self.mistake(format!("{name}.{key}"), format!("must be text, is {kind}"));
                }
            }
        }
        Some(map)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake that was noted.
    pub fn finish<T>(self, value: T) -> Result<T, Mistakes> {
        Mistakes::check(self.mistakes)?;
        Ok(value)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name).filter(|value| !value.is_null())
    }

    fn wrong_type<T>(&mut self, name: &str, wanted: &str, found: &Value) -> Option<T> {
        self.mistake(name, format!("must be {wanted}, is {}", kind(found)));
        None
    }
}

/// What is wrong with a word that names an attempt, if anything.
pub fn request_id_mistake(word: &str) -> Option<&'static str> {
    let bad = word.is_empty() || word.len() > 128 || word.chars().any(char::is_control);
    bad.then_some("must have 1 to 128 printable characters")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The known name that differs least from `name`, if it differs by no more than a third.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 60 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, candidate)| *far <= candidate.len().div_ceil(3))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace a character) between two texts.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests;
