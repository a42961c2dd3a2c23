use serde_json::{Map, Value, json};

use super::table::{Keep, METHODS};
use super::*;

/// The members of an event that are kept of a command's arguments.
pub(super) fn kept(method: &str, params: &Value) -> Value {
    let message = json!({"id": 1, "method": method, "params": params}).to_string();
    kept_of(message.as_bytes()).1
}

/// The method and what is kept of a message that makes an event.
pub(super) fn kept_of(message: &[u8]) -> (&'static str, Value) {
    let Decoded::Command { method, kept, .. } = decode(message) else {
        panic!("no command: {:?} of {}", decode(message), String::from_utf8_lossy(message))
    };
    assert!(may_be_listed(message), "{}", String::from_utf8_lossy(message));
    let members: Map<_, _> = kept
        .into_iter()
        .map(|(name, kept)| (name.to_owned(), serde_json::to_value(kept).unwrap()))
        .collect();
    (method.name, members.into())
}

#[test]
fn each_command_keeps_what_the_table_says() {
    let mouse = json!({"type": "mousePressed", "x": 1.5, "y": -2, "button": "left", "buttons": 1,
        "clickCount": 1, "modifiers": 8, "deltaX": 0, "deltaY": 3, "pointerType": "pen",
        "timestamp": 9, "force": 1, "tangentialPressure": 1, "tiltX": 1, "tiltY": 1, "twist": 1});
    let mouse_kept = json!({"type": "mousePressed", "x": 1.5, "y": -2, "modifiers": 8,
        "button": "left", "buttons": 1, "clickCount": 1, "deltaX": 0, "deltaY": 3,
        "pointerType": "pen"});
    let gesture = |more: Value| {
        let mut all = json!({"x": 1, "y": 2, "gestureSourceType": "touch"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let scroll =
        gesture(json!({"xDistance": 1, "yDistance": 2, "xOverscroll": 3, "yOverscroll": 4,
        "preventFling": true, "speed": 5, "repeatCount": 6, "repeatDelayMs": 7}));
    let mut scroll_given = scroll.clone();
    scroll_given["interactionMarkerName"] = json!("mine");
    let mut scroll_kept = scroll;
    scroll_kept["has_interactionMarkerName"] = json!(true);
    let node = json!({"nodeId": 4, "objectId": "o"});
    let node_kept = json!({"has_nodeId": true, "has_backendNodeId": false, "has_objectId": true});
    let with = |value: &Value, name: &str, more: Value| {
        let mut value = value.clone();
        value[name] = more;
        value
    };
    let target = json!({"targetId": "AB12-cd"});
    let window = json!({"left": 1, "top": 2, "width": 3, "height": 4, "windowState": "normal"});
    let cases = [
        ("Input.dispatchMouseEvent", mouse, mouse_kept),
        (
            "Input.emulateTouchFromMouseEvent",
            json!({"type": "mouseWheel", "x": 1, "y": 2, "button": "none", "timestamp": 3,
                "deltaX": 4, "deltaY": 5, "modifiers": 6, "clickCount": 7}),
            json!({"type": "mouseWheel", "x": 1, "y": 2, "button": "none", "deltaX": 4,
                "deltaY": 5, "modifiers": 6, "clickCount": 7}),
        ),
        (
            "Input.dispatchKeyEvent",
            json!({"type": "keyDown", "modifiers": 2, "text": "pä", "unmodifiedText": "pa",
                "key": "Enter", "code": "Enter", "keyIdentifier": "U+0041", "timestamp": 1,
                "windowsVirtualKeyCode": 13, "nativeVirtualKeyCode": 13, "autoRepeat": true,
                "isKeypad": false, "isSystemKey": false, "location": 0, "commands": ["copy"]}),
            json!({"type": "keyDown", "modifiers": 2, "text_len": 2, "key_name": "Enter",
                "autoRepeat": true, "isKeypad": false, "commands_count": 1}),
        ),
        ("Input.insertText", json!({"text": "secret"}), json!({"text_len": 6})),
        (
            "Input.imeSetComposition",
            json!({"text": "ab", "selectionStart": 0, "selectionEnd": 1, "replacementStart": 2,
                "replacementEnd": 3}),
            json!({"text_len": 2, "selectionStart": 0, "selectionEnd": 1, "replacementStart": 2,
                "replacementEnd": 3}),
        ),
        (
            "Input.dispatchTouchEvent",
            json!({"type": "touchMove", "modifiers": 1, "timestamp": 2,
                "touchPoints": [{"x": 1.5, "y": 2, "force": 1}, {"x": 3}]}),
            json!({"type": "touchMove", "touch_count": 2, "points": [{"x": 1.5, "y": 2}, {"x": 3}],
                "modifiers": 1}),
        ),
        (
            "Input.dispatchDragEvent",
            json!({"type": "drop", "x": 1, "y": 2, "modifiers": 3, "data": {"items": [
                {"mimeType": "text/plain", "data": "secret"}, {"mimeType": "text/html", "data": ""},
                {"mimeType": "made/up"}, {"mimeType": 4}], "files": ["/a", "/b"],
                "dragOperationsMask": 1}}),
            json!({"type": "drop", "x": 1, "y": 2, "item_count": 4, "mime_groups": ["text", "other"],
                "file_count": 2, "dragOperationsMask": 1, "modifiers": 3}),
        ),
        ("Input.cancelDragging", json!({}), json!({})),
        (
            "Input.synthesizePinchGesture",
            gesture(json!({"scaleFactor": 2.5, "relativeSpeed": 800})),
            gesture(json!({"scaleFactor": 2.5, "relativeSpeed": 800})),
        ),
        (
            "Input.synthesizeTapGesture",
            gesture(json!({"duration": 50, "tapCount": 2})),
            gesture(json!({"duration": 50, "tapCount": 2})),
        ),
        ("Input.synthesizeScrollGesture", scroll_given, scroll_kept),
        (
            "DOM.setFileInputFiles",
            json!({"files": ["/home/me/a", "b"], "nodeId": 4, "objectId": "o"}),
            json!({"files_count": 2, "has_nodeId": true, "has_backendNodeId": false,
                "has_objectId": true}),
        ),
        ("DOM.focus", node.clone(), node_kept.clone()),
        (
            "DOM.scrollIntoViewIfNeeded",
            with(&node, "rect", json!({"x": 1})),
            with(&node_kept, "has_rect", json!(true)),
        ),
        (
            "Page.navigate",
            json!({"url": "https://user:pw@host/path?q", "referrer": "https://r", "frameId": null,
                "transitionType": "typed", "referrerPolicy": "origin"}),
            json!({"url_scheme": "https", "has_referrer": true, "transitionType": "typed",
                "has_frameId": false}),
        ),
        ("Page.navigateToHistoryEntry", json!({"entryId": 3}), json!({"entryId": 3})),
        (
            "Page.reload",
            json!({"ignoreCache": true, "scriptToEvaluateOnLoad": "x()", "loaderId": "l"}),
            json!({"ignoreCache": true, "has_scriptToEvaluateOnLoad": true}),
        ),
        (
            "Page.captureScreenshot",
            json!({"format": "webp", "quality": 80, "clip": {"x": 1}, "fromSurface": true,
                "captureBeyondViewport": false, "optimizeForSpeed": true}),
            json!({"format": "webp", "quality": 80, "has_clip": true, "fromSurface": true,
                "captureBeyondViewport": false, "optimizeForSpeed": true}),
        ),
        ("Page.captureSnapshot", json!({"format": "mhtml"}), json!({"format": "mhtml"})),
        (
            "Page.printToPDF",
            json!({"landscape": true, "displayHeaderFooter": true, "printBackground": false,
                "scale": 1.5, "paperWidth": 8.5, "paperHeight": 11, "marginTop": 1,
                "pageRanges": "1-2", "headerTemplate": "<h1>", "preferCSSPageSize": true,
                "transferMode": "ReturnAsStream", "generateTaggedPDF": true}),
            json!({"landscape": true, "displayHeaderFooter": true, "printBackground": false,
                "scale": 1.5, "paperWidth": 8.5, "paperHeight": 11, "has_pageRanges": true,
                "has_headerTemplate": true, "has_footerTemplate": false, "preferCSSPageSize": true,
                "transferMode": "ReturnAsStream"}),
        ),
        (
            "Page.handleJavaScriptDialog",
            json!({"accept": true, "promptText": "pw"}),
            json!({"accept": true, "promptText_len": 2}),
        ),
        ("Page.setWebLifecycleState", json!({"state": "frozen"}), json!({"state": "frozen"})),
        (
            "Page.startScreencast",
            json!({"format": "png", "quality": 1, "maxWidth": 2, "maxHeight": 3, "everyNthFrame": 4,
                "maxFramesInFlight": 5, "sendLastFrame": true}),
            json!({"format": "png", "quality": 1, "maxWidth": 2, "maxHeight": 3,
                "everyNthFrame": 4}),
        ),
        ("Page.bringToFront", json!({}), json!({})),
        ("Page.stopScreencast", json!({}), json!({})),
        ("Page.stopLoading", json!({}), json!({})),
        ("Page.close", json!({}), json!({})),
        ("Browser.close", json!({}), json!({})),
        ("Target.activateTarget", target.clone(), target.clone()),
        ("Target.closeTarget", target.clone(), target.clone()),
        (
            "Target.openDevTools",
            with(&target, "panelId", json!("console")),
            with(&target, "has_panelId", json!(true)),
        ),
        (
            "Target.disposeBrowserContext",
            json!({"browserContextId": "AB"}),
            json!({"browserContextId": "AB"}),
        ),
        (
            "Target.createTarget",
            json!({"url": "about:blank", "left": 1, "top": 2, "width": 3, "height": 4,
                "windowState": "normal", "browserContextId": "AB", "enableBeginFrameControl": true,
                "newWindow": true, "background": false, "forTab": false, "hidden": true,
                "focus": true}),
            json!({"url_scheme": "about", "width": 3, "height": 4, "has_browserContextId": true,
                "newWindow": true, "background": false, "forTab": false, "hidden": true}),
        ),
        (
            "Target.createBrowserContext",
            json!({"disposeOnDetach": true, "proxyServer": "p:1",
                "originsWithUniversalNetworkAccess": ["https://a"]}),
            json!({"disposeOnDetach": true, "has_proxyServer": true, "has_proxyBypassList": false,
                "origins_count": 1}),
        ),
        (
            "Browser.cancelDownload",
            json!({"guid": "g"}),
            json!({"has_guid": true, "has_browserContextId": false}),
        ),
        (
            "Browser.setWindowBounds",
            json!({"windowId": 9, "bounds": window}),
            with(&window, "windowId", json!(9)),
        ),
        (
            "Browser.setContentsSize",
            json!({"windowId": 9, "width": 1, "height": 2}),
            json!({"windowId": 9, "width": 1, "height": 2}),
        ),
        (
            "Autofill.trigger",
            json!({"fieldId": 1, "frameId": "f", "card": {"number": "4111"}}),
            json!({"has_fieldId": true, "has_frameId": true, "has_card": true,
                "has_address": false}),
        ),
    ];
    let names: Vec<_> = cases.iter().map(|(method, ..)| *method).collect();
    assert_eq!(names, METHODS.iter().map(|method| method.name).collect::<Vec<_>>());
    assert_eq!(names.len(), 38);
    for (method, params, expected) in cases {
        assert_eq!(kept(method, &params), expected, "{method}");
    }
}

/// An argument that a newer browser adds has to be decided on: this fails until it is in the table.
#[test]
fn the_table_has_every_argument_of_the_pinned_protocol() {
    let pinned: Map<String, Value> = serde_json::from_str(include_str!("protocol.json")).unwrap();
    assert_eq!(pinned.len(), METHODS.len());
    for method in METHODS {
        let arguments = pinned[method.name].as_array().unwrap();
        let names: Vec<_> = arguments.iter().map(|a| a["name"].as_str().unwrap()).collect();
        let table: Vec<_> = method.arguments.iter().map(|(name, _)| *name).collect();
        assert_eq!(table, names, "{}", method.name);
        for (argument, (name, keep)) in arguments.iter().zip(method.arguments) {
            let words = argument.get("enum").map(|words| {
                words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
            });
            let ty = argument["type"].as_str().unwrap();
            let place = format!("{} {name}", method.name);
            match keep {
                Keep::Word(known) => assert_eq!(words, Some(known.to_vec()), "{place}"),
                Keep::Number => assert!(["number", "integer"].contains(&ty), "{place}"),
                Keep::Flag => assert_eq!(ty, "boolean", "{place}"),
                Keep::Id | Keep::Len(_) | Keep::Key | Keep::Scheme => {
                    assert_eq!(ty, "string", "{place}");
                }
                Keep::Count(_) | Keep::Points => assert_eq!(ty, "array", "{place}"),
                Keep::Drag | Keep::Bounds => assert_eq!(ty, "object", "{place}"),
                Keep::Drop | Keep::Has(_) => {}
            }
        }
    }
}

#[test]
fn only_the_method_of_the_message_itself_counts() {
    let escaped = br#"{"id":1,"m\u0065thod":"In\u0070ut.insertText","params":{"text":"a"}}"#;
    assert_eq!(kept_of(escaped), ("Input.insertText", json!({"text_len": 1})));
    let twice = br#"{"method":"Page.close","params":{},"method":"Input.insertText","params":{"text":"ab"}}"#;
    assert_eq!(kept_of(twice), ("Input.insertText", json!({"text_len": 2})), "the last one counts");
    let late = br#" {"params":{"text":"abc"},"method":"Input.insertText"} "#;
    assert_eq!(kept_of(late).1, json!({"text_len": 3}));
    for other in [
        &br#"{"id":1,"result":{"method":"Page.close"}}"#[..],
        br#"{"id":1,"method":"Runtime.evaluate","params":{"method":"Page.close"}}"#,
        br#"{"method":"Target.attachedToTarget","params":{}}"#,
        br#"{"method":["Page.close"]}"#,
        br#"{"method":null}"#,
        br#"{"method":"page.close"}"#,
        br#"{"method":"Page.close ","params":{}}"#,
        br#"[{"method":"Page.close"}]"#,
        br#"{"method":"Page.close""#,
        b"\xff\xfe",
        b"",
    ] {
        assert_eq!(decode(other), Decoded::Unlisted, "{}", String::from_utf8_lossy(other));
    }
    for malformed in ["[]", "1", "\"x\""] {
        let message = format!(r#"{{"method":"Page.close","params":{malformed}}}"#);
        assert!(matches!(decode(message.as_bytes()), Decoded::Malformed { .. }), "{malformed}");
    }
}

#[test]
fn unknown_words_ids_and_addresses_give_nothing_away() {
    let format =
        |value: Value| kept("Page.captureScreenshot", &json!({"format": value}))["format"].clone();
    for value in [json!("gif"), json!(""), json!(7), json!({"a": 1}), json!("x".repeat(1_100_000))]
    {
        assert_eq!(format(value), "other");
    }
    let key = |key: &str| kept("Input.dispatchKeyEvent", &json!({"key": key}))["key_name"].clone();
    for (given, name) in
        [(" ", "Space"), ("F24", "F24"), ("F25", "other"), ("a", "other"), ("", "other")]
    {
        assert_eq!(key(given), name);
    }
    let scheme = |url: &str| kept("Page.navigate", &json!({"url": url})).get("url_scheme").cloned();
    for (url, expected) in [
        ("HTTPS://host", Some("https")),
        (" data:text/html,<b>hi", Some("data")),
        ("made-up-secret:x", Some("other")),
        ("/path?a:b", None),
        ("path/to:this", None),
        ("//host:80/", None),
        ("1https:", None),
        ("", None),
    ] {
        assert_eq!(scheme(url), expected.map(Value::from), "{url}");
    }
    assert_eq!(scheme(&format!("data:,{}", "x".repeat(1_100_000))), Some("data".into()));
    let target =
        |id: Value| kept("Target.closeTarget", &json!({"targetId": id})).get("targetId").cloned();
    assert_eq!(target(json!("ab".repeat(550_000))), Some("ab".repeat(64).into()));
    assert_eq!(target(json!("my password")), None);
    assert_eq!(target(json!(17)), None);
    let numbers =
        br#"{"method":"Input.dispatchMouseEvent","params":{"x":1e999,"y":"3","deltaX":-0.5}}"#;
    assert_eq!(kept_of(numbers).1, json!({"deltaX": -0.5}));
}

#[test]
fn lengths_are_characters() {
    let len = |json: &str| {
        let message = format!(r#"{{"method":"Input.insertText","params":{{"text":{json}}}}}"#);
        kept_of(message.as_bytes()).1["text_len"].as_u64()
    };
    assert_eq!(len(r#""""#), Some(0));
    assert_eq!(len(r#""äé€😀""#), Some(4));
    assert_eq!(len(r#""\n\u00e4\\\"""#), Some(4));
    assert_eq!(len(r#""\ud83d\ude00""#), Some(1), "a pair");
    assert_eq!(len(r#""\ud83dx\ude00""#), Some(3), "two halves");
    assert_eq!(len(r#""\ud83d\ud83d\ude00""#), Some(2), "a half and a pair");
    assert_eq!(len("7"), None);
    assert_eq!(len(&format!("\"{}\"", "x".repeat(1_100_000))), Some(1_100_000));
}

#[test]
fn ten_points_of_a_touch_are_kept() {
    let points: Vec<_> = (0..25).map(|n| json!({"x": n, "y": n, "id": n})).collect();
    let kept = kept("Input.dispatchTouchEvent", &json!({"touchPoints": points}));
    assert_eq!(kept["touch_count"], 25);
    assert_eq!(kept["points"].as_array().unwrap().len(), 10);
}
