//! JSON from browsers and from clients.

use devtoolsproxy::external::External;
use devtoolsproxy::rewrite;
use lockkeeper_api::{CreateRequest, UpdateRequest};
use serde_json::Value;

const UPSTREAM: &str = "127.0.0.1:39999";
/// Where every address leads that a client is given.
const OURS: &str = "node-1.example:7300/sandboxes/crawl-7";

/// An answer that is taken is JSON afterwards too, of the same shape, and no socket address in it
/// leads to the browser itself.
pub(crate) fn rewrite(input: &[u8]) {
    let to = External {
        tls: input.first().is_some_and(|byte| byte % 2 == 1),
        authority: "node-1.example:7300".to_owned(),
        prefix: "/sandboxes/crawl-7".to_owned(),
        sandbox: "crawl-7".to_owned(),
        token: input.last().is_some_and(|byte| byte % 2 == 1).then(|| "t%20k".to_owned()),
    };
    let Ok(text) = rewrite::rewrite(input, UPSTREAM, &to) else { return };
    // What is deeper, or has larger numbers, than a value can hold is rewritten all the same.
    let Ok(before) = serde_json::from_slice::<Value>(input) else { return };
    let after: Value = serde_json::from_str(&text).expect("still JSON");
    same_shape(&before, &after);
}

fn same_shape(before: &Value, after: &Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            assert!(before.keys().eq(after.keys()), "other keys");
            for (name, was) in before {
                let is = &after[name];
                if let (Value::String(_), Value::String(is)) = (was, is) {
                    if name == "webSocketDebuggerUrl" {
                        let (_, rest) = is.split_once("://").unwrap_or_default();
                        let after = rest.strip_prefix(OURS).expect(is);
                        assert!(after.is_empty() || after.starts_with(['/', '?']), "{is}");
                        continue;
                    }
                    if name.starts_with("devtoolsFrontendUrl") {
                        continue;
                    }
                }
                same_shape(was, is);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(before, after)| same_shape(before, after));
        }
        (before, after) => assert_eq!(before, after),
    }
}

/// A body is read, or refused with at least one mistake that says something.
pub(crate) fn rest_body(input: &[u8]) {
    let refused = [CreateRequest::from_json(input).err(), UpdateRequest::from_json(input).err()];
    for mistakes in refused.into_iter().flatten() {
        assert!(!mistakes.to_string().is_empty());
    }
}
