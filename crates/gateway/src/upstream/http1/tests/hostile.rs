//! An upstream, or whoever stands on the way to it, that means us harm: none of its tricks may
//! hand one client's answer to another, run a request twice, or make us hold what has no end.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::super::head::BadHead;
use super::super::*;
use super::{ANSWER, PATIENCE, head, pair, read_request};

const FORGED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";

/// A connection over TLS, and its other end.
async fn tls_pair() -> (Connection, server::TlsStream<tokio::net::TcpStream>) {
    let made = rcgen::generate_simple_self_signed(["model.test".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let ours = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let theirs = ServerConfig::builder().with_no_client_auth();
    let theirs = theirs.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("model.test").unwrap();
    let connector = TlsConnector::from(Arc::new(ours));
    let acceptor = TlsAcceptor::from(Arc::new(theirs));
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    (Connection::new(Stream::Tls(Box::new(near.unwrap()))), far.unwrap())
}

/// A kept connection whose other end has begun to delay its acknowledgements, as it does for all
/// but the first requests of one.
async fn seasoned() -> (Connection, std::net::TcpStream) {
    let (mut connection, mut far) = pair().await;
    let length = head(0).len();
    let server = std::thread::spawn(move || {
        for _ in 0..30 {
            read_request(&mut far, length);
            far.write_all(ANSWER).unwrap();
        }
        far
    });
    for _ in 0..30 {
        let answer = ask(&mut connection).await.unwrap();
        let mut body = Body::new(connection, &answer);
        assert_eq!(body.collect(10).await.unwrap(), "ok");
        connection = body.into_connection().unwrap();
    }
    assert!(connection.is_live());
    (connection, server.join().unwrap())
}

async fn ask(connection: &mut Connection) -> Result<AnswerHead, SendError> {
    let head = head(0);
    let asked = connection.send(Outgoing { head: &head, body: &[] }, |_| true);
    tokio::time::timeout(PATIENCE, asked).await.expect("it ends")
}

#[tokio::test]
async fn what_tls_holds_behind_an_answer_ends_the_use_of_its_connection() {
    let (mut connection, mut far) = tls_pair().await;
    // The answer fills one read to its last byte, and what stands behind it comes with the last
    // piece of the same record: rustls then has it, and the socket shows nothing.
    let head = |body: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n");
    let body = READ_BYTES_MAX - head(READ_BYTES_MAX).len();
    let answer = [head(body).as_bytes(), &vec![b'x'; body]].concat();
    assert_eq!(answer.len(), READ_BYTES_MAX);
    far.write_all(&answer).await.unwrap();
    far.write_all(FORGED).await.unwrap();
    far.flush().await.unwrap();

    let answer = ask(&mut connection).await.unwrap();
    let mut body = Body::new(connection, &answer);
    body.collect(READ_BYTES_MAX).await.unwrap();
    let live = body.into_connection().is_some_and(|mut connection| connection.is_live());
    assert!(!live, "the next request would get an answer that isn't its own");
}

#[tokio::test]
async fn a_connection_over_tls_is_kept_for_the_next_request() {
    let (mut connection, mut far) = tls_pair().await;
    // The tickets that a server sends behind its handshake are no answer.
    for _ in 0..3 {
        far.write_all(ANSWER).await.unwrap();
        far.flush().await.unwrap();
        let answer = ask(&mut connection).await.unwrap();
        let mut body = Body::new(connection, &answer);
        assert_eq!(body.collect(10).await.unwrap(), "ok");
        connection = body.into_connection().unwrap();
        assert!(connection.is_live());
    }
    far.shutdown().await.unwrap();
    assert!(!connection.is_live());
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_read_up_to_its_limit() {
    for (limit, kept) in [(10, true), (9, false)] {
        let (mut connection, mut far) = pair().await;
        far.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\n0123456789").unwrap();
        let answer = ask(&mut connection).await.unwrap();
        let mut body = Body::new(connection, &answer);
        assert_eq!(body.discard(limit).await.is_ok(), kept);
    }
}

#[tokio::test]
async fn what_came_is_seen_before_the_reactor_hears_of_it() {
    for says in [FORGED, b""] {
        let (mut connection, mut far) = seasoned().await;
        far.write_all(says).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        // No await between: the reactor has had no turn.
        assert!(!connection.is_live());
    }
}

#[tokio::test]
async fn a_request_that_a_half_closed_server_reads_is_not_unsent() {
    let (mut connection, mut far) = seasoned().await;
    far.shutdown(Shutdown::Write).unwrap();
    let length = head(0).len();
    let served = std::thread::spawn(move || read_request(&mut far, length));
    let error = ask(&mut connection).await.unwrap_err();
    assert!(matches!(error, SendError::Ended), "{error:?}");
    served.join().unwrap();
}

#[tokio::test]
async fn a_server_that_only_half_closes_is_not_waited_for_long() {
    let (mut connection, far) = seasoned().await;
    far.shutdown(Shutdown::Write).unwrap();
    // It reads nothing: its kernel has the request all the same.
    let error = ask(&mut connection).await.unwrap_err();
    assert!(matches!(error, SendError::Ended), "{error:?}");
    drop(far);
}

#[tokio::test]
async fn interim_answers_come_to_an_end() {
    let (mut connection, mut far) = pair().await;
    let flood = std::thread::spawn(move || {
        let mut sent = 0;
        // The other side closes at some time.
        while far.write_all(&b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n".repeat(100)).is_ok() {
            sent += 1;
        }
        sent
    });
    let error = ask(&mut connection).await.unwrap_err();
    assert!(matches!(error, SendError::BadHead(BadHead::TooLarge)), "{error:?}");
    drop(connection);
    assert!(flood.join().unwrap() < 100_000);
}

#[tokio::test]
async fn a_head_without_end_is_refused_however_it_comes() {
    for line in ["a: b\r\n", "\r\n", "a", "a: "] {
        let (mut connection, mut far) = pair().await;
        let flood = std::thread::spawn(move || {
            let begin = if line == "\r\n" { "" } else { "HTTP/1.1 200 OK\r\n" };
            let _ = far.write_all(begin.as_bytes());
            while far.write_all(line.repeat(300).as_bytes()).is_ok() {}
        });
        let error = ask(&mut connection).await.unwrap_err();
        assert!(matches!(error, SendError::BadHead(_)), "{error:?}");
        assert!(connection.ahead.len() <= HEAD_BYTES_MAX + READ_BYTES_MAX);
        drop(connection);
        flood.join().unwrap();
    }
}

#[tokio::test]
async fn a_body_behind_an_answer_that_has_none_is_not_the_next_answer() {
    for head in [
        "204 No Content\r\ncontent-length: 42",
        "204 No Content\r\ntransfer-encoding: chunked",
        "304 Not Modified\r\ncontent-length: 42",
    ] {
        let (mut connection, mut far) = pair().await;
        far.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).unwrap();
        let answer = ask(&mut connection).await.unwrap();
        let body = Body::new(connection, &answer);
        assert!(body.is_over());
        assert!(body.into_connection().is_none(), "{head}: its body may still be on the way");
    }
}

#[tokio::test]
async fn a_server_that_answers_before_it_has_read_the_request_gets_all_of_it() {
    let (mut connection, mut far) = pair().await;
    let body = [Bytes::from(vec![b'x'; 16 << 20])];
    let head = head(body[0].len());
    let length = head.len() + body[0].len();
    let server = std::thread::spawn(move || {
        far.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        read_request(&mut far, length);
        far.write_all(b"2\r\nok\r\n0\r\n\r\n").unwrap();
        far
    });
    let answer = connection.send(Outgoing { head: &head, body: &body }, |_| true).await.unwrap();
    let mut body = Body::new(connection, &answer);
    assert_eq!(body.collect(10).await.unwrap(), "ok");
    assert!(body.into_connection().is_some(), "nothing of the request is left to send");
    server.join().unwrap();
}

#[tokio::test]
async fn an_answer_until_the_close_is_cut_where_tls_wasnt_ended() {
    for ended in [true, false] {
        let (mut connection, mut far) = tls_pair().await;
        far.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").await.unwrap();
        far.flush().await.unwrap();
        if ended {
            far.shutdown().await.unwrap();
        } else {
            far.get_mut().0.shutdown().await.unwrap();
        }
        let answer = ask(&mut connection).await.unwrap();
        let body = Body::new(connection, &answer).collect(100).await;
        assert_eq!(body.ok().as_deref(), ended.then_some(b"half of it".as_slice()));
    }
}

#[tokio::test]
async fn an_answer_until_the_close_is_cut_by_a_reset() {
    let (mut connection, mut far) = pair().await;
    far.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").unwrap();
    let answer = ask(&mut connection).await.unwrap();
    let mut body = Body::new(connection, &answer);
    let half = poll_fn(|cx| body.poll_data(cx)).await;
    assert_eq!(half.unwrap().unwrap(), "half of it");
    // Closed with the request unread: the kernel resets the connection.
    drop(far);
    assert!(body.collect(100).await.is_err());
    assert!(body.into_connection().is_none());
}

#[tokio::test]
async fn a_body_that_has_failed_never_gives_its_connection_back() {
    let fault = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n";
    let (mut connection, mut far) = pair().await;
    far.write_all(fault.as_bytes()).unwrap();
    far.write_all(ANSWER).unwrap();
    let answer = ask(&mut connection).await.unwrap();
    let mut body = Body::new(connection, &answer);
    assert!(body.collect(100).await.is_err());
    assert!(!body.is_over());
    assert!(body.into_connection().is_none());
}

#[tokio::test]
async fn a_kept_connection_holds_no_memory() {
    let (mut connection, mut far) = pair().await;
    let long =
        format!("HTTP/1.1 200 OK\r\na: {}\r\ncontent-length: 2\r\n\r\nok", "x".repeat(60_000));
    let server = std::thread::spawn(move || {
        for piece in long.as_bytes().chunks(8_000) {
            far.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        far
    });
    let answer = ask(&mut connection).await.unwrap();
    let mut body = Body::new(connection, &answer);
    assert_eq!(body.collect(10).await.unwrap(), "ok");
    assert_eq!(body.into_connection().unwrap().ahead.capacity(), 0);
    server.join().unwrap();
}
