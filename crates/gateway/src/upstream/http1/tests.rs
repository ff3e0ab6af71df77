//! Against a real socket whose other end does exactly what each test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as BlockingStream};

use http::{HeaderValue, Method};

use super::*;

mod hostile;

/// Nothing here takes that long unless it hangs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn head(body_bytes: usize) -> RequestHead {
    let host = HeaderValue::from_static("model.test");
    RequestHead::new(&Method::POST, ["/base", "/v1/x"], &host).end(body_bytes)
}

async fn pair() -> (Connection, BlockingStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().unwrap();
    (Connection::new(Stream::Clear(near)), far)
}

fn read_request(far: &mut BlockingStream, length: usize) -> Vec<u8> {
    let mut request = vec![0; length];
    far.read_exact(&mut request).unwrap();
    request
}

/// One request on the connection, answered as it should be.
async fn use_once(connection: Connection, far: &mut BlockingStream) -> Connection {
    let (head, body) = (head(4), [Bytes::from_static(b"bo"), Bytes::from_static(b"dy")]);
    far.write_all(ANSWER).unwrap();
    let mut connection = connection;
    let answer = connection.send(Outgoing { head: &head, body: &body }, |_| true).await.unwrap();
    let expected = b"POST /base/v1/x HTTP/1.1\r\nhost: model.test\r\ncontent-length: 4\r\n\r\nbody";
    assert_eq!(read_request(far, head.len() + 4), expected);
    let mut body = Body::new(connection, &answer);
    assert_eq!(body.collect(10).await.unwrap(), "ok");
    body.into_connection().unwrap()
}

#[tokio::test]
async fn a_close_that_crosses_the_request_leaves_it_unsent() {
    let (connection, mut far) = pair().await;
    let mut connection = use_once(connection, &mut far).await;
    assert!(connection.is_live());
    drop(far);
    // As if the close had come just behind the look at the connection.
    let (head, body) = (head(4), [Bytes::from_static(b"body")]);
    let error = connection.send(Outgoing { head: &head, body: &body }, |_| true).await.unwrap_err();
    assert!(matches!(error, SendError::Unsent), "{error:?}");
}

#[tokio::test]
async fn a_request_that_was_read_is_never_called_unsent() {
    let (connection, mut far) = pair().await;
    let mut connection = use_once(connection, &mut far).await;
    let (head, body) = (head(4), [Bytes::from_static(b"body")]);
    let length = head.len() + 4;
    let served = std::thread::spawn(move || {
        read_request(&mut far, length);
    });
    let error = connection.send(Outgoing { head: &head, body: &body }, |_| true).await.unwrap_err();
    assert!(matches!(error, SendError::Ended), "{error:?}");
    served.join().unwrap();
}

#[tokio::test]
async fn a_kept_connection_is_live_until_its_other_end_says_anything() {
    for says in [b"".as_slice(), b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
        let (connection, mut far) = pair().await;
        let mut connection = use_once(connection, &mut far).await;
        assert!(connection.is_live());
        far.write_all(says).unwrap();
        drop(far);
        // The reactor hears of it on one of its next turns.
        let heard = async {
            while connection.is_live() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is noticed");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_was_read() {
    let (mut connection, mut far) = pair().await;
    far.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
    let body = [Bytes::from(vec![b'x'; 32 * 1024 * 1024])];
    let head = head(body[0].len());
    let answer = connection.send(Outgoing { head: &head, body: &body }, |_| true).await.unwrap();
    assert_eq!(answer.status, 413);
    let body = Body::new(connection, &answer);
    assert!(body.is_over());
    assert!(body.into_connection().is_none(), "half a request is on the connection");
}

#[tokio::test]
async fn bytes_behind_an_answer_end_the_use_of_its_connection() {
    let (mut connection, mut far) = pair().await;
    far.write_all(&[ANSWER, b"HTTP/1.1 200 OK\r\n"].concat()).unwrap();
    let head = head(0);
    let answer = connection.send(Outgoing { head: &head, body: &[] }, |_| true).await.unwrap();
    let mut body = Body::new(connection, &answer);
    assert_eq!(body.collect(10).await.unwrap(), "ok");
    assert!(body.into_connection().is_none());
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_read_whole_or_as_cut() {
    let wire =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for cut in 1..wire.len() {
        let (first, second) = wire.split_at(cut);
        for whole in [true, false] {
            let (mut connection, mut far) = pair().await;
            far.write_all(first).unwrap();
            let rest = if whole { second } else { b"" }.to_vec();
            let writer = std::thread::spawn(move || {
                // So that the two halves mostly come in two reads; either way the answer is the same.
                std::thread::sleep(std::time::Duration::from_micros(200));
                far.write_all(&rest).unwrap();
                // The request is read, so that the close isn't a reset.
                far.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = far.read_to_end(&mut Vec::new());
            });
            let head = head(0);
            let answer = connection.send(Outgoing { head: &head, body: &[] }, |_| true).await;
            let body = match answer {
                Ok(answer) => Body::new(connection, &answer).collect(10).await.ok(),
                Err(error) => {
                    assert!(matches!(error, SendError::Ended), "{error:?}");
                    drop(connection);
                    None
                }
            };
            assert_eq!(body.as_deref(), whole.then_some(b"abcde".as_slice()), "cut at {cut}");
            writer.join().unwrap();
        }
    }
}
