//! The same over HTTP/2, where the framing is the protocol's own. A host or a method that could be
//! read in two ways ends the connection; what else is refused ends its stream alone.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;

use super::paths;
use super::trial::{CHAT, Ground};
use crate::secure::{self, Body};

const ORIGIN: &str = "https://localhost";
const CHAT_ROUTE: &str = "/v1/chat/completions";

pub async fn refuses() {
    let ground = Ground::start().await;
    let mut sender = secure::http2(&ground.stack).await;
    hosts(&ground, &mut sender).await;
    methods(&ground, &mut sender).await;
    for (path, allowed) in paths::changed(CHAT_ROUTE) {
        let request = secure::post(&ground.stack, &format!("{ORIGIN}{path}"), CHAT);
        expect(&ground, &mut sender, request, allowed, &path).await;
    }
    lengths(&ground, &mut sender).await;
    expect(&ground, &mut sender, chat(&ground, ORIGIN), &[200], "the connection goes on").await;
}

fn chat(ground: &Ground, origin: &str) -> Request<Body> {
    secure::post(&ground.stack, &format!("{origin}{CHAT_ROUTE}"), CHAT)
}

async fn hosts(ground: &Ground, sender: &mut SendRequest<Body>) {
    let cases: [(&str, Vec<&str>, &[u16]); 15] = [
        (ORIGIN, vec![], &[200]),
        ("https://localhost:8443", vec![], &[200]),
        (ORIGIN, vec!["localhost"], &[200]),
        (ORIGIN, vec!["LOCALHOST:443"], &[200]),
        (ORIGIN, vec!["other"], &[400]),
        (ORIGIN, vec!["localhost.other"], &[400]),
        (ORIGIN, vec!["localhost:8443"], &[400]),
        (ORIGIN, vec!["localhost", "localhost"], &[400]),
        (ORIGIN, vec!["localhost", "other"], &[400]),
        (ORIGIN, vec![""], &[400]),
        (ORIGIN, vec!["local host"], &[400]),
        (ORIGIN, vec!["user@localhost"], &[400]),
        ("https://user@localhost", vec![], &[400]),
        ("https://user@localhost", vec!["localhost"], &[400]),
        ("https://localhost@other", vec!["localhost"], &[400]),
    ];
    for (origin, hosts, allowed) in cases {
        let mut request = chat(ground, origin);
        for host in &hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        expect(ground, sender, request, allowed, &format!("{origin} with host {hosts:?}")).await;
        if allowed == [400] {
            ended(ground, sender, &format!("{origin} with host {hosts:?}")).await;
        }
    }
}

async fn methods(ground: &Ground, sender: &mut SendRequest<Body>) {
    for method in ["TRACE", "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "post", "BREW"] {
        let mut request = chat(ground, ORIGIN);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        expect(ground, sender, request, &[405], method).await;
        if method == "TRACE" {
            ended(ground, sender, method).await;
        }
    }
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "localhost:443".parse().unwrap();
    expect(ground, sender, request, &[405], "CONNECT").await;
    ended(ground, sender, "CONNECT").await;
}

/// The connection takes no more requests; the next ones have another.
async fn ended(ground: &Ground, sender: &mut SendRequest<Body>, what: &str) {
    let ending = async {
        while sender.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(5), ending).await;
    assert!(in_time.is_ok(), "{what}: the connection goes on");
    *sender = secure::http2(&ground.stack).await;
}

/// A length at odds with the body is an error of the stream (RFC 9113 §8.1.1).
async fn lengths(ground: &Ground, sender: &mut SendRequest<Body>) {
    for length in ["0", "1", "1000"] {
        let before = ground.seen_bytes();
        let mut request = chat(ground, ORIGIN);
        request.headers_mut().insert("content-length", length.parse().unwrap());
        sender.ready().await.unwrap();
        if let Ok(response) = sender.send_request(request).await {
            assert_eq!(response.status(), 400, "length {length}");
        }
        assert_eq!(ground.seen_bytes(), before, "length {length}");
        if sender.ready().await.is_err() {
            *sender = secure::http2(&ground.stack).await;
        }
    }
}

async fn expect(
    ground: &Ground,
    sender: &mut SendRequest<Body>,
    request: Request<Body>,
    allowed: &[u16],
    what: &str,
) {
    let before = ground.seen_bytes();
    sender
        .ready()
        .await
        .unwrap_or_else(|error| panic!("{what}: the connection has ended: {error}"));
    let response = sender.send_request(request).await;
    let response = response.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let (status, headers, body) = secure::read(response).await;
    assert!(allowed.contains(&status), "{what}: {status} instead of {allowed:?}: {body}");
    assert!(headers.contains_key("x-request-id"), "{what}");
    let asked = if status == 200 { CHAT.len() as u64 } else { 0 };
    assert_eq!(ground.seen_bytes() - before, asked, "{what}: bytes at the model");
}
