//! Pure: which commands make an event, and what of each argument is kept.
//!
//! Every argument that the protocol has is listed, those that are dropped too, so that an argument
//! which a newer browser adds is a decision and not an accident. Protocol of Chromium 156.

/// What is kept of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    Drop,
    /// A number, under its own name.
    Number,
    /// A flag, under its own name.
    Flag,
    /// One of these words, else `other`, under its own name.
    Word(&'static [&'static str]),
    /// An id of the browser: hexadecimal digits and dashes, cut to 128 bytes, under its own name.
    Id,
    /// Whether it is there and not null.
    Has(&'static str),
    /// How many characters it has.
    Len(&'static str),
    /// How many items it has.
    Count(&'static str),
    /// `key_name`: one of the keys that type nothing, else `other`.
    Key,
    /// `url_scheme`: one of the known ones, else `other`.
    Scheme,
    /// `touch_count` and `points`: the first ten, `x` and `y` of each.
    Points,
    /// `item_count`, `file_count`, `mime_groups`, `dragOperationsMask`.
    Drag,
    /// `left`, `top`, `width`, `height`, `windowState`.
    Bounds,
}

/// A command that makes an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// Every argument that it has, in the protocol's order.
    pub(crate) arguments: &'static [(&'static str, Keep)],
}

const MOUSE: &[&str] = &["mousePressed", "mouseReleased", "mouseMoved", "mouseWheel"];
const BUTTON: &[&str] = &["none", "left", "middle", "right", "back", "forward"];
const POINTER: &[&str] = &["mouse", "pen"];
const KEY_EVENT: &[&str] = &["keyDown", "keyUp", "rawKeyDown", "char"];
const TOUCH: &[&str] = &["touchStart", "touchEnd", "touchMove", "touchCancel"];
const DRAG_EVENT: &[&str] = &["dragEnter", "dragOver", "drop", "dragCancel"];
const GESTURE: &[&str] = &["default", "touch", "mouse"];
const TRANSITION: &[&str] = &[
    "link",
    "typed",
    "address_bar",
    "auto_bookmark",
    "auto_subframe",
    "manual_subframe",
    "generated",
    "auto_toplevel",
    "form_submit",
    "reload",
    "keyword",
    "keyword_generated",
    "other",
];
const IMAGE: &[&str] = &["jpeg", "png", "webp"];
const SNAPSHOT: &[&str] = &["mhtml"];
const TRANSFER: &[&str] = &["ReturnAsBase64", "ReturnAsStream"];
const LIFECYCLE: &[&str] = &["frozen", "active"];
const SCREENCAST: &[&str] = &["jpeg", "png"];
/// States of a window (`Browser.WindowState`).
pub(crate) const WINDOW: &[&str] = &["normal", "minimized", "maximized", "fullscreen"];

