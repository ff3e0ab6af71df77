//! What a replica tells of itself, to probes and to Prometheus.

use std::collections::BTreeSet;

use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, TestStack};

async fn get(to: std::net::SocketAddr, path: &str) -> Answer {
    wire::ask(to, &wire::request("GET", path, &[], b"")).await
}

#[tokio::test]
async fn healthz_and_readyz_answer_on_every_listener_and_only_ours_name_what_fails() {
    let stack = TestStack::start().await;
    for to in [stack.clear, stack.web, stack.admin, stack.metrics] {
        let health = get(to, "/healthz").await;
        assert_eq!((health.status, health.json()), (200, serde_json::json!({ "status": "ok" })));
        assert_eq!(health.header("cache-control"), Some("no-store"));
        assert!(health.header("x-request-id").is_some());
        let head = {
            let mut connection = wire::Connection::open(to).await;
            connection.send(&wire::request("HEAD", "/healthz", &[], b"")).await;
            connection.head().await
        };
        assert_eq!(head.status, 200);
        let ready = get(to, "/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        assert_eq!(ready.header("cache-control"), Some("no-store"));
        if to == stack.clear || to == stack.web {
            assert!(ready.body.is_empty());
        } else {
            assert_eq!(
                ready.json(),
                serde_json::json!({
                    "ready": true, "failing": [], "database": "up", "redis": "off",
                    "upstreams": "up", "draining": false,
                })
            );
        }
        let posted = wire::ask(to, &wire::request("POST", "/healthz", &[], b"")).await;
        assert_eq!(posted.status, 405);
    }
}

#[tokio::test]
async fn readyz_names_upstreams_where_none_answers() {
    let nobody = format!("http://127.0.0.1:{}", fluxgate_testkit::free_port());
    let stack = Plan::default().upstreams(&[nobody]).start().await;
    let ready = get(stack.metrics, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["failing"], serde_json::json!(["upstreams"]), "{}", ready.text());
    assert_eq!(get(stack.clear, "/healthz").await.status, 200, "alive all the same");
    let chat = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
    let answer = stack.post("/v1/chat/completions", chat).await;
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (503, Some("models_unknown"))
    );
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_hold_nothing_that_a_client_wrote() {
    let stack = TestStack::start().await;
    let marker = "zq7marker";
    for path in
        ["/v1/chat/completions", "/api/chat", "/v1/zq7marker", "/zq7marker", "/api/zq7marker"]
    {
        let body = format!(
            r#"{{"model":"{marker}","user":"{marker}","stream":false,"messages":[{{"role":"user","content":"{marker}"}}]}}"#
        );
        stack.post(path, &body).await;
        let authorization = format!("Bearer {marker}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("user-agent", marker),
            ("x-request-id", marker),
        ];
        wire::ask(stack.clear, &wire::request("POST", path, &headers, body.as_bytes())).await;
        wire::ask(stack.clear, &wire::request("ZQ7MARKER", path, &headers, b"")).await;
    }
    stack.get("/v1/models/zq7marker").await;
    let served = format!(
        r#"{{"model":"demo","user":"{marker}","messages":[{{"role":"user","content":"{marker}"}}]}}"#
    );
    assert_eq!(stack.post("/v1/chat/completions", &served).await.status, 200);

    let before = series(&stack).await;
    for number in 0..50 {
        let body = served.replace("\"demo\"", &format!("\"{marker}{number}\""));
        stack.post("/v1/chat/completions", &body).await;
        stack.get(&format!("/v1/models/{marker}{number}")).await;
    }
    assert_eq!(series(&stack).await, before, "requests make no new series");

    let answer = get(stack.metrics, "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    assert!(!text.to_ascii_lowercase().contains(marker), "{text}");
    assert!(!text.contains(&stack.key) && !text.contains(&stack.key[6..18]), "{text}");
    for name in [
        "fluxgate_requests_total",
        "fluxgate_refusals_total",
        "fluxgate_tokens_total",
        "fluxgate_request_duration_seconds_bucket",
        "fluxgate_upstream_head_seconds_bucket",
        "fluxgate_connections",
        "fluxgate_bodies_in_flight_bytes",
        "fluxgate_requests_in_flight",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing: {text}");
    }
    assert!(
        stack.metric("fluxgate_refusals_total", &[r#"reason="model_not_found""#]).await >= 100.0
    );
    let labels: BTreeSet<&str> = text.lines().flat_map(label_names).collect();
    let known = ["kind", "le", "reason", "route", "source", "status", "upstream"];
    assert!(labels.iter().all(|label| known.contains(label)), "{labels:?}");
}

/// Names and labels of all series but the buckets, which appear with their first sample.
async fn series(stack: &TestStack) -> BTreeSet<String> {
    let text = get(stack.metrics, "/metrics").await.text();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

fn label_names(line: &str) -> impl Iterator<Item = &str> {
    let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    let labels = labels.map_or("", |(labels, _)| labels);
    labels.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.trim()))
}
