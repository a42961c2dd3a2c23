//! Calls to the node.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use ureq::http::Response;
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::failure::{Failure, Refused};
use crate::trust::{self, Trust};

/// How long a connection may take to open; calls themselves take as long as the node lets them.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read; a full page of a list is below 2 MiB.
const ANSWER_MAX: u64 = 64 << 20;
/// How much of a foreign answer is shown.
const SHOWN: usize = 200;
/// What an id in a path may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// The parameters of a call.
pub(crate) type Query<'a> = &'a [(&'a str, String)];

impl Node {
    /// The node at `url`, which has to show a certificate of whom we trust if that is https. Nothing
    /// is sent yet.
    pub(crate) fn new(url: &str, token: Option<String>, trust: &Trust) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/');
        let wrong = |problem: &str| Failure::Usage(format!("the address `{base}` {problem}"));
        let (tls, host) = match base.split_once("://") {
            Some(("http", host)) => (None, host),
            Some(("https", host)) => (Some(trust.config()?), host),
            Some(_) | None => return Err(wrong("must begin with http:// or https://")),
        };
        if host.is_empty() || base.contains(['?', '#', ' ']) {
            return Err(wrong("is not of the form http://HOST:PORT"));
        }
        // Nodes are one's own machines: a proxy for the web does not lead to them.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")));
        let config = match tls {
            Some(tls) => config.tls_config(tls),
            None => config,
        };
        Ok(Self { agent: config.build().into(), base: base.to_owned(), token })
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The path of a sandbox.
    pub(crate) fn sandbox(id: &str) -> String {
        format!("/v1/sandboxes/{}", utf8_percent_encode(id, SEGMENT))
    }

    /// The path of a snapshot.
    pub(crate) fn snapshot(id: &str) -> String {
        format!("/v1/snapshots/{}", utf8_percent_encode(id, SEGMENT))
    }

    pub(crate) fn get(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        let answer = self.ask(self.agent.get(self.url(path)), query).call();
        self.read(path, answer)
    }

    pub(crate) fn delete(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        let answer = self.ask(self.agent.delete(self.url(path)), query).call();
        self.read(path, answer)
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let request = self.authorised(self.agent.post(self.url(path)));
        self.read(path, request.content_type("application/json").send(text(body)?))
    }

    pub(crate) fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let request = self.authorised(self.agent.put(self.url(path)));
        self.read(path, request.content_type("application/json").send(text(body)?))
    }

    /// A stream of events, from behind `last` if that is given.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: Query<'_>,
        last: Option<&str>,
    ) -> Result<impl BufRead + use<>, Failure> {
        let mut request = self.ask(self.agent.get(self.url(path)), query);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.call().map_err(|error| self.unreachable(&error))?;
        if answer.status().as_u16() == 200 {
            return Ok(BufReader::new(answer.into_body().into_reader()));
        }
        Err(self.refusal(path, answer))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn ask(
        &self,
        request: RequestBuilder<WithoutBody>,
        query: Query<'_>,
    ) -> RequestBuilder<WithoutBody> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        self.authorised(request).query_pairs(pairs)
    }

    fn authorised<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read(
        &self,
        path: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(path, answer));
        }
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|_| self.foreign(path, status, &text))
    }

    fn refusal(&self, path: &str, answer: Response<Body>) -> Failure {
        #[derive(serde::Deserialize)]
        struct Envelope {
            error: Refused,
        }
        let status = answer.status().as_u16();
        let mut text = String::new();
        let body = answer.into_body().into_reader().take(ANSWER_MAX).read_to_string(&mut text);
        if let Err(error) = body {
            return self.unreachable(&ureq::Error::Io(error));
        }
        match serde_json::from_str::<Envelope>(&text) {
            Ok(Envelope { error }) => Failure::Refused(error),
            Err(_) => self.foreign(path, status, &text),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        trust::failure(&self.base, error).unwrap_or_else(|| Failure::Unreachable {
            url: self.base.clone(),
            cause: error.to_string(),
        })
    }

    fn foreign(&self, path: &str, status: u16, text: &str) -> Failure {
        let text = crate::output::plain(&text.chars().take(SHOWN).collect::<String>());
        Failure::Foreign { url: self.url(path), status, text }
    }
}

/// The body of a request; what we send is plain data, which always can be written.
fn text(body: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(body).map_err(|error| Failure::Output(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_before_anything_is_sent() {
        let node = |url: &str| Node::new(url, None, &Trust::File("/nowhere/ca.pem".into()));
        assert_eq!(node("http://[::1]:7300/").unwrap().base(), "http://[::1]:7300");
        for wrong in ["127.0.0.1:7300", "http://", "http://a/?x=1", "ftp://a"] {
            assert!(matches!(node(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
        // The file is read for an address that needs it only.
        let Err(Failure::Usage(told)) = node("https://node") else { panic!("no such file") };
        assert!(told.contains("/nowhere/ca.pem"), "{told}");
    }

    #[test]
    fn an_id_never_leaves_its_path_segment() {
        assert_eq!(Node::sandbox("a-1"), "/v1/sandboxes/a-1");
        assert_eq!(Node::sandbox("../node?x#y"), "/v1/sandboxes/..%2Fnode%3Fx%23y");
    }
}
