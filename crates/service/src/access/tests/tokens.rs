use http::Uri;

use super::*;

fn access() -> Access {
    let token = Some("s3cret+/=~".to_owned());
    Access::new(AccessSettings { token, ..AccessSettings::default() })
        .with_first_parameter_on(&["/json/new"])
}

fn with(target: &str, authorization: &[&str]) -> Result<(), AccessDenied> {
    let mut headers = vec![("host", "localhost")];
    headers.extend(authorization.iter().map(|value| ("authorization", *value)));
    check(&access(), target, &headers)
}

const GOOD: &str = "Bearer s3cret+/=~";
const WRONG: &str = "Bearer s3cret+/=";

#[test]
fn a_token_is_taken_from_the_header_or_the_query() {
    assert_eq!(with("/", &[GOOD]), Ok(()));
    assert_eq!(with("/", &["bearer   s3cret+/=~ "]), Ok(()));
    assert_eq!(with("/?token=s3cret%2B%2F%3D~", &[]), Ok(()), "encoded");
    assert_eq!(with("/?a=1&token=s3cret+/=~&b=2", &[]), Ok(()), "as typed");
    assert_eq!(with("/?%74oken=s3cret+/=~", &[]), Ok(()), "an encoded name is the same name");
    assert_eq!(with("/?token=s3cret+/=~", &[GOOD]), Ok(()), "twice the same");
}

#[test]
fn no_token_and_a_wrong_one_are_told_apart() {
    for nothing in ["/", "/?tokens=s3cret", "/?Token=s3cret%2B%2F%3D~"] {
        assert_eq!(with(nothing, &[]), Err(AccessDenied::TokenRequired), "{nothing}");
    }
    let basic = "Basic czNjcmV0Kz0vfg==";
    assert_eq!(with("/", &[basic]), Err(AccessDenied::TokenRequired), "not our scheme");
    assert_eq!(with("/?token=s3cret", &[]), Err(AccessDenied::TokenInvalid));
    assert_eq!(with("/?token=", &[]), Err(AccessDenied::TokenInvalid));
    assert_eq!(with("/", &[WRONG]), Err(AccessDenied::TokenInvalid));
}

#[test]
fn two_different_tokens_are_refused_also_when_one_is_right() {
    assert_eq!(with("/?token=other", &[GOOD]), Err(AccessDenied::TokensDiffer));
    assert_eq!(with("/", &[GOOD, WRONG]), Err(AccessDenied::TokensDiffer));
    let both = "/?token=s3cret%2B%2F%3D~&token=other";
    assert_eq!(with(both, &[]), Err(AccessDenied::TokensDiffer));
}

#[test]
fn where_the_rest_is_a_url_of_its_own_only_the_first_parameter_counts() {
    assert_eq!(with("/x/json/new?token=s3cret+/=~&https://a.example/?token=9", &[]), Ok(()));
    assert_eq!(with("/json/new/?https://a.example/?x=1&token=9", &[GOOD]), Ok(()));
    let missing = with("/json/new?https://a.example/?x=1&token=s3cret%2B%2F%3D~", &[]);
    assert_eq!(missing, Err(AccessDenied::TokenRequired));
}

#[test]
fn without_a_token_everybody_is_local() {
    let access = Access::new(AccessSettings::default());
    let parts = request("/?token=whatever", &[("host", "localhost")]);
    assert_eq!(
        access.check(&parts, None, &Need::Known).map(|who| who.name().to_owned()),
        Ok("local".to_owned())
    );
    assert!(!access.needs_token());
    let parts = request("/", &[("host", "localhost"), ("authorization", GOOD)]);
    let who =
        super::tokens::access().check(&parts, None, &Need::Known).map(|who| who.name().to_owned());
    assert_eq!(who, Ok("token".to_owned()));
}

#[test]
fn routes_without_token_check_host_and_origin_all_the_same() {
    let parts = request("/healthz", &[("host", "localhost")]);
    assert_eq!(access().check_without_token(&parts, None), Ok(()));
    let parts = request("/healthz", &[("host", "evil.example")]);
    assert_eq!(access().check_without_token(&parts, None), Err(AccessDenied::HostRefused));
}

#[test]
fn nothing_shows_a_token() {
    let shown = format!("{:?}", access());
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(!format!("{:?}", Principals::default().with_all("s3cret", "x")).contains("s3cret"));
    let denied = with("/?token=very-wrong", &[]).expect_err("wrong");
    assert!(!denied.to_string().contains("very-wrong"), "{denied}");
}

#[test]
fn a_token_is_taken_out_of_a_uri_and_everything_else_stays() {
    use TokenInQuery::{Anywhere, FirstOnly};
    let cases = [
        ("/a?token=x", Anywhere, "/a"),
        ("/a?token=x&b=%20c&d", Anywhere, "/a?b=%20c&d"),
        ("/a?b=1&token=x&token=y&c=2", Anywhere, "/a?b=1&c=2"),
        ("/a?b=token=x", Anywhere, "/a?b=token=x"),
        ("/a?tokens=x", Anywhere, "/a?tokens=x"),
        ("/a?%74oken=x&b", Anywhere, "/a?b"),
        ("/a?", Anywhere, "/a?"),
        ("/a", Anywhere, "/a"),
        ("http://h:1/a?token=x", Anywhere, "http://h:1/a"),
        ("/json/new?token=x&https://a/?token=9", FirstOnly, "/json/new?https://a/?token=9"),
        ("/json/new?https://a/?b=1&token=9", FirstOnly, "/json/new?https://a/?b=1&token=9"),
    ];
    for (before, scan, after) in cases {
        let uri: Uri = before.parse().expect("a URI");
        assert_eq!(without_token(&uri, scan).to_string(), after, "{before}");
    }
    let uri: Uri = "/a?b=1&token=a%2Bb".parse().expect("a URI");
    assert_eq!(query_token(&uri, Anywhere).as_deref(), Some("a+b"));
    assert_eq!(query_token(&uri, FirstOnly), None);
}
