//! Clients that stop reading: they hold an upstream no longer than their limit, and lose nothing
//! before it.

use std::time::{Duration, Instant};

use fluxgate_testkit::wire::Connection;
use fluxgate_testkit::{Plan, TestStack};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::scripted_upstream::{
    JSON, MODEL, SSE, ScriptedUpstream, Speaks, Step, chunk, document, stream_head,
};
use crate::secure;

const CHAT: &str = "/v1/chat/completions";
/// The limits here are of a second or two.
const NOT_BEFORE: Duration = Duration::from_millis(900);
const AT_LAST: Duration = Duration::from_secs(4);

fn asked() -> String {
    format!(
        r#"{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#
    )
}

async fn in_front_of(upstream: &ScriptedUpstream, limit: (&str, &str)) -> TestStack {
    let plan = Plan::default()
        .upstreams(&[])
        .set("upstreams.0.name", "scripted")
        .set("upstreams.0.url", &upstream.url());
    plan.set(limit.0, limit.1).start().await
}

async fn endless() -> ScriptedUpstream {
    let frame = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(2_000)
    );
    let steps = vec![Step::Send(stream_head(SSE)), Step::Endless(chunk(frame.as_bytes()))];
    ScriptedUpstream::always(Speaks::OpenAi, steps).await
}

/// Waits until nothing is under way upstream.
async fn freed(stack: &TestStack, upstream: &ScriptedUpstream) {
    while stack.metric("fluxgate_requests_in_flight", &[]).await > 0.0 || upstream.cut_off() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
fn assert_in_time(since: Instant, limit: (&str, &str)) {
    assert!((NOT_BEFORE..AT_LAST).contains(&since.elapsed()), "{limit:?}: {:?}", since.elapsed());
}

const LIMITS: [(&str, &str); 2] =
    [("upstreams.0.timeouts.request_s", "1"), ("listen.answer_stall_s", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_gives_its_upstream_back_at_the_limit() {
    for limit in LIMITS {
        let upstream = endless().await;
        let stack = in_front_of(&upstream, limit).await;
        let mut client = Connection::open_narrow(stack.clear).await;
        let since = Instant::now();
        client.send(&stack.posting(CHAT, &asked())).await;
        assert_eq!(client.head().await.status, 200);
        let freed = tokio::time::timeout(Duration::from_secs(10), freed(&stack, &upstream));
        assert!(freed.await.is_ok(), "{limit:?}: the upstream is held");
        assert_in_time(since, limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_stream_that_isnt_read_is_reset_and_its_connection_goes_on() {
    for limit in LIMITS {
        let upstream = endless().await;
        let stack = in_front_of(&upstream, limit).await;
        let mut client = secure::http2(&stack).await;
        let uri = format!("https://localhost:{}{CHAT}", stack.tls.port());
        let since = Instant::now();
        let answer = client.send_request(secure::post(&stack, &uri, &asked())).await.unwrap();
        let mut unread = answer.into_body();
        let freed = tokio::time::timeout(Duration::from_secs(10), freed(&stack, &upstream));
        assert!(freed.await.is_ok(), "{limit:?}: the upstream is held");
        assert_in_time(since, limit);

        let uri = format!("https://localhost:{}/healthz", stack.tls.port());
        let asked = http::Request::get(uri).body(secure::Body::default()).unwrap();
        assert_eq!(client.send_request(asked).await.unwrap().status(), 200, "{limit:?}");
        let cut = loop {
            match unread.frame().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(cut, "{limit:?}: it is taken for whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_at_the_end_gets_all_of_the_answer() {
    let body = format!(r#"{{"choices":[],"padding":"{}"}}"#, "x".repeat(80_000));
    let steps = vec![Step::Send(document(JSON, body.as_bytes()))];
    let upstream = ScriptedUpstream::always(Speaks::OpenAi, steps).await;
    let plan = Plan::default().upstreams(&[upstream.url()]);
    let stack = plan.set("listen.first_byte_s", "1").set("listen.idle_s", "2").start().await;
    // Room for less than the answer, until it is read.
    let stream = TokioIo::new(secure::connect(&stack, &["h2"]).await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (mut client, connection) =
        builder.initial_stream_window_size(65_535).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("https://localhost:{}{CHAT}", stack.tls.port());
    let answer = client.send_request(secure::post(&stack, &uri, &asked())).await.unwrap();
    while stack.metric("fluxgate_requests_in_flight", &[]).await > 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let taken = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(taken.len(), body.len());
}
