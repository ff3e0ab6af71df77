//! HTTP by hand: one request on one connection, so that a test sees each byte when it comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::command::PATIENCE;

/// An answer whose head has been read.
pub struct Answer {
    pub status: u16,
    pub head: String,
    connection: BufReader<TcpStream>,
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"))
}

pub fn post(address: SocketAddr, path: &str, bearer: Option<&str>, body: &Value) -> Answer {
    let body = body.to_string();
    let bearer = bearer.map_or_else(String::new, |key| format!("authorization: Bearer {key}\r\n"));
    let length = body.len();
    send(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{bearer}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// A streamed chat.
pub fn chat(address: SocketAddr, key: &str) -> Answer {
    let message = json!({ "role": "user", "content": "Hello" });
    let body = json!({ "model": "demo", "stream": true, "messages": [message] });
    post(address, "/v1/chat/completions", Some(key), &body)
}

fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut connection = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(connection.read_line(&mut head).unwrap(), 0, "the answer ended early: {head}");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, connection }
}

impl Answer {
    /// The next line of a stream that begins with `prefix`.
    pub fn line(&mut self, prefix: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.connection.read_line(&mut line).unwrap(), 0, "no more lines");
            if line.starts_with(prefix) {
                return line;
            }
        }
    }

    /// All that is left of the answer, chunk sizes included where it is chunked.
    pub fn rest(mut self) -> String {
        let mut rest = String::new();
        self.connection.read_to_string(&mut rest).unwrap();
        rest
    }
}
