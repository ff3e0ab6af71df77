//! TLS with both protocols.

use fluxgate_testkit::TestStack;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::secure;

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
const STREAMED: &str =
    r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

#[tokio::test]
async fn a_chat_is_served_over_tls_with_http1_and_http2() {
    let stack = TestStack::start().await;
    let mut one = secure::http1(&stack).await;
    let mut two = secure::http2(&stack).await;
    for (body, mark) in [(CHAT, "\"chat.completion\""), (STREAMED, "data: [DONE]")] {
        let mut request = secure::post(&stack, "/v1/chat/completions", body);
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        let answer = secure::read(one.send_request(request).await.unwrap()).await;
        assert_eq!(answer.0, 200);
        assert!(answer.2.contains(mark), "{}", answer.2);

        let request = secure::post(&stack, "https://localhost/v1/chat/completions", body);
        let answer = secure::read(two.send_request(request).await.unwrap()).await;
        assert_eq!(answer.0, 200);
        assert!(answer.2.contains(mark), "{}", answer.2);
    }
}

#[tokio::test]
async fn the_protocol_is_the_one_that_both_sides_know_best() {
    let stack = TestStack::start().await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"] as &[&str], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = secure::connect(&stack, offered).await;
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, chosen.map(str::as_bytes), "{offered:?}");
    }
}

#[tokio::test]
async fn a_client_that_names_no_protocol_gets_http1() {
    let stack = TestStack::start().await;
    let mut stream = secure::connect(&stack, &[]).await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    // Whether the other side says good-bye in TLS's own way isn't the point.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn clear_text_on_the_tls_port_is_no_request() {
    let stack = TestStack::start().await;
    let mut connection = fluxgate_testkit::wire::Connection::open(stack.tls).await;
    connection.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(connection.closed_within(std::time::Duration::from_secs(5)).await);
    let mut sender = secure::http2(&stack).await;
    let request = Request::get("https://localhost/healthz").body(Full::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}
