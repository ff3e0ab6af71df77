//! Credentials that are missing, malformed or unknown: 401 in the route's dialect, before the body
//! is looked at.

use fluxgate_testkit::{TestStack, wire};

use super::refusal::{Unasked, assert_refused, routes, sound_body};
use crate::forged_key::forged_key;

const LISTINGS: [&str; 5] =
    ["/v1/models", "/v1/models/demo", "/api/tags", "/api/ps", "/api/version"];

#[tokio::test]
async fn a_request_without_a_good_key_is_401_on_every_route() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let key = &stack.key;
    let unknown = forged_key(1);
    let other_secret = {
        // The id of a key that there is, with a secret that isn't its own.
        let (id, _) = key.rsplit_once('-').unwrap();
        crate::forged_key::with_checksum(&format!("{id}-{}", "a".repeat(32)))
    };
    let wrong_end = format!("{}x", &key[..key.len() - 1]);
    let cut = key[..key.len() - 1].to_owned();
    let mut cases: Vec<(Vec<(&str, String)>, &str)> = vec![
        (vec![], "missing_api_key"),
        (vec![("x-other", key.clone())], "missing_api_key"),
        (vec![("api-key", key.clone())], "missing_api_key"),
        (vec![("cookie", format!("key={key}"))], "missing_api_key"),
    ];
    for authorization in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        key.clone(),
        format!("Basic {key}"),
        format!("Bearer{key}"),
        format!("Bearer \"{key}\""),
        format!("Bearer {key} x"),
        format!("Bearer {key},{key}"),
        format!("Bearer {}", wrong_end),
        format!("Bearer {cut}"),
        format!("Bearer {key}{key}"),
        format!("Bearer {}", key.to_ascii_uppercase()),
        "Bearer sk-proj-0123456789".to_owned(),
        format!("Bearer {}", "a".repeat(8_000)),
        format!("Bearer {unknown}"),
        format!("Bearer {other_secret}"),
        format!("Bearer {}", fluxgate_testkit::stack::ADMIN_TOKEN),
        "Bearer \u{e4}".to_owned(),
    ] {
        cases.push((vec![("authorization", authorization)], "invalid_api_key"));
    }
    let unsigned = "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned();
    cases.push((vec![("authorization", unsigned)], "invalid_session"));
    for key in [unknown.clone(), wrong_end, String::new(), "x".to_owned(), format!("Bearer {key}")]
    {
        cases.push((vec![("x-api-key", key)], "invalid_api_key"));
    }
    for (headers, code) in &cases {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let posts = routes().map(|route| ("POST", route, sound_body(route)));
        for (method, path, body) in posts.chain(LISTINGS.map(|path| ("GET", path, ""))) {
            let request = wire::request(method, path, &headers, body.as_bytes());
            let answer = wire::ask(stack.clear, &request).await;
            let sentence = assert_refused(&format!("{headers:?}"), path, &answer, 401, code);
            assert!(!sentence.contains(key.as_str()), "the key isn't repeated");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn a_key_is_taken_in_either_header_and_the_scheme_in_any_case() {
    let stack = TestStack::start().await;
    let key = &stack.key;
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {key}")),
        ("authorization", format!("BEARER   {key}  ")),
        ("x-api-key", key.clone()),
        ("X-Api-Key", key.clone()),
    ] {
        for (method, path, body) in routes()
            .map(|route| ("POST", route, sound_body(route)))
            .chain([("GET", "/v1/models", "")])
        {
            let request = wire::request(method, path, &[(name, &value)], body.as_bytes());
            let answer = wire::ask(stack.clear, &request).await;
            assert_eq!(answer.status, 200, "{name}: {value}: {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_what_is_behind() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    // Whatever is wrong with the body, the missing key comes first.
    for route in routes() {
        for body in ["", "not json", r#"{"model":"nothing"}"#, r#"{"model":"demo"}"#] {
            let request = wire::request("POST", route, &[], body.as_bytes());
            let answer = wire::ask(stack.clear, &request).await;
            let sentence = assert_refused(body, route, &answer, 401, "missing_api_key");
            assert!(!sentence.contains("demo"), "{sentence}");
            for header in ["x-fluxgate-upstream", "server", "x-powered-by"] {
                assert_eq!(answer.header(header), None, "{route}");
            }
        }
    }
    unasked.end(&stack);
}
