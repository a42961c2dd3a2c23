//! Pure: paths of requests to runners, from templates of settings and names of clients.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What one segment may hold as it is: the unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why there is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A value that would change which path it is.
    #[error("a path segment may not be empty, \".\" or \"..\"")]
    Segment,
    /// A template that is no path.
    #[error(
        "a path begins with \"/\" and has no control characters, spaces, backslashes or fragment: {path:?}"
    )]
    Path {
        /// As it was given.
        path: String,
    },
}

/// Fills a template: each `{name}` becomes its value, encoded, so that it stays one segment.
/// A `{name}` that `values` does not have stays as it is and is refused.
///
/// # Errors
/// A value that is empty, `.` or `..`; a template that does not begin with `/`.
pub fn fill(template: &str, values: &[(&str, &str)]) -> Result<String, PathError> {
    let mut path = template.to_owned();
    for (name, value) in values {
        let place = format!("{{{name}}}");
        if path.contains(&place) {
            if matches!(*value, "" | "." | "..") {
                return Err(PathError::Segment);
            }
            path = path.replace(&place, &utf8_percent_encode(value, SEGMENT).to_string());
        }
    }
    let bad = |c: char| c.is_control() || c.is_whitespace() || "\\#{}".contains(c);
    let plain = path.split('?').next().unwrap_or_default();
    if !path.starts_with('/') || path.contains(bad) || plain.split('/').any(is_dots) {
        return Err(PathError::Path { path });
    }
    Ok(path)
}

/// `.` and `..`, also written with `%2e`, which URL parsers read as the same.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// The address of `path` below `base`, whose own path it is appended to.
///
/// # Errors
/// A path that does not begin with `/`, or leads elsewhere.
pub fn join(base: &Url, path: &str) -> Result<Url, PathError> {
    let refused = || PathError::Path { path: path.to_owned() };
    let path = fill(path, &[]).map_err(|_| refused())?;
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path.as_str(), None),
    };
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests;
