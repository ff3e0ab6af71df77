//! How many connections there may be, and how large a head.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fluxgate_testkit::wire::{self, Connection};
use fluxgate_testkit::{Plan, TestStack};
use http::Request;
use http_body_util::Full;
use tokio::net::TcpSocket;

use crate::secure;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n";
const SOON: Duration = Duration::from_secs(5);

/// A connection from this address of the loopback network, if it is served.
async fn served_from(last: u8, to: SocketAddr) -> Option<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let asked = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(HEALTH).await.ok()?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.ok()?;
        assert_eq!(&start, b"HTTP/1.1 200");
        Some(())
    };
    let served = tokio::time::timeout(SOON, asked).await.expect("served or closed in time");
    served.map(|()| stream)
}

/// Waits until a connection from there is served again: an end is noticed in a moment.
async fn served_again(last: u8, to: SocketAddr) {
    let again = async {
        while served_from(last, to).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("a place comes back");
}

#[tokio::test]
async fn one_address_holds_so_many_connections_and_no_more() {
    let stack = Plan::default().set("listen.connections_per_address_max", "3").start().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(served_from(7, stack.clear).await.expect("within the limit"));
    }
    for to in [stack.clear, stack.web] {
        assert!(served_from(7, to).await.is_none(), "the limit counts over all listeners");
    }
    assert!(served_from(8, stack.clear).await.is_some(), "another address has its own");
    held.pop();
    served_again(7, stack.clear).await;
}

#[tokio::test]
async fn all_addresses_together_hold_so_many_connections_and_no_more() {
    let stack = Plan::default().set("listen.connections_max", "4").start().await;
    let mut held = Vec::new();
    for last in 11..15 {
        held.push(served_from(last, stack.clear).await.expect("within the limit"));
    }
    assert!(served_from(15, stack.clear).await.is_none());
    let health = wire::ask(stack.metrics, HEALTH).await;
    assert_eq!(health.status, 200, "whoever looks after the gateway still reaches it");
    assert_eq!(stack.operator("GET", "/admin/v1/status", "").await.status, 200);
    held.pop();
    served_again(15, stack.clear).await;
}

#[tokio::test]
async fn a_head_over_its_limit_is_431() {
    let stack = Plan::default().set("listen.header_bytes_max", "8192").start().await;
    let head = |bytes: usize| {
        format!("GET /healthz HTTP/1.1\r\nhost: test\r\nx-a: {}\r\n\r\n", "a".repeat(bytes))
            .into_bytes()
    };
    assert_eq!(wire::ask(stack.clear, &head(7_500)).await.status, 200);
    let mut connection = Connection::open(stack.clear).await;
    connection.send(&head(9_000)).await;
    assert_eq!(connection.answer().await.status, 431);
    assert!(connection.closed_within(SOON).await);
    over_http2(&stack).await;
}

async fn over_http2(stack: &TestStack) {
    for (bytes, status) in [(7_500, 200), (9_000, 431)] {
        let mut sender = secure::http2(stack).await;
        let request = Request::get("https://localhost/healthz").header("x-a", "a".repeat(bytes));
        let request = request.body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{bytes} bytes over HTTP/2");
    }
}
