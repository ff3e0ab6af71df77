//! Routes that there aren't, methods that they don't take, and what is managed elsewhere.

use fluxgate_testkit::{TestStack, wire};

use super::refusal::{OLLAMA_ROUTES, OPENAI_ROUTES, Unasked, assert_id, assert_refused};

#[tokio::test]
async fn a_route_that_there_isnt_is_404_in_the_dialect_of_its_path() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for path in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/chat",
        "/v1/audio/speech",
        "/api/",
        "/api/nothing",
        "/api/chats",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let authorization = format!("Bearer {}", stack.key);
            let request = wire::request(method, path, &[("authorization", &authorization)], b"");
            let answer = wire::ask(stack.clear, &request).await;
            let path = if path == "/v1" { "/v1/" } else { path };
            assert_refused(method, path, &answer, 404, "unknown_route");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn elsewhere_an_unknown_path_is_a_problem_document() {
    let stack = TestStack::start().await;
    for to in [stack.clear, stack.web, stack.admin, stack.metrics] {
        for path in
            ["/nothing", "/V1/models", "/admin/v1/nothing", "/api/v1/nothing", "/.env", "/metrics/"]
        {
            let answer = wire::ask(to, &wire::request("GET", path, &[], b"")).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
            assert_id(&answer);
            let problem = answer.json();
            assert_eq!(problem["code"], "unknown_route", "{path}");
            assert_eq!(problem["status"], 404, "{path}");
            assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_refused_before_its_route_is_known_is_refused_in_the_form_of_its_path() {
    let stack = TestStack::start().await;
    let public = [stack.clear, stack.web];
    let private = [stack.admin, stack.metrics];
    let two_hosts = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: test\r\nhost: test\r\n\r\n").into_bytes()
    };
    for to in public {
        for path in ["/v1/models", "/v1/nothing", "/api/tags"] {
            let answer = wire::ask(to, &two_hosts(path)).await;
            assert_refused("two hosts", path, &answer, 400, "bad_framing");
        }
        for path in ["/v1/chat%2fcompletions", "/api/ch\\at"] {
            let answer = wire::ask(to, &wire::request("GET", path, &[], b"")).await;
            assert_refused("a bad path", path, &answer, 400, "bad_path");
        }
        for path in ["/api/v1/keys%2f1", "/page%00"] {
            let answer = wire::ask(to, &wire::request("GET", path, &[], b"")).await;
            assert_problem(path, &answer, "bad_path");
        }
    }
    for to in public.into_iter().chain(private) {
        for path in ["/api/v1", "/api/v1/keys", "/healthz", "/nothing"] {
            assert_problem(path, &wire::ask(to, &two_hosts(path)).await, "bad_framing");
        }
    }
    for to in private {
        assert_problem("/v1/models", &wire::ask(to, &two_hosts("/v1/models")).await, "bad_framing");
    }
}

#[track_caller]
fn assert_problem(what: &str, answer: &wire::Answer, code: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_id(answer);
    let problem = answer.json();
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &400.into()), "{what}");
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{what}");
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_one() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let authorization = format!("Bearer {}", stack.key);
    let posts = OPENAI_ROUTES.into_iter().chain(OLLAMA_ROUTES).map(|path| (path, "POST"));
    let gets = ["/v1/models", "/v1/models/demo", "/api/tags", "/api/ps", "/api/version"];
    for (path, allowed) in posts.chain(gets.map(|path| (path, "GET"))) {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            if method == allowed {
                continue;
            }
            let request = wire::request(method, path, &[("authorization", &authorization)], b"{}");
            let answer = wire::ask(stack.clear, &request).await;
            assert_refused(method, path, &answer, 405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn ollamas_management_routes_are_403_whoever_asks() {
    let stack = TestStack::start().await;
    let before = stack.demo.stats.body_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let authorization = format!("Bearer {}", stack.key);
    for path in [
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/copy",
        "/api/delete",
        "/api/blobs/sha256:0",
        "/api/blobs/",
    ] {
        for method in ["POST", "DELETE", "GET", "PUT"] {
            for headers in [&[("authorization", authorization.as_str())] as &[_], &[]] {
                let body = br#"{"model":"demo","name":"demo"}"#;
                let answer =
                    wire::ask(stack.clear, &wire::request(method, path, headers, body)).await;
                assert_refused(method, path, &answer, 403, "management_route");
            }
        }
    }
    assert_eq!(stack.demo.stats.body_bytes.load(std::sync::atomic::Ordering::Relaxed), before);
}

#[tokio::test]
async fn model_routes_are_on_the_public_listeners_alone() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let request =
        stack.posting("/v1/chat/completions", super::refusal::sound_body("/v1/chat/completions"));
    for to in [stack.admin, stack.metrics] {
        let answer = wire::ask(to, &request).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    let operator = format!("Bearer {}", fluxgate_testkit::stack::ADMIN_TOKEN);
    for path in ["/admin/v1/status", "/admin/v1/drain", "/metrics"] {
        for to in [stack.clear, stack.web] {
            for method in ["GET", "POST"] {
                let request = wire::request(method, path, &[("authorization", &operator)], b"{}");
                let answer = wire::ask(to, &request).await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
            }
        }
    }
    unasked.end(&stack);
}
