//! Requests that are passed to the runner.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::error::Refused;
use super::{Api, Names, find, read};
use crate::http::{CollectError, Request, fill, join};
use crate::session::{Held, Sessions};

/// How long the runner may take to begin its answer to a word about a run.
const WORD: Duration = Duration::from_secs(10);

/// How long it may take for its tasks.
const TASK: Duration = Duration::from_secs(30);

/// How long what it can do is believed.
const CAPABILITIES: Duration = Duration::from_secs(60);

/// Largest answer; that of a task's output.
const ANSWER_MAX: usize = 1 << 20;
const OUTPUT_MAX: usize = 10 << 20;

/// How much of a runner's error is passed on.
const ERROR_MAX: usize = 1024;

type TaskNames = axum::extract::Path<(String, String, String)>;

/// What the runner is asked.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    task: Option<&'a str>,
    body: Bytes,
    wait: Duration,
    most: usize,
}

struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    body: Bytes,
}

async fn ask(
    sessions: &Sessions,
    held: &Held,
    headers: &HeaderMap,
    asked: Asked<'_>,
) -> Result<Answer, Refused> {
    let checked = held.settings();
    let thread = held.thread();
    let mut names = vec![("session", held.session.key().session()), ("thread", thread.as_str())];
    names.extend(asked.task.map(|task| ("task", task)));
    let url = fill(asked.path, &names).and_then(|path| join(checked.base(), &path));
    let url = url.map_err(|error| Refused::bad("bad_path", &error))?;
    let request = Request {
        method: asked.method,
        url: &url,
        headers: checked.headers(),
        traceparent: headers.get("traceparent").cloned(),
        body: asked.body,
        head: asked.wait,
    };
    let answer = async {
        let response = sessions.client().send(&request).await.map_err(CollectError::Send)?;
        let kind = response.headers.get(header::CONTENT_TYPE).cloned();
        let status = response.status;
        Ok(Answer { status, kind, body: response.body.collect(asked.most).await? })
    };
    match tokio::time::timeout(asked.wait, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error @ CollectError::TooLarge { .. })) => {
            Err(Refused::gateway("too_large", &error))
        }
        Ok(Err(CollectError::Send(error))) => Err(Refused::gateway("runner_unavailable", &error)),
        Err(_) => {
            let late = "the runner did not answer in time";
            Err(Refused::gateway("runner_unavailable", &late))
        }
    }
}

/// An answer of the runner's that is no success is an error of the gateway's.
fn succeeded(answer: Answer) -> Result<Answer, Refused> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(ERROR_MAX)]);
    let message = format!("the runner answered {}: {text}", answer.status.as_u16());
    Err(Refused::gateway("runner_error", &message))
}

fn passed(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    if let Some(kind) = answer.kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// `POST agui/interrupt`.
pub(super) async fn interrupt(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let body = read(body, ANSWER_MAX).await?;
    let checked = held.settings();
    let path = &checked.settings().interrupt_path;
    let asked =
        Asked { method: Method::POST, path, task: None, body, wait: WORD, most: ANSWER_MAX };
    let mut answer = succeeded(ask(&sessions, &held, &headers, asked).await?)?;
    answer.status = StatusCode::OK;
    Ok(passed(answer))
}

/// `POST agui/feedback`.
pub(super) async fn feedback(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let body = read(body, ANSWER_MAX).await?;
    let given: Result<Value, _> = serde_json::from_slice(&body);
    if !given.is_ok_and(|given| given.is_object()) {
        return Err(Refused::bad("bad_body", &"feedback is a JSON object"));
    }
    held.session.note("feedback", body.clone()).await?;
    let checked = held.settings();
    let path = &checked.settings().feedback_path;
    let asked =
        Asked { method: Method::POST, path, task: None, body, wait: WORD, most: ANSWER_MAX };
    let answer = match ask(&sessions, &held, &headers, asked).await {
        Ok(answer) => succeeded(answer)?,
        Err(_) => {
            return Ok((StatusCode::ACCEPTED, Json(json!({ "status": "stored" }))).into_response());
        }
    };
    // A runner may answer with an event, which is logged like any other.
    if let Ok(text) = std::str::from_utf8(&answer.body)
        && serde_json::from_str::<Value>(text).is_ok_and(|value| value["type"].is_string())
    {
        sessions.add_event(&held, text);
    }
    Ok((StatusCode::OK, Json(json!({ "status": "sent" }))).into_response())
}

/// `GET agui/capabilities`.
pub(super) async fn capabilities(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let held = find(&sessions, &names)?;
    let now = tokio::time::Instant::now().into_std();
    let known = held.capabilities();
    let age = |at| now.saturating_duration_since(at);
    if let Some((at, body)) = known.clone().filter(|(at, _)| age(*at) < CAPABILITIES) {
        return Ok(told(body, age(at)));
    }
    let checked = held.settings();
    let path = &checked.settings().capabilities_path;
    let asked = Asked {
        method: Method::GET,
        path,
        task: None,
        body: Bytes::new(),
        wait: WORD,
        most: ANSWER_MAX,
    };
    let answer = ask(&sessions, &held, &headers, asked).await.and_then(succeeded);
    match (answer, known) {
        (Ok(answer), _) => {
            held.set_capabilities(now, answer.body.clone());
            Ok(told(answer.body, Duration::ZERO))
        }
        (Err(_), Some((at, body))) => Ok(told(body, age(at))),
        (Err(refused), None) => Err(refused),
    }
}

fn told(body: Bytes, age: Duration) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = passed(Answer { status: StatusCode::OK, kind: Some(json), body });
    response.headers_mut().insert(header::AGE, HeaderValue::from(age.as_secs()));
    response
}

async fn pass(
    sessions: &Sessions,
    names: &(String, String),
    headers: &HeaderMap,
    method: Method,
    task: Option<&str>,
    rest: &str,
) -> Result<Response, Refused> {
    let held = find(sessions, names)?;
    let path = format!("{}{rest}", held.settings().settings().tasks_path);
    let most = if rest.ends_with("/output") { OUTPUT_MAX } else { ANSWER_MAX };
    let asked = Asked { method, path: &path, task, body: Bytes::new(), wait: TASK, most };
    ask(sessions, &held, headers, asked).await.map(passed)
}

/// `GET agui/tasks`.
pub(super) async fn tasks(
    axum::extract::State(sessions): Api,
    axum::extract::Path(names): Names,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    pass(&sessions, &names, &headers, Method::GET, None, "").await
}

/// `GET agui/tasks/{task}`.
pub(super) async fn task(
    axum::extract::State(sessions): Api,
    axum::extract::Path((project, session, task)): TaskNames,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let names = (project, session);
    pass(&sessions, &names, &headers, Method::GET, Some(&task), "/{task}").await
}

/// `GET agui/tasks/{task}/output`.
pub(super) async fn output(
    axum::extract::State(sessions): Api,
    axum::extract::Path((project, session, task)): TaskNames,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let names = (project, session);
    pass(&sessions, &names, &headers, Method::GET, Some(&task), "/{task}/output").await
}

/// `POST agui/tasks/{task}/stop`.
pub(super) async fn stop(
    axum::extract::State(sessions): Api,
    axum::extract::Path((project, session, task)): TaskNames,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let names = (project, session);
    pass(&sessions, &names, &headers, Method::POST, Some(&task), "/{task}/stop").await
}
