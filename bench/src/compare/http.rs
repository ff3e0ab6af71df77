//! One question and its answer, for what isn't measured: is it there, and make me a key.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wire::{self, Body};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Sends a whole request and reads the whole answer: its status and content.
///
/// # Errors
/// Where there is no answer.
pub fn ask(to: SocketAddr, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect_timeout(&to, ANSWER_WITHIN)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    socket.write_all(request)?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while seen.len() < ANSWER_BYTES_MAX {
        let read = socket.read(&mut buffer)?;
        seen.extend(buffer.iter().take(read));
        if let Some(head) = wire::response_head(&seen)? {
            let (mut body, mut content) = (Body::new(head.framing), Vec::new());
            let rest = seen.get(head.bytes..).unwrap_or_default();
            body.feed(rest, |part| content.extend_from_slice(part))?;
            if body.is_done() || (read == 0 && body.ends_with_close()) {
                return Ok((head.status, content));
            }
        }
        if read == 0 {
            bail!("the connection was closed before the answer's end");
        }
    }
    bail!("the answer is too long")
}

/// A request with a JSON body.
pub fn post(to: SocketAddr, path: &str, bearer: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A port that nobody listened on a moment ago, for programs that can't take port 0.
///
/// # Errors
/// The system's own.
pub fn free_port() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr().context("no free port")
}
