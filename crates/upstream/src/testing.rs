//! A scripted set of browsers for the tests of this crate: ports, and who answers there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::probe::{Answer, BoxFuture, PROBE_TIMEOUT, Probe};
use crate::publish::{Publisher, Upstream};
use crate::state::UpstreamState;
use crate::url::WsUrl;

#[derive(Clone, Default)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    places: HashMap<u16, Place>,
    asked: Vec<(Instant, u16)>,
}

#[derive(Clone)]
pub(crate) enum Place {
    Browser(String),
    Silent,
    Panics,
}

impl World {
    pub(crate) fn set(&self, port: u16, place: Place) {
        self.inner.lock().unwrap().places.insert(port, place);
    }

    pub(crate) fn browser(&self, port: u16, guid: &str) {
        self.set(port, Place::Browser(guid.to_owned()));
    }

    pub(crate) fn nothing(&self, port: u16) {
        self.inner.lock().unwrap().places.remove(&port);
    }

    /// When each question was asked, and where.
    pub(crate) fn asked(&self) -> Vec<(Instant, u16)> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub(crate) fn questions(&self) -> usize {
        self.inner.lock().unwrap().asked.len()
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::with_probe(false, Arc::new(self.clone()))
    }
}

impl Probe for World {
    fn ask<'a>(&'a self, _host: &'a str, port: u16) -> BoxFuture<'a, Answer> {
        let place = {
            let mut inner = self.inner.lock().unwrap();
            inner.asked.push((Instant::now(), port));
            inner.places.get(&port).cloned()
        };
        Box::pin(async move {
            match place {
                Some(Place::Browser(guid)) => Answer::Alive { guid },
                Some(Place::Silent) => {
                    sleep(PROBE_TIMEOUT).await;
                    Answer::NoAnswer
                }
                Some(Place::Panics) => panic!("scripted panic of a probe"),
                None => Answer::Refused,
            }
        })
    }
}

pub(crate) fn url(port: u16, guid: &str) -> WsUrl {
    WsUrl::from_parts("127.0.0.1", port, guid).unwrap()
}

/// The line that a browser prints.
pub(crate) fn line(port: u16, guid: &str) -> String {
    format!("DevTools listening on ws://127.0.0.1:{port}/devtools/browser/{guid}\n")
}

/// Waits for a state. After two minutes, on whatever clock, it shows the state there is.
pub(crate) async fn until(
    upstream: &Upstream,
    what: &str,
    mut wanted: impl FnMut(&UpstreamState) -> bool,
) -> UpstreamState {
    let mut changes = upstream.changes();
    let waited = timeout(Duration::from_secs(120), async {
        loop {
            let state = changes.changed().await;
            if wanted(&state) {
                return state;
            }
        }
    });
    match waited.await {
        Ok(state) => state,
        Err(_) => panic!("not {what} within two minutes: {:?}", upstream.current()),
    }
}

/// Waits until the instance `generation` is ready, and gives its id.
pub(crate) async fn ready(upstream: &Upstream, generation: u64) -> String {
    let what = format!("ready with generation {generation}");
    let state = until(upstream, &what, |s| s.is_ready() && s.generation == generation).await;
    state.url.unwrap().guid().to_owned()
}
