//! What a client does is told while somebody wants to know, and never at the session's cost.

use super::*;

const ARM: &str = r#"{"categories": {"control": {"enabled": true}},
    "control": {"excluded_methods": ["Page.close"]}}"#;
const DISARM: &str = r#"{"categories": {"control": {"enabled": false}}}"#;

fn command(id: u32, method: &str) -> String {
    format!(r#"{{"id":{id},"method":"{method}"}}"#)
}

#[tokio::test(start_paused = true)]
async fn commands_are_told_from_the_moment_they_are_wanted_until_they_are_not() {
    let stage = Stage::new();
    let mut bench = stage.session(true);
    let mut id = 0;
    for (change, methods) in [
        (DISARM, ["Page.reload", "Page.close"]),
        (ARM, ["Page.reload", "Page.close"]),
        (ARM, ["Runtime.enable", "Page.reload"]),
        (DISARM, ["Page.reload", "Page.close"]),
    ] {
        stage.configure(change).await;
        for method in methods {
            id += 1;
            let text = command(id, method);
            bench.asks(&text).await;
            bench.is_asked(&text).await;
        }
    }
    stage.configure(ARM).await;
    let malformed = r#"{"method":"Page.reload","params":[]}"#;
    bench.asks(malformed).await;
    bench.is_asked(malformed).await;
    bench.client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    bench.ended().await;
    let events = stage.events().await;
    let of = |kind: &str| -> Vec<_> {
        events.iter().filter(|e| e["type"] == kind).map(|e| e["data"].clone()).collect()
    };
    let told = of("cdp_command");
    let ids: Vec<_> = told.iter().map(|data| data["command_id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [3, 6], "{told:?}");
    assert_eq!([&told[0]["method"], &told[0]["connection_id"]], ["Page.reload", "c0"]);
    let end = &of("cdp_disconnect")[0];
    assert_eq!((&end["telemetry_dropped"], &end["telemetry_excluded"]), (&1.into(), &1.into()));
    // The last command is in the log before the end of its session.
    assert_eq!(events.last().unwrap()["type"], "cdp_disconnect");
}
