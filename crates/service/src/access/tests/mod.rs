mod hosts;
mod origins;
mod principals;
mod routes;
mod scopes;
mod tokens;

use http::Request;
use http::request::Parts;

use super::*;

/// A request for `target` with these headers.
fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn check(access: &Access, target: &str, headers: &[(&str, &str)]) -> Result<(), AccessDenied> {
    access.check(&request(target, headers), None, &Need::Known).map(drop)
}

fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("an origin")
}
