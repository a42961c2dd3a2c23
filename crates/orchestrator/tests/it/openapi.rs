//! The OpenAPI document says what is: every route, and answers that fit their schemas.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use lockkeeper_api::{
    CreateRequest, DrainRequest, OperationRequest, Reason, StatusRequest, UpdateRequest,
};
use orchestrator::Config;
use orchestrator::snapshots::{Retention, SnapshotStore};
use orchestrator::urls::UrlBuilder;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{World, config};

/// The source of the routes: axum does not list them.
const ROUTES: &str = include_str!("../../src/rest.rs");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Status, kind of content, and the first bytes that hold a whole answer.
async fn call(router: &Router, method: &str, path: &str, body: &str) -> (u16, String, Value) {
    let request = Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header("host", "node-1:7300")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let mut response = router.clone().oneshot(request).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let bytes = match kind.as_str() {
        "text/event-stream" => {
            let frame = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            let text = String::from_utf8(frame.to_vec()).unwrap();
            text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned().into()
        }
        _ => response.into_body().collect().await.unwrap().to_bytes(),
    };
    (status, kind, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn document(router: &Router) -> Value {
    let (status, kind, document) = call(router, "get", "/v1/openapi.json", "").await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    document
}

/// `method path` of everything in the document.
fn documented(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| -> Vec<String> {
        let here = METHODS.iter().filter(|method| item.get(**method).is_some());
        here.map(|method| format!("{method} {path}")).collect()
    };
    paths.iter().flat_map(methods).collect()
}

#[tokio::test(start_paused = true)]
async fn the_document_has_every_route_and_no_other() {
    let world = World::open().await;
    let document = document(&world.node.router(UrlBuilder::of_request("h"))).await;
    let mut routes = BTreeSet::new();
    for route in ROUTES.split(".route(").skip(1) {
        let mut texts = route.split('"').skip(1).step_by(2);
        let (path, methods) = (texts.next().unwrap(), texts.next().unwrap());
        routes.extend(methods.split(", ").map(|m| format!("{} {path}", m.to_lowercase())));
    }
    assert_eq!(documented(&document), routes);
}

#[tokio::test(start_paused = true)]
async fn real_answers_fit_their_schemas_member_by_member() {
    let objects = std::sync::Arc::new(object_store::memory::InMemory::new());
    let store = SnapshotStore::on(objects, "n1", Retention::default());
    let world = World::with(Config { snapshots: Some(store), ..config() }).await;
    let router = world.node.router(UrlBuilder::of_request("h"));
    let document = document(&router).await;
    let full = r#"{"id": "a", "labels": {"k": "v"}, "ttl": "1h", "idle": "5m"}"#;
    let calls = [
        ("post", "/v1/sandboxes", "/v1/sandboxes", full),
        ("post", "/v1/sandboxes/{id}/restart-browser", "/v1/sandboxes/a/restart-browser", ""),
        ("get", "/v1/sandboxes", "/v1/sandboxes?limit=1", ""),
        ("get", "/v1/sandboxes/events", "/v1/sandboxes/events", ""),
        ("get", "/v1/sandboxes/{id}", "/v1/sandboxes/a", ""),
        ("patch", "/v1/sandboxes/{id}", "/v1/sandboxes/a", r#"{"ttl": "2h"}"#),
        ("post", "/v1/sandboxes/{id}/pause", "/v1/sandboxes/a/pause", ""),
        ("post", "/v1/sandboxes/{id}/resume", "/v1/sandboxes/a/resume", "{}"),
        ("post", "/v1/sandboxes/{id}/checkpoint", "/v1/sandboxes/a/checkpoint", ""),
        ("get", "/v1/snapshots", "/v1/snapshots?limit=1", ""),
        ("get", "/v1/snapshots/{id}", "/v1/snapshots/SNAPSHOT", ""),
        ("delete", "/v1/snapshots/{id}", "/v1/snapshots/SNAPSHOT", ""),
        ("get", "/v1/snapshots/{id}", "/v1/snapshots/SNAPSHOT", ""),
        ("get", "/v1/snapshots/{id}", "/v1/snapshots/nobody", ""),
        ("delete", "/v1/sandboxes/{id}", "/v1/sandboxes/a?wait=accepted", ""),
        ("delete", "/v1/sandboxes/{id}", "/v1/sandboxes/a", ""),
        ("get", "/v1/sandboxes/{id}", "/v1/sandboxes/a", ""),
        ("get", "/v1/sandboxes/{id}", "/v1/sandboxes/nobody", ""),
        ("post", "/v1/sandboxes", "/v1/sandboxes", r#"{"id": "No", "ttl": "x"}"#),
        ("get", "/v1/node", "/v1/node", ""),
        ("post", "/v1/node/drain", "/v1/node/drain", r#"{"deadline": "1h"}"#),
        ("get", "/v1/node/drain/events", "/v1/node/drain/events", ""),
        ("post", "/v1/sandboxes", "/v1/sandboxes", "{}"),
        ("put", "/v1/node/status", "/v1/node/status", r#"{"status": "healthy"}"#),
        ("get", "/v1/openapi.json", "/v1/openapi.json", ""),
    ];
    let mut seen = BTreeSet::new();
    let mut snapshot = String::new();
    for (method, route, path, body) in calls {
        let path = &path.replace("SNAPSHOT", &snapshot);
        let (status, kind, answer) = call(&router, method, path, body).await;
        if let Some(id) = answer["snapshot"]["id"].as_str() {
            snapshot = id.to_owned();
        }
        let responses = &document["paths"][route][method]["responses"];
        let found = responses.get(status.to_string());
        // A refusal is the default answer; a success has to be named.
        let response = match found {
            Some(response) => response,
            None if status >= 400 => &document["components"]["responses"]["Error"],
            None => panic!("{method} {path} was answered {status}, which {responses} lacks"),
        };
        let schema = &response["content"][&kind]["schema"];
        let mut wrong = Vec::new();
        check(&document, schema, &answer, "answer", &mut wrong);
        assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?} in {answer:#}");
        if status < 400 {
            seen.insert(format!("{method} {route}"));
        }
    }
    assert_eq!(seen, documented(&document), "each operation has been tried");
}

/// Notes where a value does not fit a schema. Members that the schema does not name are mistakes
/// here, although clients must pass over them: the document is meant to be complete.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        let target = target.unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return check(document, target, value, at, wrong);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(options) = schema[word].as_array() {
            let fits = |option: &&Value| {
                let mut wrong = Vec::new();
                check(document, option, value, at, &mut wrong);
                wrong.is_empty()
            };
            if !options.iter().any(|option| fits(&option)) {
                wrong.push(format!("{at}: {value} fits none of {word} {options:?}"));
            }
            return;
        }
    }
    assert!(schema.is_object(), "{at}: there is no schema for {value}");
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|allowed| allowed == kind),
        allowed => allowed == kind,
    };
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    let word = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !allowed || !constant || !word {
        wrong.push(format!("{at}: {value} is not {schema}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{index}]"), wrong);
    }
    let Some(members) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, member) in members {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => check(document, schema, member, &at, wrong),
            (None, Value::Bool(true)) => {}
            (None, others @ Value::Object(_)) => check(document, others, member, &at, wrong),
            (None, _) => wrong.push(format!("{at} is not in the document")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_has_every_field_of_a_request_and_every_reason() {
    let world = World::open().await;
    let document = document(&world.node.router(UrlBuilder::of_request("h"))).await;
    let schemas = &document["components"]["schemas"];
    let requests = [
        ("CreateRequest", CreateRequest::FIELDS),
        ("RestartRequest", lockkeeper_api::RestartRequest::FIELDS),
        ("UpdateRequest", UpdateRequest::FIELDS),
        ("StatusRequest", StatusRequest::FIELDS),
        ("DrainRequest", DrainRequest::FIELDS),
        ("OperationRequest", OperationRequest::FIELDS),
    ];
    for (name, fields) in requests {
        let properties = schemas[name]["properties"].as_object().unwrap();
        let known: BTreeSet<_> = properties.keys().map(String::as_str).collect();
        assert_eq!(known, fields.iter().copied().collect(), "{name}");
        let described = properties
            .values()
            .all(|field| field["description"].is_string() || field["$ref"].is_string());
        assert!(described, "{name} has a field without a word: {properties:#?}");
    }
    let codes: Vec<_> =
        schemas["Reason"]["oneOf"].as_array().unwrap().iter().map(|one| &one["const"]).collect();
    let all: Vec<_> = Reason::ALL.iter().map(|reason| json!(reason.code())).collect();
    assert_eq!(codes, all.iter().collect::<Vec<_>>());
}
