//! The OpenAPI document: operations from the table below, schemas from the types of the wire.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lockkeeper_api::{
    CheckpointView, CreateRequest, DrainReport, DrainRequest, ErrorBody, NodeInfo,
    OperationRequest, Reason, RestartRequest, SandboxEvent, SandboxList, SandboxState, SandboxView,
    SnapshotList, SnapshotView, StatusRequest, UpdateRequest,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The document never changes while the daemon lives.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(format!("{:#}\n", build())));

pub(super) async fn document() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, kind)], DOCUMENT.clone()).into_response()
}

type Type = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a call answers with when it succeeds.
#[derive(Clone, Copy)]
enum Answer {
    Json(&'static str, Type),
    /// Server-sent events, each with one such object as its data.
    Events(Type),
}

struct Operation {
    at: (&'static str, &'static str),
    id: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    body: Option<Type>,
    answer: Answer,
}

const ID: &str = "/v1/sandboxes/{id}";

/// Every operation. A test holds it against the routes.
fn operations() -> Vec<Operation> {
    let new = |at, id, summary, answer| Operation {
        at,
        id,
        summary,
        parameters: &[],
        body: None,
        answer,
    };
    let view: Answer = Answer::Json("200", of::<SandboxView>);
    let info: Answer = Answer::Json("200", of::<NodeInfo>);
    vec![
        Operation {
            body: Some(of::<CreateRequest>),
            ..new(
                ("post", "/v1/sandboxes"),
                "createSandbox",
                "Starts a sandbox and answers once its browser does.",
                Answer::Json("201", of::<SandboxView>),
            )
        },
        Operation {
            parameters: &["state", "label", "template", "limit", "after"],
            ..new(
                ("get", "/v1/sandboxes"),
                "listSandboxes",
                "Lists sandboxes, oldest first; those that have ended only if asked for.",
                Answer::Json("200", of::<SandboxList>),
            )
        },
        Operation {
            parameters: &["after_cursor", "last_event_id"],
            ..new(
                ("get", "/v1/sandboxes/events"),
                "watchSandboxes",
                "All that exist, then every change in order; `event:` repeats `type`.",
                Answer::Events(of::<SandboxEvent>),
            )
        },
        Operation {
            parameters: &["view"],
            ..new(
                ("get", ID),
                "getSandbox",
                "Shows a sandbox, or why it has ended; with `view=full` what it uses and said.",
                view,
            )
        },
        Operation {
            body: Some(of::<UpdateRequest>),
            ..new(("patch", ID), "updateSandbox", "Changes a sandbox: all or nothing.", view)
        },
        Operation {
            parameters: &["wait", "lifecycle_id"],
            ..new(
                ("delete", ID),
                "deleteSandbox",
                "Ends a sandbox. Any number of calls succeed. With `wait=accepted` the status is 202.",
                view,
            )
        },
        Operation {
            body: Some(of::<OperationRequest>),
            ..new(
                ("post", "/v1/sandboxes/{id}/pause"),
                "pauseSandbox",
                "Parks a sandbox: its profile is kept, its processes end.",
                view,
            )
        },
        Operation {
            body: Some(of::<OperationRequest>),
            ..new(
                ("post", "/v1/sandboxes/{id}/resume"),
                "resumeSandbox",
                "Brings a parked sandbox back, and answers once its browser does.",
                view,
            )
        },
        Operation {
            body: Some(of::<OperationRequest>),
            ..new(
                ("post", "/v1/sandboxes/{id}/checkpoint"),
                "checkpointSandbox",
                "Saves a sandbox as a snapshot; it goes on with another browser on its profile.",
                Answer::Json("200", of::<CheckpointView>),
            )
        },
        Operation {
            parameters: &["limit", "after"],
            ..new(
                ("get", "/v1/snapshots"),
                "listSnapshots",
                "Lists snapshots, oldest first.",
                Answer::Json("200", of::<SnapshotList>),
            )
        },
        new(
            ("get", "/v1/snapshots/{id}"),
            "getSnapshot",
            "Shows a snapshot.",
            Answer::Json("200", of::<SnapshotView>),
        ),
        new(
            ("delete", "/v1/snapshots/{id}"),
            "deleteSnapshot",
            "Removes a snapshot and shows it a last time; what was made from it goes on.",
            Answer::Json("200", of::<SnapshotView>),
        ),
        Operation {
            body: Some(of::<RestartRequest>),
            ..new(
                ("post", "/v1/sandboxes/{id}/restart-browser"),
                "restartBrowser",
                "Starts another browser behind the same address and answers once it does.",
                view,
            )
        },
        new(("get", "/v1/node"), "getNode", "Shows the node.", info),
        Operation {
            body: Some(of::<StatusRequest>),
            ..new(
                ("put", "/v1/node/status"),
                "setNodeStatus",
                "Sets what the node says of itself.",
                info,
            )
        },
        Operation {
            body: Some(of::<DrainRequest>),
            ..new(
                ("post", "/v1/node/drain"),
                "drainNode",
                "Refuses new sandboxes until the status is set again; answers at once.",
                Answer::Json("202", of::<NodeInfo>),
            )
        },
        new(
            ("get", "/v1/node/drain/events"),
            "watchDrain",
            "How a drain stands: at once, and whenever that changes.",
            Answer::Events(of::<DrainReport>),
        ),
        new(
            ("get", "/v1/openapi.json"),
            "getOpenApi",
            "This document.",
            Answer::Json("200", |_| json_object()),
        ),
    ]
}

fn json_object() -> Schema {
    schemars::json_schema!({ "type": "object", "additionalProperties": true })
}

/// The document of every operation.
fn build() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    for operation in operations() {
        let (method, path) = operation.at;
        let item = paths.entry(path).or_insert_with(|| path_item(path));
        item[method] = operation.describe(&mut generator);
    }
    let error = generator.subschema_for::<ErrorBody>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Reason".to_owned(), reasons());
    if let Some(fields) = schemas.get_mut("ErrorFields") {
        fields["properties"]["code"] = json!({ "$ref": "#/components/schemas/Reason" });
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lockkeeper node",
            "version": "1",
            "description": "Browser sandboxes on one node. Moments are Unix milliseconds, lengths of \
                            time in answers are milliseconds. Answers may grow new members. Events \
                            have a schema of their own at /v1/telemetry/schema.json.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": parameters(),
            "responses": {
                "Error": {
                    "description": "The call was refused or has failed.",
                    "headers": {
                        "Retry-After": {
                            "description": "Seconds after which it may succeed.",
                            "schema": { "type": "integer" },
                        },
                    },
                    "content": { "application/json": { "schema": error } },
                },
            },
            "schemas": schemas,
        },
    })
}

