//! Which pages' requests a cookie counts for: every cell of the matrix.

use fluxgate_testkit::TestStack;
use serde_json::json;

use super::people::{self, Browser, LOGIN, ME, PASSWORD, code, send};

const SITES: [Option<&str>; 5] =
    [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")];
const BODY: &[u8] = br#"{"name":"x"}"#;
const TYPES: [(&str, bool); 5] = [
    ("application/json", true),
    ("application/json; charset=utf-8", true),
    ("text/plain", false),
    ("application/x-www-form-urlencoded", false),
    ("multipart/form-data; boundary=x", false),
];

/// The origins a browser may tell, and whether each is ours.
fn origins(ours: &str) -> [(Option<String>, Option<bool>); 4] {
    [
        (None, None),
        (Some(ours.to_owned()), Some(true)),
        (Some("https://evil.example".to_owned()), Some(false)),
        (Some("null".to_owned()), Some(false)),
    ]
}

/// What the two headers prove together.
fn is_ours(site: Option<&str>, origin: Option<bool>) -> bool {
    let site = site.map(|site| site == "same-origin");
    let told = [site, origin];
    told.contains(&Some(true)) && !told.contains(&Some(false))
}

#[tokio::test]
async fn an_unsafe_method_by_cookie_needs_a_page_of_ours_and_json() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let browser = Browser::sign_in(&stack, "ada@example.org").await;
    let mut cells = 0;
    for site in SITES {
        for (origin, told) in origins(&format!("http://{}", stack.web)) {
            for (kind, json) in TYPES {
                let mut headers =
                    vec![("cookie", browser.session.as_str()), ("content-type", kind)];
                headers.extend(site.map(|site| ("sec-fetch-site", site)));
                headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
                let ours = is_ours(site, told);
                let cell = format!("{site:?} {origin:?} {kind}");
                let read = send(stack.web, "GET", ME, &headers, b"").await;
                assert_eq!(read.status, 200, "reading: {cell}");
                let expected = match (ours, json) {
                    (false, _) => (403, "cross_origin"),
                    (true, false) => (415, "unsupported_media_type"),
                    (true, true) => (201, ""),
                };
                let made = send(stack.web, "POST", "/api/v1/keys", &headers, BODY).await;
                assert_eq!((made.status, code(&made).as_str()), expected, "making: {cell}");
                let id = "000000000000";
                let path = format!("/api/v1/keys/{id}");
                let ended = send(stack.web, "DELETE", &path, &headers, b"").await;
                assert_eq!(ended.status, if ours { 404 } else { 403 }, "ending: {cell}");
                // Models are asked by cookie from our own page alone, whatever the method.
                let models = send(stack.web, "GET", "/v1/models", &headers, b"").await;
                assert_eq!(models.status, if ours { 200 } else { 403 }, "models: {cell}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 100);
    stack.stop().await;
}

#[tokio::test]
async fn signing_in_by_cookie_needs_a_page_of_ours() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let asked = |grant| json!({ "email": "ada@example.org", "password": PASSWORD, "grant": grant });
    for site in SITES {
        for (origin, told) in origins(&format!("http://{}", stack.web)) {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(site.map(|site| ("sec-fetch-site", site)));
            headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
            let says_nothing = site.is_none() && origin.is_none();
            let ours = is_ours(site, told);
            for (grant, welcome) in [("cookie", ours), ("bearer", ours || says_nothing)] {
                let body = asked(grant).to_string();
                let answer = send(stack.web, "POST", LOGIN, &headers, body.as_bytes()).await;
                let expected = if welcome { (200, "") } else { (403, "cross_origin") };
                let cell = format!("{site:?} {origin:?} {grant}");
                assert_eq!((answer.status, code(&answer).as_str()), expected, "{cell}");
                assert!(welcome || answer.header("set-cookie").is_none(), "{cell}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_bearer_token_needs_no_proof_of_a_page() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let token = people::sign_in(&stack, "ada@example.org").await.access_token;
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let made = send(stack.web, "POST", "/api/v1/keys", &headers, BODY).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // And no other site's script may read an answer.
    assert!(made.header("access-control-allow-origin").is_none());
    stack.stop().await;
}
