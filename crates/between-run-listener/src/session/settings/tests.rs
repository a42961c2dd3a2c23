use serde_json::json;

use super::*;

fn checked(fields: serde_json::Value) -> Result<Checked, String> {
    let settings: Settings = serde_json::from_value(fields).map_err(|e| e.to_string())?;
    Checked::new(settings).map_err(|e| e.to_string())
}

#[test]
fn paths_have_defaults_and_take_the_names_encoded() {
    let checked = checked(json!({
        "runner_url": "http://127.0.0.1:9/base/", "run_path": "/{thread}/run",
    }))
    .unwrap();
    let key = SessionKey::new("p", "s.1").unwrap();
    let target = checked.target(&key, "t").unwrap();
    assert_eq!(target.url.as_str(), "http://127.0.0.1:9/base/events");
    let run = checked.url("/{thread}/{session}", &key, "a/b ..").unwrap();
    assert_eq!(run.as_str(), "http://127.0.0.1:9/base/a%2Fb%20../s.1");
    assert!(checked.url("/{thread}", &key, "..").is_err());
}

#[test]
fn a_mistake_names_its_field() {
    let url = "http://127.0.0.1:9";
    for (fields, word) in [
        (json!({ "runner_url": "nowhere" }), "runner_url"),
        (json!({ "runner_url": url, "headers": { "host": "x" } }), "headers"),
        (json!({ "runner_url": url, "events_path": "events" }), "events_path"),
        (json!({ "runner_url": url, "idle_timeout_ms": 5 }), "idle_timeout_ms"),
        (json!({ "runner_url": url, "retry_min_ms": 0 }), "retry_min_ms"),
        (json!({ "runner_url": url, "thread_id": "" }), "thread_id"),
        (json!({ "runner_url": url, "snapshots": "some" }), "some"),
        (json!({ "runner_url": url, "colour": "red" }), "colour"),
    ] {
        let mistake = checked(fields).map(|_| ()).unwrap_err();
        assert!(mistake.contains(word), "{mistake}");
    }
}

#[test]
fn zero_switches_idle_times_off() {
    let url = "http://127.0.0.1:9";
    let off = json!({ "runner_url": url, "idle_timeout_ms": 0, "run_idle_timeout_ms": 0 });
    let off = checked(off).unwrap();
    assert_eq!((off.listener_rules().idle, off.lane_rules().run_idle), (None, None));
    let default = checked(json!({ "runner_url": url })).unwrap();
    assert_eq!(default.listener_rules().idle, Some(Duration::from_secs(90)));
}