impl Operation {
    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let (status, kind, answer) = match self.answer {
            Answer::Json(status, answer) => (status, "application/json", answer),
            Answer::Events(data) => ("200", "text/event-stream", data),
        };
        let reference = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": self.parameters.iter().map(reference).collect::<Vec<_>>(),
            "responses": {
                status: {
                    "description": "Done.",
                    "content": { kind: { "schema": answer(generator) } },
                },
                "default": { "$ref": "#/components/responses/Error" },
            },
        });
        if self.at.0 == "delete" {
            operation["responses"]["202"] = operation["responses"]["200"].clone();
        }
        if let Some(body) = self.body {
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": body(generator) } } });
        }
        operation
    }
}

fn path_item(path: &str) -> Value {
    match path.contains("{id}") {
        true => json!({ "parameters": [{ "$ref": "#/components/parameters/id" }] }),
        false => json!({}),
    }
}

fn parameters() -> Value {
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let text = || json!({ "type": "string" });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let states = SandboxState::ALL.map(SandboxState::as_str);
    json!({
        "id": {
            "name": "id",
            "in": "path",
            "required": true,
            "description": "The sandbox.",
            "schema": { "type": "string", "maxLength": 35, "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" },
        },
        "state": query("state", "Only in one of these states.", list(json!({ "enum": states }))),
        "label": query("label", "Only with all of these labels, `key=value`.", list(text())),
        "template": query("template", "Only of this template.", text()),
        "limit": query(
            "limit",
            "At most so many.",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        ),
        "after": query("after", "The `next` of the page before.", text()),
        "after_cursor": query("after", "Only what follows this cursor, an `id` of the stream.", text()),
        "last_event_id": {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The same as `after`, as browsers send it when they reconnect.",
            "schema": text(),
        },
        "view": query(
            "view",
            "`full` also shows `details`.",
            json!({ "enum": ["basic", "full"], "default": "basic" }),
        ),
        "wait": query(
            "wait",
            "Answer when the stop has begun, when no process is alive, or when nothing is left.",
            json!({ "enum": ["accepted", "stopped", "cleaned"], "default": "stopped" }),
        ),
        "lifecycle_id": query("lifecycle_id", "End only this incarnation.", text()),
    })
}

/// The words of `error.code`, with what they are on both faces.
fn reasons() -> Value {
    let one = |reason: &Reason| {
        let text = format!("HTTP {}, gRPC {}", reason.http_status(), reason.grpc().as_str());
        json!({ "const": reason.code(), "description": text })
    };
    json!({ "type": "string", "oneOf": Reason::ALL.iter().map(one).collect::<Vec<_>>() })
}
