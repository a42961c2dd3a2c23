//! Reading query strings: every parameter is known, or a mistake that names the nearest one.

use axum::extract::Query;
use http::Uri;
use lockkeeper_api::{ApiError, Mistake, Mistakes, SandboxAfter, nearest};

use super::answer::Refusal;
use crate::face::page_limit;

/// The parameters of a request, taken one by one.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    mistakes: Vec<Mistake>,
}

impl Parameters {
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| {
            let mistakes = Mistakes::one("query", format!("cannot be read: {error}"));
            ApiError::bad_request(SandboxAfter::Untouched, &mistakes)
        })?;
        let mut mistakes = Vec::new();
        for (name, _) in pairs.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let problem = match nearest(name, known.iter().copied()) {
                Some(near) => format!("no such parameter, did you mean `{near}`?"),
                None if known.is_empty() => "no parameter is known here".to_owned(),
                None => format!("no such parameter; the known ones are {}", known.join(", ")),
            };
            mistakes.push(Mistake { field: name.chars().take(60).collect(), problem });
        }
        Ok(Self { pairs, mistakes })
    }

    pub(super) fn mistake(&mut self, field: &str, problem: String) {
        self.mistakes.push(Mistake { field: field.to_owned(), problem });
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let found = self.pairs.iter().filter(|(found, _)| found == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    /// The one value of a parameter.
    pub(super) fn one(&mut self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        if all.len() > 1 {
            self.mistake(name, "is given more than once".to_owned());
        }
        all.pop()
    }

    /// The one value of a parameter that must be a whole number.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.one(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            let shown: String = text.chars().take(40).collect();
            self.mistake(name, format!("`{shown}` is not a whole number"));
        }
        number
    }

    /// How long a page may be.
    pub(super) fn page_limit(&mut self) -> Option<usize> {
        let limit = self.number("limit")?;
        match page_limit(limit) {
            Ok(limit) => Some(limit),
            Err(problem) => {
                self.mistake("limit", problem);
                None
            }
        }
    }

    /// A word out of a list.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &str,
        text: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let shown: String = text.chars().take(40).collect();
            self.mistake(name, format!("`{shown}` is not one of {known}"));
        }
        found
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Refusal> {
        Mistakes::check(self.mistakes)
            .map_err(|mistakes| ApiError::bad_request(SandboxAfter::Untouched, &mistakes))?;
        Ok(value)
    }
}
