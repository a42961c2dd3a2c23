use super::*;

#[test]
fn every_form_of_log_is_shown_as_it_is_written() {
    for text in ["plain", "cri", "docker", "words:1", "words:5", "literal:chrome[1]: "] {
        let form = LogForm::read(text).expect(text);
        assert_eq!(form.show(), text);
    }
    for text in ["", "Plain", "words", "words:", "words:0", "words:300", "literal:", "json:1"] {
        let error = LogForm::read(text).expect_err(text);
        assert!(error.contains("plain, cri, docker"), "{error}");
    }
}

#[test]
fn a_place_is_a_host_and_a_port() {
    for (text, host, port) in [
        ("127.0.0.1:9222", "127.0.0.1", 9222),
        ("browser:1", "browser", 1),
        ("[::1]:9222", "::1", 9222),
    ] {
        let place = Place::read(text).expect(text);
        assert_eq!((place.host.as_str(), place.port), (host, port));
        assert_eq!(place.show(), text);
    }
    for text in ["", "browser", "9222", "browser:0", "browser:99999", "::1:9222", "a b:1", ":1"] {
        assert!(Place::read(text).is_err(), "{text:?} was taken");
    }
}

#[test]
fn an_address_may_lead_to_any_host_that_an_operator_names() {
    for text in [
        "ws://127.0.0.1:9222/devtools/browser/4f2a",
        "ws://browser.example:9222/devtools/browser/4f2a",
        "ws://[2001:db8::1]:9222/devtools/browser/4f2a",
    ] {
        assert_eq!(BrowserUrl::read(text).expect(text).show(), text);
    }
    for text in [
        "",
        "127.0.0.1:9222",
        "http://127.0.0.1:9222/devtools/browser/4f2a",
        "wss://127.0.0.1:9222/devtools/browser/4f2a",
        "ws://127.0.0.1:9222/devtools/page/4f2a",
        "ws://127.0.0.1:9222/",
    ] {
        assert!(BrowserUrl::read(text).is_err(), "{text:?} was taken");
    }
}

#[test]
fn an_id_is_a_label_of_a_host_name() {
    let longest = "a".repeat(35);
    for text in ["browser", "a", "b-2", longest.as_str()] {
        assert!(SandboxId::read(text).is_ok(), "{text:?} was refused");
    }
    let longer = "a".repeat(36);
    for text in ["", "-a", "a-", "a--b", "A", "a.b", "a_b", longer.as_str()] {
        assert!(SandboxId::read(text).is_err(), "{text:?} was taken");
    }
}
