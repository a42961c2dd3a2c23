//! Pure: from messages to the requests that both faces share, with every mistake at once.

use std::collections::BTreeMap;
use std::time::Duration;

use lockkeeper_api::{
    ApiError, CreateRequest, DeleteWait, DrainPolicy, DrainRequest, ExitPolicy, ExpirePolicy,
    Mistake, Mistakes, NodeStatus, OperationRequest, RestartRequest, SandboxAfter, SandboxState,
    StatusRequest, TimeSpan, UpdateRequest, label_mistakes, proto, request_id_mistake,
};
use prost_types::Duration as Span;

use crate::ListFilter;
use crate::face::page_limit;
use crate::snapshots::SnapshotId;
use crate::watch::Cursor;

pub(super) fn create(message: proto::CreateSandboxRequest) -> Result<CreateRequest, ApiError> {
    let mut read = Reader::default();
    read.attempt(message.request_id.as_deref());
    read.labels(&message.labels);
    let request = CreateRequest {
        ttl: read.span("ttl", message.ttl),
        idle: read.span("idle", message.idle),
        queue_timeout: read.span("queue_timeout", message.queue_timeout),
        on_crash: read.exit_policy("on_crash", message.on_crash),
        on_close: read.exit_policy("on_close", message.on_close),
        on_expire: read.expire_policy(message.on_expire),
        on_drain: read.drain_policy(message.on_drain),
        id: message.id,
        request_id: message.request_id,
        template: message.template,
        snapshot_id: message.snapshot_id,
        flavour: message.flavour,
        flags: Some(message.flags).filter(|flags| !flags.is_empty()),
        viewport: message.viewport,
        user_agent: message.user_agent,
        proxy: message.proxy,
        extensions: Some(message.extensions).filter(|folders| !folders.is_empty()),
        env: Some(message.env).filter(|env| !env.is_empty()),
        labels: message.labels,
        auto_resume: message.auto_resume,
    };
    read.finish(request, SandboxAfter::None)
}

pub(super) fn list(message: proto::ListSandboxesRequest) -> Result<ListFilter, ApiError> {
    let mut read = Reader::default();
    let mut filter = ListFilter {
        labels: message.labels,
        template: message.template,
        limit: read.limit(message.limit),
        ..ListFilter::default()
    };
    for state in message.states {
        let state = read.choice("states", state, state_word);
        filter.states.extend(state);
    }
    filter.after = message.after.and_then(|text| {
        let after = text.parse().ok();
        if after.is_none() {
            let shown: String = text.chars().take(40).collect();
            read.mistake("after", format!("`{shown}` is not a whole number"));
        }
        after
    });
    read.finish(filter, SandboxAfter::Untouched)
}

pub(super) fn watch(message: proto::WatchSandboxesRequest) -> Result<Option<Cursor>, ApiError> {
    let mut read = Reader::default();
    let after = message.after.map(|text| text.parse::<Cursor>());
    let after = after.and_then(|parsed| read.parsed("after", parsed));
    read.finish(after, SandboxAfter::Untouched)
}

pub(super) fn update(
    message: proto::UpdateSandboxRequest,
) -> Result<(String, UpdateRequest), ApiError> {
    let mut read = Reader::default();
    read.labels(&message.set_labels);
    for key in message.remove_labels.iter().filter(|key| message.set_labels.contains_key(*key)) {
        read.mistake("remove_labels", format!("`{key}` is also set, leave one of them out"));
    }
    let set = message.set_labels.into_iter().map(|(key, value)| (key, Some(value)));
    let request = UpdateRequest {
        ttl: read.span("ttl", message.ttl),
        only_later: message.only_later,
        idle: read.span("idle", message.idle),
        labels: set.chain(message.remove_labels.into_iter().map(|key| (key, None))).collect(),
        on_expire: read.expire_policy(message.on_expire),
        on_drain: read.drain_policy(message.on_drain),
        auto_resume: message.auto_resume,
    };
    read.finish((message.id, request), SandboxAfter::Untouched)
}

pub(super) fn operation(
    message: proto::OperationRequest,
) -> Result<(String, OperationRequest), ApiError> {
    let mut read = Reader::default();
    read.attempt(message.request_id.as_deref());
    let proto::OperationRequest { id, lifecycle_id, request_id } = message;
    read.finish((id, OperationRequest { lifecycle_id, request_id }), SandboxAfter::Untouched)
}

pub(super) fn restart(
    message: proto::RestartBrowserRequest,
) -> Result<(String, RestartRequest), ApiError> {
    let mut read = Reader::default();
    read.attempt(message.request_id.as_deref());
    let proto::RestartBrowserRequest { id, flags, lifecycle_id, request_id } = message;
    let flags = flags.map(|flags| flags.flags);
    read.finish((id, RestartRequest { flags, lifecycle_id, request_id }), SandboxAfter::Untouched)
}

pub(super) fn delete(message: &proto::DeleteSandboxRequest) -> Result<DeleteWait, ApiError> {
    let mut read = Reader::default();
    let wait = read.choice("wait", message.wait, |wait: proto::DeleteWait| match wait {
        proto::DeleteWait::Unspecified => None,
        proto::DeleteWait::Accepted => Some(DeleteWait::Accepted),
        proto::DeleteWait::Stopped => Some(DeleteWait::Stopped),
        proto::DeleteWait::Cleaned => Some(DeleteWait::Cleaned),
    });
    read.finish(wait.unwrap_or_default(), SandboxAfter::Untouched)
}

/// From which snapshot on, and how many.
pub(super) type SnapshotPage = (Option<SnapshotId>, Option<usize>);

