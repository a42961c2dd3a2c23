use http::Method;

use super::*;

fn scope(realm: Realm, level: Level) -> Need {
    Need::Scope(realm, level)
}

fn project(name: &str) -> Realm {
    Realm::Project(name.into())
}

#[test]
fn each_route_needs_its_scope() {
    use Level::{Read, Write};
    use Realm::{Node, Sandbox};
    let cases = [
        ("GET", "/v1/sandboxes", scope(Sandbox, Read)),
        ("HEAD", "/v1/sandboxes/a", scope(Sandbox, Read)),
        ("POST", "/v1/sandboxes", scope(Sandbox, Write)),
        ("DELETE", "/v1/sandboxes/a", scope(Sandbox, Write)),
        ("PATCH", "/v1/sandboxes/a", scope(Sandbox, Write)),
        ("GET", "/v1/sandboxes/events", scope(Sandbox, Read)),
        ("POST", "/v1/sandboxes/a/checkpoint", scope(Sandbox, Write)),
        ("GET", "/v1/snapshots", scope(Sandbox, Read)),
        ("DELETE", "/v1/snapshots/s", scope(Sandbox, Write)),
        ("GET", "/v1/openapi.json", Need::Known),
        ("GET", "/v1/node", scope(Node, Read)),
        ("PUT", "/v1/node/status", scope(Node, Write)),
        ("POST", "/v1/node/drain", scope(Node, Write)),
        ("GET", "/v1/node/drain/events", scope(Node, Read)),
        ("GET", "/v1/telemetry", scope(Node, Read)),
        ("PATCH", "/v1/telemetry", scope(Node, Write)),
        ("GET", "/v1/telemetry/stream", scope(Node, Read)),
        ("POST", "/v1/telemetry/events", scope(Node, Write)),
        ("GET", "/v1/telemetry/schema.json", Need::Known),
        ("GET", "/metrics", scope(Node, Read)),
        ("GET", "/sandboxes/a/json/version", Need::DEVTOOLS),
        ("GET", "/connect", Need::DEVTOOLS),
        ("GET", "/v1/projects/demo/sessions", scope(project("demo"), Read)),
        ("POST", "/v1/projects/demo/sessions/s/agui", scope(project("demo"), Write)),
        ("GET", "/v1/projects/%64emo/sessions", scope(project("demo"), Read)),
        ("GET", "/v1/projects/", scope(Node, Read)),
        ("POST", "/lockkeeper.v1.SandboxService/Create", scope(Sandbox, Write)),
        ("POST", "/lockkeeper.v1.SandboxService/Get", scope(Sandbox, Read)),
        ("POST", "/lockkeeper.v1.SnapshotService/List", scope(Sandbox, Read)),
        ("POST", "/lockkeeper.v1.NodeService/Drain", scope(Node, Write)),
        ("POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Known),
    ];
    for (method, path, need) in cases {
        let method: Method = method.parse().expect("a method");
        assert_eq!(Need::of(&method, path), need, "{method} {path}");
    }
}

#[test]
fn what_is_not_known_is_the_nodes() {
    for path in ["", "/", "//v1/sandboxes", "/V1/sandboxes", "/v1", "/v1/sandboxesX", "/v2/x"] {
        assert_eq!(Need::of(&Method::GET, path), scope(Realm::Node, Level::Read), "{path:?}");
        assert_eq!(Need::of(&Method::PUT, path), scope(Realm::Node, Level::Write), "{path:?}");
    }
}

#[test]
fn who_may_write_may_read_and_nothing_else_follows() {
    let mut scopes = Scopes::none();
    scopes.add("sandbox", Level::Write).expect("a scope");
    scopes.add("sandbox", Level::Read).expect("a scope");
    scopes.add("project:demo", Level::Read).expect("a scope");
    let may = |realm, level| scopes.allow(&scope(realm, level));
    assert!(may(Realm::Sandbox, Level::Write) && may(Realm::Sandbox, Level::Read));
    assert!(!may(Realm::Node, Level::Read) && !may(Realm::Node, Level::Write));
    assert!(may(project("demo"), Level::Read) && !may(project("demo"), Level::Write));
    assert!(!may(project("other"), Level::Read));
    assert!(scopes.allow(&Need::Known) && Scopes::none().allow(&Need::Known));
    assert!(Scopes::All.allow(&scope(Realm::Node, Level::Write)));
}

#[test]
fn a_star_is_every_project_and_no_more() {
    let mut scopes = Scopes::none();
    scopes.add("project:*", Level::Read).expect("a scope");
    scopes.add("project:demo", Level::Write).expect("a scope");
    let may = |realm, level| scopes.allow(&scope(realm, level));
    assert!(may(project("any"), Level::Read) && !may(project("any"), Level::Write));
    assert!(may(project("demo"), Level::Write));
    assert!(!may(Realm::Sandbox, Level::Read) && !may(Realm::Node, Level::Read));
}

#[test]
fn what_is_no_scope_is_refused() {
    for wrong in ["", "nodes", "Sandbox", "project", "project:", "sandbox:a"] {
        let refused = Scopes::none().add(wrong, Level::Read).expect_err(wrong);
        assert!(refused.contains("project:NAME"), "{refused}");
    }
}
