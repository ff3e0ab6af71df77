//! Model servers that fail, and what of a request they get to see.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fluxgate_demo::{DemoConfig, Pace};
use fluxgate_testkit::{Demo, Plan, TestStack, wire};

use crate::scripted_upstream::{MODEL, ScriptedUpstream, Speaks, Step};

const CHAT: &str = "/v1/chat/completions";

fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    vec![Step::Send(head.into_bytes())]
}

const WHOLE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

async fn in_front_of(upstream: &ScriptedUpstream) -> TestStack {
    Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &format!("{}/v1/", upstream.url()))
        .set("upstreams.0.api_key", "our-own-credential")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_model_server_is_told_in_our_own_words() {
    for (status, expected, code) in [
        ("500 Internal Server Error", 502, "upstream_error"),
        ("501 Not Implemented", 502, "upstream_error"),
        ("503 Service Unavailable", 503, "upstream_overloaded"),
        ("401 Unauthorized", 502, "upstream_auth"),
        ("403 Forbidden", 502, "upstream_auth"),
        ("307 Temporary Redirect", 502, "upstream_redirect"),
    ] {
        let body = r#"{"error":{"message":"an inner matter"}}"#;
        let upstream = ScriptedUpstream::always(
            Speaks::OpenAi,
            answer(status, "location: /elsewhere\r\n", body),
        )
        .await;
        let stack = in_front_of(&upstream).await;
        let answer = stack.post(CHAT, &chat(MODEL)).await;
        assert_eq!(answer.status, expected, "{status}");
        assert_eq!(answer.json()["error"]["code"], code, "{status}");
        assert!(!answer.text().contains("inner matter"), "{status}");
        assert_eq!(upstream.seen().len(), 1, "{status}: asked once, and no redirect followed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_and_broken_json_pass_as_they_are() {
    let body = r#"{"error":{"message":"slow down"}}"#;
    let steps = answer(
        "429 Too Many Requests",
        "retry-after: 9\r\ncontent-type: application/json\r\n",
        body,
    );
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, steps).await;
    let stack = in_front_of(&upstream).await;
    let passed = stack.post(CHAT, &chat(MODEL)).await;
    assert_eq!((passed.status, passed.header("retry-after")), (429, Some("9")));
    assert_eq!(passed.text(), body);

    let broken = r#"{"choices": [oops"#;
    let steps = answer("200 OK", "content-type: application/json\r\n", broken);
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, steps).await;
    let stack = in_front_of(&upstream).await;
    assert_eq!(stack.post(CHAT, &chat(MODEL)).await.text(), broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_inner_headers_pass_in_neither_direction() {
    let headers = "content-type: application/json\r\nset-cookie: inner=1\r\nserver: inner\r\nx-internal-id: 7\r\n\
                   openai-processing-ms: 3\r\nauthorization: inner\r\n";
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, answer("200 OK", headers, WHOLE)).await;
    let stack = in_front_of(&upstream).await;
    let bearer = format!("Bearer {}", stack.key);
    let sent = [
        ("authorization", bearer.as_str()),
        ("x-api-key", "another"),
        ("cookie", "session=1"),
        ("proxy-authorization", "x"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("origin", "http://elsewhere"),
        ("sec-fetch-site", "cross-site"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-fluxgate-upstream", "forged"),
        ("x-request-id", "the-clients-own"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("openai-organization", "ours"),
        ("accept-encoding", "gzip, br"),
        ("content-type", "application/json"),
    ];
    let request =
        wire::request("POST", &format!("{CHAT}?api-version=1"), &sent, chat(MODEL).as_bytes());
    let answer = wire::ask(stack.clear, &request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let seen = upstream.seen().remove(0);
    assert_eq!(seen.path(), CHAT, "the query is dropped, and `/v1` of the base URL not doubled");
    assert_eq!(seen.header("authorization"), Some("Bearer our-own-credential"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("traceparent"), Some(sent[11].1));
    assert_eq!(seen.header("openai-organization"), Some("ours"));
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id"));
    for stays in [
        "x-api-key",
        "cookie",
        "proxy-authorization",
        "x-hop",
        "origin",
        "sec-fetch-site",
        "x-forwarded-for",
        "x-fluxgate-upstream",
    ] {
        assert_eq!(seen.header(stays), None, "{stays} went up");
    }
    for stays in ["set-cookie", "server", "x-internal-id", "authorization"] {
        assert_eq!(answer.header(stays), None, "{stays} came back");
    }
    assert_eq!(answer.header("openai-processing-ms"), Some("3"));
    assert_eq!(answer.header("x-fluxgate-upstream"), Some("scripted"));
    assert!(answer.header("x-fluxgate-overhead-us").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_upstream_serves_where_one_is_dead_and_all_dead_is_a_503() {
    let demo = || DemoConfig { pace: Pace::NONE, ..DemoConfig::default() };
    let (mut one, mut other) = (Demo::start(demo()).await, Demo::start(demo()).await);
    let stack = Plan::default().upstreams(&[one.url(), other.url()]).start().await;
    one.stop().await;
    for _ in 0..20 {
        assert_eq!(stack.post(CHAT, &chat("demo")).await.status, 200);
    }
    other.stop().await;
    let answer = stack.post(CHAT, &chat("demo")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "upstream_unavailable");
    assert!(answer.header("retry-after").is_some());

    let back = Demo::start(DemoConfig { addr: one.addr, ..demo() }).await;
    assert_eq!(stack.post(CHAT, &chat("demo")).await.status, 200, "{} is back", back.addr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_crosses_a_close_is_asked_again_and_never_served_twice() {
    let stack = Plan::default().models(&["demo!idle-close=1"]).start().await;
    let (mut answered, mut lost) = (0_u64, 0_u64);
    for _ in 0..300 {
        let answer = stack.post(CHAT, &chat("demo!idle-close=1")).await;
        match answer.status {
            200 => answered += 1,
            // The server's kernel had taken the request when the server closed: it is reset as one
            // that was read would be, and nobody may ask again.
            _ => {
                assert_eq!(answer.json()["error"]["code"], "upstream_broken");
                lost += 1;
            }
        }
        tokio::time::sleep(Duration::from_micros(1_200)).await;
    }
    assert!(lost <= 10, "{lost} of 300 were lost");
    let body_bytes = stack.demo.stats.body_bytes.load(Ordering::Relaxed);
    let served = body_bytes / chat("demo!idle-close=1").len() as u64;
    assert!(served <= answered + lost, "{served} were served, {answered} answered, {lost} lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_stream_options_is_asked_without_and_remembered() {
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, |seen| {
        if memchr::memmem::find(&seen.body, b"stream_options").is_some() {
            answer("400 Bad Request", "", r#"{"error":{"message":"unknown field stream_options"}}"#)
        } else {
            answer("200 OK", "content-type: text/event-stream\r\n", "data: [DONE]\n\n")
        }
    })
    .await;
    let stack = in_front_of(&upstream).await;
    let body = chat(MODEL).replace("\"messages\"", "\"stream\":true,\"messages\"");
    for asked in [2, 3] {
        assert_eq!(stack.post(CHAT, &body).await.status, 200);
        assert_eq!(upstream.seen().len(), asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_appears_is_found_when_it_is_asked_for() {
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, answer("200 OK", "", WHOLE)).await;
    let stack = in_front_of(&upstream).await;
    let unknown = stack.post(CHAT, &chat("newcomer")).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains(MODEL), "the models there are stand in {}", unknown.text());
    upstream.list("newcomer");
    // The listings are read again at most once a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(stack.post(CHAT, &chat("newcomer")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_appears_is_found_while_another_upstream_hangs() {
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, answer("200 OK", "", WHOLE)).await;
    // Connections are taken by the kernel, and nobody answers them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = format!("http://{}", silent.local_addr().unwrap());
    let stack = Plan::default().upstreams(&[hanging, upstream.url()]).start().await;
    upstream.list("newcomer");
    // The hanging one is being read all the time, the other was read a second ago.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let body = chat("newcomer");
    let asked = tokio::time::timeout(Duration::from_secs(3), stack.post(CHAT, &body));
    assert_eq!(asked.await.expect("nobody waits for the hanging one").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_shown_so_until_it_answers() {
    let demo = || DemoConfig { pace: Pace::NONE, ..DemoConfig::default() };
    let mut model = Demo::start(demo()).await;
    let stack = Plan::default().upstreams(&[model.url()]).start().await;
    assert_eq!(shown(&stack).await, (200, true, 1.0));
    model.stop().await;
    assert_eq!(stack.post(CHAT, &chat("demo")).await.status, 503);
    for _ in 0..8 {
        assert_eq!(shown(&stack).await, (503, false, 0.0));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let _back = Demo::start(DemoConfig { addr: model.addr, ..demo() }).await;
    let again = async {
        while shown(&stack).await != (200, true, 1.0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("it is seen to be back");
}

/// What readiness, the list of upstreams and the metric say of the one upstream.
async fn shown(stack: &TestStack) -> (u16, bool, f64) {
    let ready = wire::ask(stack.metrics, &wire::request("GET", "/readyz", &[], b"")).await;
    let listed = stack.operator("GET", "/admin/v1/upstreams", "").await.json();
    let up = listed["items"][0]["up"].as_bool().unwrap();
    (ready.status, up, stack.metric("fluxgate_upstream_up", &[]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_hangs_up_before_its_answer_is_a_502() {
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, vec![Step::Close]).await;
    let stack = in_front_of(&upstream).await;
    let answer = stack.post(CHAT, &chat(MODEL)).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["code"], "upstream_broken");
    assert_eq!(upstream.seen().len(), 1, "what may have been read is never sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_for_the_next_request() {
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, answer("200 OK", "", WHOLE)).await;
    let stack = in_front_of(&upstream).await;
    for _ in 0..3 {
        assert_eq!(stack.post(CHAT, &chat(MODEL)).await.status, 200);
    }
    let connections: Vec<u64> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [connections[0]; 3]);
}
