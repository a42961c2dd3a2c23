//! Pure: where a request carries its token, how it is compared, and how it is taken out again.

use std::fmt;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// What a token is kept as: its SHA-256. Comparing takes the same time wherever two differ.
#[derive(Clone)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether both are hashes of the same token.
    pub(super) fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Which parts of a query may name the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenInQuery {
    /// Any parameter called `token`.
    Anywhere,
    /// Only the first parameter, because the rest is somebody else's URL.
    FirstOnly,
}

/// What the places that may carry a token say together.
#[derive(PartialEq, Eq)]
pub(super) enum Presented {
    Nothing,
    One(String),
    /// At least two that differ.
    Several,
}

pub(super) fn presented(parts: &Parts, scan: TokenInQuery) -> Presented {
    let query = parts.uri.query().unwrap_or_default();
    let mut found = Presented::Nothing;
    for token in bearers(&parts.headers).chain(in_query(query, scan)) {
        found = match found {
            Presented::Nothing => Presented::One(token),
            Presented::One(have) if have == token => Presented::One(have),
            Presented::One(_) | Presented::Several => Presented::Several,
        };
    }
    found
}

/// Every token in an `Authorization: Bearer` header (RFC 6750 section 2.1). Other schemes are not ours.
fn bearers(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    })
}

fn in_query(query: &str, scan: TokenInQuery) -> impl Iterator<Item = String> {
    pairs(query, scan).filter_map(|(pair, may)| if may { token_of(pair) } else { None })
}

/// The pieces between the ampersands, each with whether it may name the token.
fn pairs(query: &str, scan: TokenInQuery) -> impl Iterator<Item = (&str, bool)> {
    query
        .split('&')
        .enumerate()
        .map(move |(index, pair)| (pair, index == 0 || scan == TokenInQuery::Anywhere))
}

/// A plus stays a plus: tokens hold no spaces, and clients that build URLs by hand leave it as it is.
fn token_of(pair: &str) -> Option<String> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let named = percent_decode_str(key).decode_utf8().is_ok_and(|key| key == "token");
    named.then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// The token a query carries, decoded: what has to be put back into a URL handed to the same client.
pub fn query_token(uri: &Uri, scan: TokenInQuery) -> Option<String> {
    in_query(uri.query().unwrap_or_default(), scan).next()
}

/// The same URI without its token; everything else stays byte for byte, order included.
#[must_use]
pub fn without_token(uri: &Uri, scan: TokenInQuery) -> Uri {
    let Some(query) = uri.query() else { return uri.clone() };
    if in_query(query, scan).next().is_none() {
        return uri.clone();
    }
    let rest: Vec<&str> = pairs(query, scan)
        .filter(|(pair, may)| !may || token_of(pair).is_none())
        .map(|(pair, _)| pair)
        .collect();
    let text = if rest.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{}", uri.path(), rest.join("&"))
    };
    let mut parts = uri.clone().into_parts();
    // A part of what was valid before; were it refused, the path alone is the safe answer.
    parts.path_and_query = PathAndQuery::try_from(text).or_else(|_| uri.path().try_into()).ok();
    Uri::from_parts(parts).unwrap_or_default()
}
