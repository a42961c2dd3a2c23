//! What was refused, cut or restarted, as plain numbers for the owner's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::url::UrlError;

/// Counters of one [`Publisher`](crate::Publisher) since it was made. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// States that were published.
    pub published: u64,
    /// Facts that no transition allows in the phase they came in.
    pub refused_steps: u64,
    /// Addresses that were not accepted, by cause.
    pub refused_urls: RefusedUrls,
    /// Lines that were longer than what a source matches; the rest of each was skipped.
    pub long_lines: u64,
    /// Times a source ended or panicked and was started again.
    pub source_restarts: u64,
}

/// Addresses that were not accepted, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedUrls {
    /// Not a URL at all.
    pub malformed: u64,
    /// Not `ws`.
    pub scheme: u64,
    /// User name or password in it.
    pub user_part: u64,
    /// Host neither loopback nor allowed.
    pub host: u64,
    /// Port 0 or not the expected one.
    pub port: u64,
    /// Not the browser path with a valid id.
    pub path: u64,
    /// Right in form, but nothing answered there.
    pub no_answer: u64,
    /// Right in form, but another browser instance answered there.
    pub other_instance: u64,
}

impl RefusedUrls {
    /// All causes together.
    pub const fn total(&self) -> u64 {
        self.malformed
            + self.scheme
            + self.user_part
            + self.host
            + self.port
            + self.path
            + self.no_answer
            + self.other_instance
    }

    /// Every cause with its metric label.
    pub const fn by_kind(&self) -> [(&'static str, u64); 8] {
        [
            (UrlError::Malformed.kind(), self.malformed),
            (UrlError::Scheme.kind(), self.scheme),
            (UrlError::UserPart.kind(), self.user_part),
            (UrlError::Host.kind(), self.host),
            (UrlError::Port.kind(), self.port),
            (UrlError::Path.kind(), self.path),
            (UrlRefusal::NoAnswer.kind(), self.no_answer),
            (UrlRefusal::OtherInstance.kind(), self.other_instance),
        ]
    }
}

/// Why a source did not take an address: its form, or what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlRefusal {
    Form(UrlError),
    NoAnswer,
    OtherInstance,
}

impl UrlRefusal {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Form(error) => error.kind(),
            Self::NoAnswer => "no_answer",
            Self::OtherInstance => "other_instance",
        }
    }
}

/// The live counters behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) published: Counter,
    pub(crate) refused_steps: Counter,
    pub(crate) long_lines: Counter,
    pub(crate) source_restarts: Counter,
    malformed: Counter,
    scheme: Counter,
    user_part: Counter,
    host: Counter,
    port: Counter,
    path: Counter,
    no_answer: Counter,
    other_instance: Counter,
}

impl Counters {
    pub(crate) fn refused_url(&self, why: UrlRefusal, times: u64) {
        match why {
            UrlRefusal::Form(UrlError::Malformed) => self.malformed.add(times),
            UrlRefusal::Form(UrlError::Scheme) => self.scheme.add(times),
            UrlRefusal::Form(UrlError::UserPart) => self.user_part.add(times),
            UrlRefusal::Form(UrlError::Host) => self.host.add(times),
            UrlRefusal::Form(UrlError::Port) => self.port.add(times),
            UrlRefusal::Form(UrlError::Path) => self.path.add(times),
            UrlRefusal::NoAnswer => self.no_answer.add(times),
            UrlRefusal::OtherInstance => self.other_instance.add(times),
        }
    }

    pub(crate) fn read(&self) -> Counts {
        Counts {
            published: self.published.read(),
            refused_steps: self.refused_steps.read(),
            refused_urls: RefusedUrls {
                malformed: self.malformed.read(),
                scheme: self.scheme.read(),
                user_part: self.user_part.read(),
                host: self.host.read(),
                port: self.port.read(),
                path: self.path.read(),
                no_answer: self.no_answer.read(),
                other_instance: self.other_instance.read(),
            },
            long_lines: self.long_lines.read(),
            source_restarts: self.source_restarts.read(),
        }
    }
}

/// A counter that only grows; no ordering with anything else is promised.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
