use proptest::prelude::*;
use serde_json::Value;

use super::*;

const UPSTREAM: &str = "127.0.0.1:9777";

fn to() -> External {
    External {
        tls: false,
        authority: "localhost:7300".to_owned(),
        prefix: "/sandboxes/ab".to_owned(),
        sandbox: "ab".to_owned(),
        token: None,
    }
}

fn rewritten(body: &str, to: &External) -> String {
    rewrite(body.as_bytes(), UPSTREAM, to).unwrap()
}

/// As Chromium 156 writes it.
const VERSION: &str = r#"{
   "Browser": "HeadlessChrome/156.0.8078.79",
   "Protocol-Version": "1.3",
   "V8-Version": "15.6.75.27",
   "webSocketDebuggerUrl": "ws://127.0.0.1:9777/devtools/browser/3e172782-e512-4fb0-a170-e00c9dafc7af"
}
"#;

#[test]
fn the_browsers_own_endpoint_becomes_ours_and_nothing_else_changes() {
    let want = VERSION.replace(
        "ws://127.0.0.1:9777/devtools/browser/3e172782-e512-4fb0-a170-e00c9dafc7af",
        "ws://localhost:7300/sandboxes/ab/devtools/browser/ab",
    );
    assert_eq!(rewritten(VERSION, &to()), want);
}

#[test]
fn pages_keep_their_target_in_both_fields() {
    let list = r#"[ {
   "devtoolsFrontendUrl": "https://x.appspot.com/serve_rev/@a21/inspector.html?ws=127.0.0.1:9777/devtools/page/22BD&panel=1",
   "id": "22BD",
   "url": "http://127.0.0.1:9777/json",
   "webSocketDebuggerUrl": "ws://127.0.0.1:9777/devtools/page/22BD"
} ]"#;
    let want = r#"[ {
   "devtoolsFrontendUrl": "https://x.appspot.com/serve_rev/@a21/inspector.html?ws=localhost:7300/sandboxes/ab/devtools/page/22BD&panel=1",
   "id": "22BD",
   "url": "http://127.0.0.1:9777/json",
   "webSocketDebuggerUrl": "ws://localhost:7300/sandboxes/ab/devtools/page/22BD"
} ]"#;
    assert_eq!(rewritten(list, &to()), want);
}

#[test]
fn behind_tls_everything_is_wss() {
    let tls = External { tls: true, ..to() };
    let body = r#"{"webSocketDebuggerUrl":"ws://h/devtools/page/P","devtoolsFrontendUrl":"/devtools/inspector.html?x=1&ws=h/devtools/page/P"}"#;
    assert_eq!(
        rewritten(body, &tls),
        r#"{"webSocketDebuggerUrl":"wss://localhost:7300/sandboxes/ab/devtools/page/P","devtoolsFrontendUrl":"/devtools/inspector.html?x=1&wss=localhost:7300/sandboxes/ab/devtools/page/P"}"#
    );
}

#[test]
fn a_token_from_the_query_is_put_back_where_the_client_will_send_it() {
    let with = External { token: Some("a%2Bb".to_owned()), ..to() };
    let body = r#"{"webSocketDebuggerUrl":"ws://h/devtools/browser/g","devtoolsFrontendUrl":"/i.html?ws=h/devtools/page/P&b"}"#;
    // Inside the front-end's own query the address is one value, so its query is escaped.
    assert_eq!(
        rewritten(body, &with),
        r#"{"webSocketDebuggerUrl":"ws://localhost:7300/sandboxes/ab/devtools/browser/ab?token=a%2Bb","devtoolsFrontendUrl":"/i.html?ws=localhost:7300/sandboxes/ab/devtools/page/P%3Ftoken%3Da%252Bb&b"}"#
    );
}

#[test]
fn escaped_spellings_are_understood() {
    let body = r#"{"webSocket\u0044ebuggerUrl" : "ws:\/\/h\/devtools\/browser\/g"}"#;
    assert_eq!(
        rewritten(body, &to()),
        r#"{"webSocket\u0044ebuggerUrl" : "ws://localhost:7300/sandboxes/ab/devtools/browser/ab"}"#
    );
    let body = r#"{"devtoolsFrontendUrl":"/i?ws=h%2Fdevtools%2Fpage%2FP#top"}"#;
    assert_eq!(
        rewritten(body, &to()),
        r#"{"devtoolsFrontendUrl":"/i?ws=localhost:7300/sandboxes/ab/devtools/page/P#top"}"#
    );
}

#[test]
fn a_front_end_served_by_the_browser_loses_the_browsers_host() {
    let body = r#"{"devtoolsFrontendUrlCompat":"http://127.0.0.1:9777/devtools/i.html?ws=127.0.0.1:9777/devtools/page/P"}"#;
    assert_eq!(
        rewritten(body, &to()),
        r#"{"devtoolsFrontendUrlCompat":"/devtools/i.html?ws=localhost:7300/sandboxes/ab/devtools/page/P"}"#
    );
}

#[test]
fn missing_and_odd_values_stay_as_they_are() {
    for same in [
        r#"{"a":{"b":[1.0,1e400,-0,123456789012345678901234567890]}}"#,
        r#"{"webSocketDebuggerUrl":null,"devtoolsFrontendUrl":{"ws":"x"}}"#,
        r#"{"title":"\"webSocketDebuggerUrl\":\"ws://h/x\"","url":"webSocketDebuggerUrl"}"#,
        r#"["webSocketDebuggerUrl","ws://127.0.0.1:9777/x"]"#,
        r#"{"devtoolsFrontendUrl":"/no/query"}"#,
        r#"{"webSocketDebuggerUrl":["kept \ud800 kept"]}"#,
        "null",
        " {} ",
    ] {
        assert_eq!(rewritten(same, &to()), same);
    }
    assert_eq!(
        rewritten(r#"{"webSocketDebuggerUrl":"garbage"}"#, &to()),
        r#"{"webSocketDebuggerUrl":"ws://localhost:7300/sandboxes/ab"}"#
    );
}

#[test]
fn what_is_not_json_is_an_error() {
    for bad in [&b"<html>"[..], b"", b"{", b"{} {}", b"\"\xff\"", b"{\"a\":1,}"] {
        assert!(rewrite(bad, UPSTREAM, &to()).is_err(), "{bad:?}");
    }
}

/// Any JSON, with our two fields at any depth.
fn json() -> impl Strategy<Value = Value> {
    let socket =
        "[a-zA-Z0-9-]{1,12}".prop_map(|id| format!("ws://{UPSTREAM}/devtools/browser/{id}"));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        socket.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("webSocketDebuggerUrl".to_owned()),
            Just("devtoolsFrontendUrl".to_owned()),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn keys(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push(key.clone());
                keys(inner, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn sockets(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(text) if key == "webSocketDebuggerUrl" => out.push(text.clone()),
                    other => sockets(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| sockets(item, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn keys_and_their_order_stay_and_no_socket_address_leaks(value in json(), pretty: bool) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let out = rewritten(&text, &to());
        let after: Value = serde_json::from_str(&out).unwrap();
        let (mut old, mut new, mut urls) = (Vec::new(), Vec::new(), Vec::new());
        keys(&value, &mut old);
        keys(&after, &mut new);
        sockets(&after, &mut urls);
        prop_assert_eq!(old, new);
        for url in urls {
            prop_assert!(url.starts_with("ws://localhost:7300/sandboxes/ab"), "{}", url);
        }
    }

    #[test]
    fn any_bytes_are_rewritten_or_refused(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = rewrite(&body, UPSTREAM, &to());
    }
}
