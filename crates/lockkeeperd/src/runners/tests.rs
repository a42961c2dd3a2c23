use super::*;

fn at(address: &str, needs_token: bool) -> Arc<SandboxRunners> {
    SandboxRunners::new(base(address.parse().unwrap(), false, None), needs_token)
}

fn asks(runners: &SandboxRunners, uri: &str) -> bool {
    runners.opens(&http::Request::builder().uri(uri).body(()).unwrap().into_parts().0)
}

#[test]
fn a_runner_is_told_an_address_of_this_machine() {
    let id: SandboxId = "a".parse().unwrap();
    for (listens, url) in [
        ("127.0.0.1:7300", "ws://127.0.0.1:7300/sandboxes/a"),
        ("0.0.0.0:80", "ws://127.0.0.1:80/sandboxes/a"),
        ("[::]:80", "ws://[::1]:80/sandboxes/a"),
        ("192.0.2.1:80", "ws://192.0.2.1:80/sandboxes/a"),
    ] {
        assert_eq!(at(listens, false).cdp_url(&id), url);
    }
}

#[test]
fn over_tls_a_runner_is_told_the_public_address_if_it_is_https() {
    let listens = "0.0.0.0:7300".parse().unwrap();
    let public = |url: &str| <PublicUrl as service::settings::SettingValue>::read(url).unwrap();
    let (safe, open) = (public("https://boxes.example.org/base/"), public("http://10.0.0.1"));
    assert_eq!(base(listens, true, None), "wss://127.0.0.1:7300");
    assert_eq!(base(listens, true, Some(&safe)), "wss://boxes.example.org/base");
    assert_eq!(base(listens, true, Some(&open)), "wss://127.0.0.1:7300");
    assert_eq!(base(listens, false, Some(&safe)), "ws://127.0.0.1:7300");
}

#[test]
fn the_key_of_a_runner_opens_its_own_sandbox_until_that_has_ended() {
    let runners = at("127.0.0.1:7300", true);
    let (a, b): (SandboxId, SandboxId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let url = runners.cdp_url(&a);
    let key = url.strip_prefix("ws://127.0.0.1:7300/sandboxes/a?token=").unwrap().to_owned();
    assert_eq!(key.len(), 32);
    assert_eq!(runners.cdp_url(&a), url, "the same for the next runner of it");
    assert_ne!(runners.cdp_url(&b), url);
    assert!(asks(&runners, &format!("/sandboxes/a?token={key}")));
    assert!(asks(&runners, &format!("/sandboxes/a/json/list?x=1&token={key}")));
    for other in [
        format!("/sandboxes/b?token={key}"),
        format!("/sandboxes/ab?token={key}"),
        format!("/v1/sandboxes/a?token={key}"),
        format!("/connect?token={key}"),
        "/sandboxes/a?token=".to_owned(),
        "/sandboxes/a".to_owned(),
    ] {
        assert!(!asks(&runners, &other), "{other}");
    }
    runners.parked(&a);
    assert!(asks(&runners, &format!("/sandboxes/a?token={key}")), "it may come back");
    runners.gone(&a);
    assert!(!asks(&runners, &format!("/sandboxes/a?token={key}")));
}

#[test]
fn sandboxes_without_a_runner_are_none_of_ours() {
    let runners = at("127.0.0.1:7300", false);
    let id: SandboxId = "a".parse().unwrap();
    runners.parked(&id);
    runners.gone(&id);
    assert!(runners.table().entries.is_empty());
    assert!(!runners.is_busy(&id));
}
