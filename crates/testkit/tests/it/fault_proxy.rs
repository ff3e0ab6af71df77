//! The proxy between an echo server and a client.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fluxgate_testkit::fault_proxy::{FaultProxy, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than anything that works takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// What doesn't come within this doesn't come: a local echo takes microseconds.
const SILENCE: Duration = Duration::from_millis(150);

/// Sends back what it gets, and ends when its client does.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn proxy_and_client() -> (FaultProxy, TcpStream) {
    let proxy = FaultProxy::start(echo_server().await).await;
    let mut client = TcpStream::connect(proxy.addr).await.unwrap();
    echoes(&mut client, b"hello").await;
    (proxy, client)
}

async fn echoes(client: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    timeout(PATIENCE, client.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, bytes);
}

async fn is_silent(client: &mut TcpStream) -> bool {
    timeout(SILENCE, client.read_u8()).await.is_err()
}

async fn is_reset(client: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, client.read(&mut [0; 64])).await.unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn it_passes_bytes_and_the_end_of_a_connection() {
    let (_proxy, mut client) = proxy_and_client().await;
    echoes(&mut client, &vec![7; 100_000]).await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"last");
}

#[tokio::test]
async fn a_frozen_proxy_accepts_and_passes_nothing_until_it_thaws() {
    let (proxy, mut client) = proxy_and_client().await;
    proxy.set(Mode::Freeze);
    let mut newcomer = TcpStream::connect(proxy.addr).await.unwrap();
    client.write_all(b"a").await.unwrap();
    newcomer.write_all(b"b").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert!(is_silent(&mut newcomer).await);
    proxy.set(Mode::Pass);
    assert_eq!(timeout(PATIENCE, client.read_u8()).await.unwrap().unwrap(), b'a');
    assert_eq!(timeout(PATIENCE, newcomer.read_u8()).await.unwrap().unwrap(), b'b');
    assert_eq!(proxy.answered_bytes(), 7);
}

#[tokio::test]
async fn a_reset_ends_open_connections_even_frozen_ones_and_new_ones_until_it_is_over() {
    let (proxy, mut client) = proxy_and_client().await;
    proxy.set(Mode::Freeze);
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.set(Mode::Reset);
    assert!(is_reset(&mut client).await);
    let mut newcomer = TcpStream::connect(proxy.addr).await.unwrap();
    assert!(is_reset(&mut newcomer).await);
    proxy.set(Mode::Pass);
    let mut later = TcpStream::connect(proxy.addr).await.unwrap();
    echoes(&mut later, b"hello").await;
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_so_many_bytes_an_open_one_too() {
    let (proxy, mut old) = proxy_and_client().await;
    const BYTES: usize = 100_003;
    proxy.set(Mode::Cut { after_bytes: BYTES as u64 });
    let mut new = TcpStream::connect(proxy.addr).await.unwrap();
    for client in [&mut old, &mut new] {
        let mut back = vec![0; BYTES];
        let (mut from, mut to) = client.split();
        let sent = vec![7; BYTES + 5];
        let (written, read) =
            tokio::join!(to.write_all(&sent), timeout(PATIENCE, from.read_exact(&mut back)),);
        written.unwrap();
        read.unwrap().unwrap();
        assert_eq!(back, sent[..BYTES]);
        assert!(is_reset(client).await);
    }
    assert_eq!(proxy.answered_bytes(), 5 + 2 * BYTES as u64);
    proxy.set(Mode::Pass);
    let mut healed = TcpStream::connect(proxy.addr).await.unwrap();
    echoes(&mut healed, b"hello").await;
}

#[tokio::test]
async fn a_delay_holds_each_piece_back_both_ways() {
    let (proxy, mut client) = proxy_and_client().await;
    proxy.set(Mode::Delay(Duration::from_millis(40)));
    let start = Instant::now();
    echoes(&mut client, b"hello").await;
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_refusing_proxy_refuses_new_connections_and_keeps_its_port() {
    let (mut proxy, mut client) = proxy_and_client().await;
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.addr).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    echoes(&mut client, b"still here").await;
    proxy.refuse().await;
    proxy.accept();
    let mut newcomer = TcpStream::connect(proxy.addr).await.unwrap();
    echoes(&mut newcomer, b"hello").await;
}

#[tokio::test]
async fn a_target_that_is_gone_resets_the_client() {
    let gone = SocketAddr::from((Ipv4Addr::LOCALHOST, fluxgate_testkit::free_port()));
    let proxy = FaultProxy::start(gone).await;
    let mut client = TcpStream::connect(proxy.addr).await.unwrap();
    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_along() {
    let (proxy, mut client) = proxy_and_client().await;
    let addr = proxy.addr;
    drop(proxy);
    assert!(is_reset(&mut client).await);
    // The listener closes with its task, a moment later.
    for _ in 0..50 {
        if TcpStream::connect(addr).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the port of a dropped proxy still accepts");
}
