//! Posted runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Held, Sessions, SessionsError};
use crate::http::PathError;
use crate::session::event::Invalid;
use crate::session::lane::{Posted, Refused};
use crate::session::run::Run;
use crate::sse;

/// What a client posts to start a run.
#[derive(Debug, Clone)]
pub struct RunInput {
    posted: Posted,
    body: Bytes,
}

impl RunInput {
    /// Reads it. The bytes go to the runner as they are.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: Bytes) -> Result<Self, Invalid> {
        let input: Value = serde_json::from_slice(&body).map_err(|_| Invalid::NotJson)?;
        let Value::Object(fields) = input else { return Err(Invalid::NotObject) };
        Ok(Self { posted: Posted::read(&fields)?, body })
    }

    /// Reads it and fills in the ids that it leaves out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn complete(body: &Bytes, thread: &str) -> Result<Self, Invalid> {
        let input: Value = serde_json::from_slice(body).map_err(|_| Invalid::NotJson)?;
        let Value::Object(mut fields) = input else { return Err(Invalid::NotObject) };
        let absent =
            |fields: &Map<String, Value>, field| fields.get(field).is_none_or(Value::is_null);
        if absent(&fields, "threadId") {
            fields.insert("threadId".into(), thread.into());
        }
        if absent(&fields, "runId") {
            let run = format!("run-{}{}", eventlog::Epoch::random(), eventlog::Epoch::random());
            fields.insert("runId".into(), run.into());
        }
        let posted = Posted::read(&fields)?;
        Ok(Self { posted, body: Value::Object(fields).to_string().into() })
    }
}

/// A run that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub run: String,
    /// Its thread.
    pub thread: String,
    /// Its number, by which its records are known.
    pub number: u64,
    /// The offset behind which its records come.
    pub behind: u64,
}

/// Why a run was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The session does not take it now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its thread makes no path.
    #[error("run_path: {0}")]
    Path(#[from] PathError),
    /// The process ends, or the log does not answer.
    #[error(transparent)]
    Sessions(#[from] SessionsError),
}

impl Sessions {
    /// Logs an event that the runner gave as an answer, as if it had come between runs. It waits for
    /// the lane like any other.
    pub(crate) fn add_event(&self, held: &Held, data: &str) {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let session = held.session.clone();
        let event = sse::Event { kind: None, data: data.into(), id: None };
        let stop = self.ending.clone();
        self.tasks.spawn(async move {
            let add = session.run_items(number, vec![sse::Item::Event(event)]);
            // A session that was closed meanwhile needs it no more.
            let _ = stop.run_until_cancelled(add).await;
        });
    }

    /// Takes a run, starts the session's listener if it has none, and sends the run to the runner.
    /// What the runner answers is read to its end, whoever listens.
    ///
    /// # Errors
    /// [`PostError`]; nothing was sent then.
    ///
    /// # Cancel safety
    /// The run has been taken and is read, or nothing has happened.
    pub async fn post(
        &self,
        held: &Arc<Held>,
        input: RunInput,
        traceparent: Option<HeaderValue>,
    ) -> Result<Accepted, PostError> {
        let pass = self.pass()?;
        // It could not begin before there is room.
        if let Some(stall) = held.session.stall() {
            return Err(SessionsError::from(stall.why).into());
        }
        let RunInput { posted, body } = input;
        let (run, thread) = (posted.run.clone(), posted.thread.clone());
        let session = held.session.clone();
        let checked = held.settings();
        let url = checked.url(&checked.settings().run_path, session.key(), &thread)?;
        if held.is_stopped() {
            let _one = self.changes.lock().await;
            self.keep(session.key(), Some(checked.settings()), false).await?;
            held.stopped.store(false, Ordering::Relaxed);
        }
        self.ensure(held).await;
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let cancel = CancellationToken::new();
        session.add_run(number, cancel.clone());
        let pin = self.pin(session.key());
        let sending = Run {
            session: session.clone(),
            number,
            client: self.client.clone(),
            url,
            headers: checked.headers().clone(),
            traceparent,
            body,
            limits: self.options.limits,
            budget: self.budget.clone(),
            cancel,
            ending: self.ending.clone(),
        };
        // A task of its own from here on: a client that leaves now leaves a run that goes on.
        let (tell, told) = tokio::sync::oneshot::channel();
        self.tasks.spawn(async move {
            let taken = session.post(number, posted).await;
            let taken = match taken {
                Ok(Ok(behind)) => Ok(behind),
                Ok(Err(refused)) => Err(PostError::Refused(refused)),
                Err(_) => Err(PostError::Sessions(SessionsError::Draining)),
            };
            let goes_on = taken.is_ok();
            // Whoever asked may have left.
            let _ = tell.send(taken);
            if goes_on {
                sending.run().await;
            } else {
                session.remove_run(number);
            }
            drop((pass, pin));
        });
        let behind = told.await.unwrap_or(Err(SessionsError::Draining.into()))?;
        Ok(Accepted { run, thread, number, behind })
    }
}