/// Every command that makes an event.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "Input.dispatchMouseEvent",
        arguments: &[
            ("type", Keep::Word(MOUSE)),
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("modifiers", Keep::Number),
            ("timestamp", Keep::Drop),
            ("button", Keep::Word(BUTTON)),
            ("buttons", Keep::Number),
            ("clickCount", Keep::Number),
            ("force", Keep::Drop),
            ("tangentialPressure", Keep::Drop),
            ("tiltX", Keep::Drop),
            ("tiltY", Keep::Drop),
            ("twist", Keep::Drop),
            ("deltaX", Keep::Number),
            ("deltaY", Keep::Number),
            ("pointerType", Keep::Word(POINTER)),
        ],
    },
    Method {
        name: "Input.emulateTouchFromMouseEvent",
        arguments: &[
            ("type", Keep::Word(MOUSE)),
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("button", Keep::Word(BUTTON)),
            ("timestamp", Keep::Drop),
            ("deltaX", Keep::Number),
            ("deltaY", Keep::Number),
            ("modifiers", Keep::Number),
            ("clickCount", Keep::Number),
        ],
    },
    Method {
        name: "Input.dispatchKeyEvent",
        arguments: &[
            ("type", Keep::Word(KEY_EVENT)),
            ("modifiers", Keep::Number),
            ("timestamp", Keep::Drop),
            ("text", Keep::Len("text_len")),
            ("unmodifiedText", Keep::Drop),
            ("keyIdentifier", Keep::Drop),
            ("code", Keep::Drop),
            ("key", Keep::Key),
            ("windowsVirtualKeyCode", Keep::Drop),
            ("nativeVirtualKeyCode", Keep::Drop),
            ("autoRepeat", Keep::Flag),
            ("isKeypad", Keep::Flag),
            ("isSystemKey", Keep::Drop),
            ("location", Keep::Drop),
            ("commands", Keep::Count("commands_count")),
        ],
    },
    Method { name: "Input.insertText", arguments: &[("text", Keep::Len("text_len"))] },
    Method {
        name: "Input.imeSetComposition",
        arguments: &[
            ("text", Keep::Len("text_len")),
            ("selectionStart", Keep::Number),
            ("selectionEnd", Keep::Number),
            ("replacementStart", Keep::Number),
            ("replacementEnd", Keep::Number),
        ],
    },
    Method {
        name: "Input.dispatchTouchEvent",
        arguments: &[
            ("type", Keep::Word(TOUCH)),
            ("touchPoints", Keep::Points),
            ("modifiers", Keep::Number),
            ("timestamp", Keep::Drop),
        ],
    },
    Method {
        name: "Input.dispatchDragEvent",
        arguments: &[
            ("type", Keep::Word(DRAG_EVENT)),
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("data", Keep::Drag),
            ("modifiers", Keep::Number),
        ],
    },
    Method { name: "Input.cancelDragging", arguments: &[] },
    Method {
        name: "Input.synthesizePinchGesture",
        arguments: &[
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("scaleFactor", Keep::Number),
            ("relativeSpeed", Keep::Number),
            ("gestureSourceType", Keep::Word(GESTURE)),
        ],
    },
    Method {
        name: "Input.synthesizeTapGesture",
        arguments: &[
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("duration", Keep::Number),
            ("tapCount", Keep::Number),
            ("gestureSourceType", Keep::Word(GESTURE)),
        ],
    },
    Method {
        name: "Input.synthesizeScrollGesture",
        arguments: &[
            ("x", Keep::Number),
            ("y", Keep::Number),
            ("xDistance", Keep::Number),
            ("yDistance", Keep::Number),
            ("xOverscroll", Keep::Number),
            ("yOverscroll", Keep::Number),
            ("preventFling", Keep::Flag),
            ("speed", Keep::Number),
            ("gestureSourceType", Keep::Word(GESTURE)),
            ("repeatCount", Keep::Number),
            ("repeatDelayMs", Keep::Number),
            ("interactionMarkerName", Keep::Has("has_interactionMarkerName")),
        ],
    },
    Method {
        name: "DOM.setFileInputFiles",
        arguments: &[
            ("files", Keep::Count("files_count")),
            ("nodeId", Keep::Has("has_nodeId")),
            ("backendNodeId", Keep::Has("has_backendNodeId")),
            ("objectId", Keep::Has("has_objectId")),
        ],
    },
    Method {
        name: "DOM.focus",
        arguments: &[
            ("nodeId", Keep::Has("has_nodeId")),
            ("backendNodeId", Keep::Has("has_backendNodeId")),
            ("objectId", Keep::Has("has_objectId")),
        ],
    },
    Method {
        name: "DOM.scrollIntoViewIfNeeded",
        arguments: &[
            ("nodeId", Keep::Has("has_nodeId")),
            ("backendNodeId", Keep::Has("has_backendNodeId")),
            ("objectId", Keep::Has("has_objectId")),
            ("rect", Keep::Has("has_rect")),
        ],
    },
    Method {
        name: "Page.navigate",
        arguments: &[
            ("url", Keep::Scheme),
            ("referrer", Keep::Has("has_referrer")),
            ("transitionType", Keep::Word(TRANSITION)),
            ("frameId", Keep::Has("has_frameId")),
            ("referrerPolicy", Keep::Drop),
        ],
    },
    Method { name: "Page.navigateToHistoryEntry", arguments: &[("entryId", Keep::Number)] },
    Method {
        name: "Page.reload",
        arguments: &[
            ("ignoreCache", Keep::Flag),
            ("scriptToEvaluateOnLoad", Keep::Has("has_scriptToEvaluateOnLoad")),
            ("loaderId", Keep::Drop),
        ],
    },
    Method {
        name: "Page.captureScreenshot",
        arguments: &[
            ("format", Keep::Word(IMAGE)),
            ("quality", Keep::Number),
            ("clip", Keep::Has("has_clip")),
            ("fromSurface", Keep::Flag),
            ("captureBeyondViewport", Keep::Flag),
            ("optimizeForSpeed", Keep::Flag),
        ],
    },
    Method { name: "Page.captureSnapshot", arguments: &[("format", Keep::Word(SNAPSHOT))] },
    Method {
        name: "Page.printToPDF",
        arguments: &[
            ("landscape", Keep::Flag),
            ("displayHeaderFooter", Keep::Flag),
            ("printBackground", Keep::Flag),
            ("scale", Keep::Number),
            ("paperWidth", Keep::Number),
            ("paperHeight", Keep::Number),
            ("marginTop", Keep::Drop),
            ("marginBottom", Keep::Drop),
            ("marginLeft", Keep::Drop),
            ("marginRight", Keep::Drop),
            ("pageRanges", Keep::Has("has_pageRanges")),
            ("headerTemplate", Keep::Has("has_headerTemplate")),
            ("footerTemplate", Keep::Has("has_footerTemplate")),
            ("preferCSSPageSize", Keep::Flag),
            ("transferMode", Keep::Word(TRANSFER)),
            ("generateTaggedPDF", Keep::Drop),
            ("generateDocumentOutline", Keep::Drop),
        ],
    },
    Method {
        name: "Page.handleJavaScriptDialog",
        arguments: &[("accept", Keep::Flag), ("promptText", Keep::Len("promptText_len"))],
    },
    Method { name: "Page.setWebLifecycleState", arguments: &[("state", Keep::Word(LIFECYCLE))] },
    Method {
        name: "Page.startScreencast",
        arguments: &[
            ("format", Keep::Word(SCREENCAST)),
            ("quality", Keep::Number),
            ("maxWidth", Keep::Number),
            ("maxHeight", Keep::Number),
            ("everyNthFrame", Keep::Number),
            ("maxFramesInFlight", Keep::Drop),
            ("sendLastFrame", Keep::Drop),
        ],
    },
    Method { name: "Page.bringToFront", arguments: &[] },
    Method { name: "Page.stopScreencast", arguments: &[] },
    Method { name: "Page.stopLoading", arguments: &[] },
    Method { name: "Page.close", arguments: &[] },
    Method { name: "Browser.close", arguments: &[] },
    Method { name: "Target.activateTarget", arguments: &[("targetId", Keep::Id)] },
    Method { name: "Target.closeTarget", arguments: &[("targetId", Keep::Id)] },
    Method {
        name: "Target.openDevTools",
        arguments: &[("targetId", Keep::Id), ("panelId", Keep::Has("has_panelId"))],
    },
    Method { name: "Target.disposeBrowserContext", arguments: &[("browserContextId", Keep::Id)] },
    Method {
        name: "Target.createTarget",
        arguments: &[
            ("url", Keep::Scheme),
            ("left", Keep::Drop),
            ("top", Keep::Drop),
            ("width", Keep::Number),
            ("height", Keep::Number),
            ("windowState", Keep::Drop),
            ("browserContextId", Keep::Has("has_browserContextId")),
            ("enableBeginFrameControl", Keep::Drop),
            ("newWindow", Keep::Flag),
            ("background", Keep::Flag),
            ("forTab", Keep::Flag),
            ("hidden", Keep::Flag),
            ("focus", Keep::Drop),
        ],
    },
    Method {
        name: "Target.createBrowserContext",
        arguments: &[
            ("disposeOnDetach", Keep::Flag),
            ("proxyServer", Keep::Has("has_proxyServer")),
            ("proxyBypassList", Keep::Has("has_proxyBypassList")),
            ("originsWithUniversalNetworkAccess", Keep::Count("origins_count")),
        ],
    },
    Method {
        name: "Browser.cancelDownload",
        arguments: &[
            ("guid", Keep::Has("has_guid")),
            ("browserContextId", Keep::Has("has_browserContextId")),
        ],
    },
    Method {
        name: "Browser.setWindowBounds",
        arguments: &[("windowId", Keep::Number), ("bounds", Keep::Bounds)],
    },
    Method {
        name: "Browser.setContentsSize",
        arguments: &[("windowId", Keep::Number), ("width", Keep::Number), ("height", Keep::Number)],
    },
    Method {
        name: "Autofill.trigger",
        arguments: &[
            ("fieldId", Keep::Has("has_fieldId")),
            ("frameId", Keep::Has("has_frameId")),
            ("card", Keep::Has("has_card")),
            ("address", Keep::Has("has_address")),
        ],
    },
];

/// The entry of a command.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}
