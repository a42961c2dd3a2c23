//! Pure: what a create may say otherwise than its template.

use lockkeeper_api::{CreateRequest, Mistake};

use super::Template;
use crate::launch::mistake;

/// A part of a create that a template may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Override {
    /// Browser family.
    Flavour,
    /// Further switches.
    Flags,
    /// What a page sees of a window.
    Viewport,
    /// What the browser says it is.
    UserAgent,
    /// Through whom it reaches the network.
    Proxy,
    /// Folders of unpacked extensions.
    Extensions,
    /// Further or other variables.
    Env,
    /// Time to live.
    Ttl,
    /// How long it may be unused.
    Idle,
    /// What follows a crash.
    OnCrash,
    /// What follows a close by its client.
    OnClose,
    /// What follows when its time is over.
    OnExpire,
    /// What follows when the node shuts down.
    OnDrain,
    /// Whether a client that connects brings it back.
    AutoResume,
}

impl Override {
    /// Every part.
    pub const ALL: [Self; 14] = [
        Self::Flavour,
        Self::Flags,
        Self::Viewport,
        Self::UserAgent,
        Self::Proxy,
        Self::Extensions,
        Self::Env,
        Self::Ttl,
        Self::Idle,
        Self::OnCrash,
        Self::OnClose,
        Self::OnExpire,
        Self::OnDrain,
        Self::AutoResume,
    ];

    /// What a template that lists nothing leaves open: the node bounds how long a sandbox lives
    /// whoever asks, and none of these changes how its browser is started.
    pub const USUAL: [Self; 5] =
        [Self::Ttl, Self::Idle, Self::OnExpire, Self::OnDrain, Self::AutoResume];

    /// The field of a create.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flavour => "flavour",
            Self::Flags => "flags",
            Self::Viewport => "viewport",
            Self::UserAgent => "user_agent",
            Self::Proxy => "proxy",
            Self::Extensions => "extensions",
            Self::Env => "env",
            Self::Ttl => "ttl",
            Self::Idle => "idle",
            Self::OnCrash => "on_crash",
            Self::OnClose => "on_close",
            Self::OnExpire => "on_expire",
            Self::OnDrain => "on_drain",
            Self::AutoResume => "auto_resume",
        }
    }

    fn is_in(self, request: &CreateRequest) -> bool {
        match self {
            Self::Flavour => request.flavour.is_some(),
            Self::Flags => request.flags.is_some(),
            Self::Viewport => request.viewport.is_some(),
            Self::UserAgent => request.user_agent.is_some(),
            Self::Proxy => request.proxy.is_some(),
            Self::Extensions => request.extensions.is_some(),
            Self::Env => request.env.is_some(),
            Self::Ttl => request.ttl.is_some(),
            Self::Idle => request.idle.is_some(),
            Self::OnCrash => request.on_crash.is_some(),
            Self::OnClose => request.on_close.is_some(),
            Self::OnExpire => request.on_expire.is_some(),
            Self::OnDrain => request.on_drain.is_some(),
            Self::AutoResume => request.auto_resume.is_some(),
        }
    }
}

impl Template {
    /// What a request says that the template called `name` does not leave open.
    pub(crate) fn closed_to(&self, name: &str, request: &CreateRequest) -> Vec<Mistake> {
        let parts = Override::ALL.into_iter().filter(|part| part.is_in(request));
        parts.filter_map(|part| self.closed(name, part)).collect()
    }

    /// What is said of a part that the template called `name` does not leave open.
    pub(crate) fn closed(&self, name: &str, part: Override) -> Option<Mistake> {
        if self.overridable.contains(&part) {
            return None;
        }
        let open: Vec<_> = self.overridable.iter().map(|part| part.as_str()).collect();
        let open = if open.is_empty() { "nothing".to_owned() } else { open.join(", ") };
        let problem = format!("the template `{name}` lets a create set only {open}");
        Some(mistake(part.as_str(), problem))
    }
}