pub(super) fn snapshots(message: proto::ListSnapshotsRequest) -> Result<SnapshotPage, ApiError> {
    let mut read = Reader::default();
    let after = message.after.map(|text| text.parse::<SnapshotId>());
    let after = after.and_then(|parsed| read.parsed("after", parsed));
    let limit = read.limit(message.limit);
    read.finish((after, limit), SandboxAfter::Untouched)
}

pub(super) fn status(message: &proto::SetStatusRequest) -> Result<StatusRequest, ApiError> {
    let mut read = Reader::default();
    let status = read.choice("status", message.status, |status: proto::NodeStatus| match status {
        proto::NodeStatus::Unspecified => None,
        proto::NodeStatus::Healthy => Some(NodeStatus::Healthy),
        proto::NodeStatus::Draining => Some(NodeStatus::Draining),
        proto::NodeStatus::Standby => Some(NodeStatus::Standby),
        proto::NodeStatus::Unhealthy => Some(NodeStatus::Unhealthy),
    });
    read.finish((), SandboxAfter::Untouched)?;
    let missing = || Mistakes::one("status", StatusRequest::MISSING);
    status
        .map(|status| StatusRequest { status })
        .ok_or_else(|| ApiError::bad_request(SandboxAfter::Untouched, &missing()))
}

pub(super) fn drain(message: proto::DrainRequest) -> Result<DrainRequest, ApiError> {
    let mut read = Reader::default();
    let request = DrainRequest {
        announce: read.span("announce", message.announce),
        deadline: read.span("deadline", message.deadline),
        force: message.force,
    };
    if let Some(problem) = request.announce_mistake() {
        read.mistake("announce", problem.to_owned());
    }
    read.finish(request, SandboxAfter::Untouched)
}

fn state_word(state: proto::SandboxState) -> Option<SandboxState> {
    Some(match state {
        proto::SandboxState::Unspecified => return None,
        proto::SandboxState::Requested => SandboxState::Requested,
        proto::SandboxState::Starting => SandboxState::Starting,
        proto::SandboxState::Running => SandboxState::Running,
        proto::SandboxState::Pausing => SandboxState::Pausing,
        proto::SandboxState::Checkpointing => SandboxState::Checkpointing,
        proto::SandboxState::Paused => SandboxState::Paused,
        proto::SandboxState::Resuming => SandboxState::Resuming,
        proto::SandboxState::Stopping => SandboxState::Stopping,
        proto::SandboxState::Stopped => SandboxState::Stopped,
    })
}

/// Collects what is wrong with a message.
#[derive(Default)]
struct Reader(Vec<Mistake>);

impl Reader {
    fn mistake(&mut self, field: &str, problem: String) {
        self.0.push(Mistake { field: field.to_owned(), problem });
    }

    fn finish<T>(self, request: T, after: SandboxAfter) -> Result<T, ApiError> {
        Mistakes::check(self.0).map_err(|mistakes| ApiError::bad_request(after, &mistakes))?;
        Ok(request)
    }

    fn parsed<T, E: ToString>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.mistake(field, error.to_string())).ok()
    }

    fn attempt(&mut self, request_id: Option<&str>) {
        if let Some(problem) = request_id.and_then(request_id_mistake) {
            self.mistake("request_id", problem.to_owned());
        }
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>) {
        for problem in label_mistakes(labels) {
            self.mistake("labels", problem);
        }
    }

    fn limit(&mut self, limit: Option<u64>) -> Option<usize> {
        limit.and_then(|limit| {
            let limit = page_limit(limit);
            self.parsed("limit", limit)
        })
    }

    fn span(&mut self, field: &str, span: Option<Span>) -> Option<TimeSpan> {
        let span = span?;
        match Duration::try_from(span) {
            // What JSON can say is as long and no finer.
            Ok(time) if time <= TimeSpan::LONGEST => {
                Some(Duration::from_millis(crate::shell::millis(time)).into())
            }
            Ok(_) => {
                self.mistake(field, "is longer than a hundred years".to_owned());
                None
            }
            Err(_) => {
                self.mistake(field, "is negative, write a time such as 15 minutes".to_owned());
                None
            }
        }
    }

    /// One of the values of an enum; the first one of each means that nothing was said.
    fn choice<P: TryFrom<i32>, T>(
        &mut self,
        field: &str,
        value: i32,
        of: impl Fn(P) -> Option<T>,
    ) -> Option<T> {
        match P::try_from(value) {
            Ok(choice) => of(choice),
            Err(_) => {
                self.mistake(field, format!("{value} is not one of its values"));
                None
            }
        }
    }

    fn exit_policy(&mut self, field: &str, value: i32) -> Option<ExitPolicy> {
        self.choice(field, value, |policy: proto::ExitPolicy| match policy {
            proto::ExitPolicy::Unspecified => None,
            proto::ExitPolicy::Relaunch => Some(ExitPolicy::Relaunch),
            proto::ExitPolicy::Stop => Some(ExitPolicy::Stop),
        })
    }

    fn expire_policy(&mut self, value: i32) -> Option<ExpirePolicy> {
        self.choice("on_expire", value, |policy: proto::ExpirePolicy| match policy {
            proto::ExpirePolicy::Unspecified => None,
            proto::ExpirePolicy::Stop => Some(ExpirePolicy::Stop),
            proto::ExpirePolicy::Pause => Some(ExpirePolicy::Pause),
        })
    }

    fn drain_policy(&mut self, value: i32) -> Option<DrainPolicy> {
        self.choice("on_drain", value, |policy: proto::DrainPolicy| match policy {
            proto::DrainPolicy::Unspecified => None,
            proto::DrainPolicy::Wait => Some(DrainPolicy::Wait),
            proto::DrainPolicy::Pause => Some(DrainPolicy::Pause),
        })
    }
}
